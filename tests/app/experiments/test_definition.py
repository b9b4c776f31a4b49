"""Definitions that cannot be meant are refused with a word on why."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.experiments.definition import Experiment

TWO = [{"name": "a", "release": "a/1"}, {"name": "b", "release": "challenger"}]


def defined(**given: Any) -> Experiment:
    return Experiment.model_validate({"name": "test", "variants": TWO, **given})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"variants": [TWO[0], TWO[0]]}, "variants need names of their own"),
        ({"variants": [TWO[0], {**TWO[1], "weight": 5e-7}]}, "less than one unit in a million"),
        ({"overrides": {"u1": "c"}}, "overrides name c"),
        ({"secondary": ["click-through"]}, "each metric can stand once"),
        ({"primary": "clicks"}, "no metric 'clicks' by that name"),
        ({"kind": "interleaving", "surface": "similar"}, "found the surface similar"),
        ({"kind": "bandit", "bandit": {"floor": 0.4}, "variants": [*TWO, {**TWO[1], "name": "c"}]}, "is more than there is"),
        ({"planned_units": 10}, "greater than or equal to 100"),
        ({"traffic": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        defined(**given)


def test_a_definition_survives_json() -> None:
    made = defined(
        primary={"name": "opened", "event": "open", "of": "any", "per": "session"}, guardrails=[{"metric": "latency"}]
    )
    assert Experiment.model_validate_json(made.model_dump_json()) == made
    assert made.control.name == "a"
    assert (made.in_layer, defined(layer="home").in_layer) == ("recommendations", "home")


def test_planned_units_of_two_variants_are_their_part_of_all() -> None:
    three = [*TWO, {"name": "c", "release": "c/1"}]
    assert defined(variants=three, planned_units=3000).planned_units_of_two == 2000
    assert defined().planned_units_of_two is None
