"""Room in a layer: experiments of one layer hold disjoint positions, so that no unit is in two of them."""

from __future__ import annotations

from app.experiments.assignment import NUM_POSITIONS
from app.experiments.spans import Spans, minus, num_positions, parted, union

WHOLE: Spans = ((0, NUM_POSITIONS),)


def wanted_positions(traffic: float) -> int:
    """How many positions a part of the traffic is, at least one."""
    return max(1, round(traffic * NUM_POSITIONS))


def resized(own: Spans, taken: Spans, traffic: float) -> Spans | None:
    """The positions for a part of the traffic; None where there are not enough.

    Of those that the experiment has, or last had, as many stay as can, and no more others come than are missing.

    Args:
        own: positions of the experiment, empty before its first start.
        taken: positions of the other running experiments of the layer.
        traffic: above 0, at most 1.
    """
    wanted = wanted_positions(traffic)
    mine = minus(own, taken)
    surplus = num_positions(mine) - wanted
    if surplus >= 0:
        return parted(mine, surplus)[1]
    free = minus(minus(WHOLE, taken), mine)
    if num_positions(free) < -surplus:
        return None
    return union(mine, _first(free, -surplus))


def _first(spans: Spans, wanted: int) -> Spans:
    found: list[tuple[int, int]] = []
    for start, end in spans:
        if wanted <= 0:
            break
        found.append((start, min(end, start + wanted)))
        wanted -= end - start
    return tuple(found)


def free_share(taken: Spans) -> float:
    """The part of a layer that nobody holds."""
    return 1.0 - num_positions(taken) / NUM_POSITIONS
