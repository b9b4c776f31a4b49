"""What may be changed of a definition."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from app.experiments.definition import Experiment
from app.experiments.errors import ChangeInvalid


def weights_of(definition: Experiment) -> dict[str, float]:
    """By variant."""
    return {variant.name: variant.weight for variant in definition.variants}


def changed(
    definition: Experiment,
    weights: Mapping[str, float] | None,
    traffic: float | None,
    overrides: Mapping[str, str | None] | None,
) -> Experiment:
    """A definition with other weights, traffic or overrides; what is None stays.

    Args:
        definition: as it is.
        weights: by variant.
        traffic: the part of the layer's units.
        overrides: by unit, a variant, or None to forget the unit.

    Raises:
        ChangeInvalid: the definition does not allow it.
    """
    if weights is not None and definition.kind != "ab":
        why = (
            "a bandit's shares follow its figures"
            if definition.kind == "bandit"
            else "interleaving shows all variants to everybody"
        )
        raise ChangeInvalid(f"weights cannot be changed: {why}", [("weights", why)])
    values = definition.model_dump(mode="json")
    unknown = sorted(set(weights or {}) - {variant.name for variant in definition.variants})
    if unknown:
        message = f"{definition.name!r} has no variant {unknown[0]!r}; there are {', '.join(weights_of(definition))}"
        raise ChangeInvalid(message, [(f"weights.{unknown[0]}", message)])
    names = weights_of(definition)
    wrong = [(unit, variant) for unit, variant in (overrides or {}).items() if variant is not None and variant not in names]
    if wrong:
        told = ", ".join(sorted({variant for _, variant in wrong}))
        message = f"overrides name {told}; the variants are {', '.join(names)}"
        raise ChangeInvalid(message, [(f"overrides.{unit}", f"there is no variant {variant!r}") for unit, variant in wrong])
    for variant in values["variants"]:
        variant["weight"] = (weights or {}).get(variant["name"], variant["weight"])
    if traffic is not None:
        values["traffic"] = traffic
    merged = {**values["overrides"], **(overrides or {})}
    values["overrides"] = {unit: variant for unit, variant in merged.items() if variant is not None}
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        problems = [(".".join(map(str, found["loc"])), found["msg"].removeprefix("Value error, ")) for found in error.errors()]
        shown = "; ".join(f"{place}: {message}" if place else message for place, message in problems)
        raise ChangeInvalid(shown, problems) from error
