"""Which experiments can run beside each other: an answer has one ranking, and in one layer no unit is in two of them."""

from __future__ import annotations

from collections.abc import Sequence

from app.experiments.errors import LayerFull, SurfaceTaken
from app.experiments.kept import KeptExperiment
from app.experiments.layers import free_share, resized
from app.experiments.spans import Spans, union


def check_surface(one: KeptExperiment, others: Sequence[KeptExperiment]) -> None:
    """Refuse an experiment that those which run exclude.

    Raises:
        SurfaceTaken: one has the same surface in another layer, or another kind of unit.
    """
    mine = one.definition
    for other in others:
        its = other.definition
        if its.surface == mine.surface and its.in_layer != mine.in_layer:
            raise SurfaceTaken(
                f"{other.name!r} runs on {mine.surface} in layer {its.in_layer!r}, and an answer has one ranking only: "
                f"give {one.name!r} the same layer, or stop {other.name!r}"
            )
        if (its.surface == mine.surface or its.in_layer == mine.in_layer) and its.unit != mine.unit:
            raise SurfaceTaken(
                f"{other.name!r} assigns {its.unit}s in layer {its.in_layer!r}, {one.name!r} would assign {mine.unit}s: "
                f"take the same unit, or stop {other.name!r}"
            )


def room(one: KeptExperiment, others: Sequence[KeptExperiment], traffic: float) -> Spans:
    """The positions of its layer that an experiment is to hold; those that it holds stay, as far as it wants so many.

    Args:
        one: the experiment.
        others: those that run.
        traffic: the part of the layer's units that it wants.

    Raises:
        LayerFull: the others leave too little.
    """
    layer = one.definition.in_layer
    there = [other for other in others if other.definition.in_layer == layer and other.allocation is not None]
    taken = union(*(other.allocation.layer for other in there if other.allocation is not None))
    found = resized(() if one.allocation is None else one.allocation.layer, taken, traffic)
    if found is None:
        running = ", ".join(
            f"{other.name} {100 * other.allocation.traffic:.6g}%" for other in there if other.allocation is not None
        )
        raise LayerFull(
            f"layer {layer!r} has {100 * free_share(taken):.6g}% of its units left, {one.name!r} wants {100 * traffic:.6g}%; "
            f"running there: {running}; take less traffic, or stop one of them"
        )
    return found
