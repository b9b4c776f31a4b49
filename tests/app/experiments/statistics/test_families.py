"""Correction for several comparisons, and guardrails."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.experiments.statistics import Sample, guardrail, holm, sequence, simultaneous_level
from tests.app.experiments.statistics.made import visits


def test_holm_by_hand():
    """Sorted .01 · 4, .02 · 3, .03 · 2, .5 · 1, each no less than the one before."""
    found = holm({"a": 0.02, ("b", 1): 0.5, "c": None, "d": 0.01, "e": 0.03})
    assert found == {"a": pytest.approx(0.06), ("b", 1): 0.5, "c": None, "d": pytest.approx(0.04), "e": pytest.approx(0.06)}
    assert holm({"a": None}) == {"a": None} and holm({}) == {}


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_is_what_its_definition_says(p_values: list[float]):
    found = holm(dict(enumerate(p_values)))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    largest = 0.0
    for rank, key in enumerate(order):
        largest = max(largest, min(1.0, p_values[key] * (len(p_values) - rank)))
        assert found[key] == pytest.approx(largest)


def test_levels_that_hold_together():
    assert simultaneous_level(0.95, 5) == pytest.approx(0.99)
    assert simultaneous_level(0.95, 1) == simultaneous_level(0.95, 0) == 0.95


def latency(num_units: int, mean: float, seed: int) -> Sample:
    return Sample(numerator_N=np.random.default_rng(seed).gamma(4.0, mean / 4.0, num_units))


@pytest.mark.parametrize(
    ("mean", "num_units", "state"),
    [(100.0, 3_000, "kept"), (125.0, 3_000, "violated"), (110.0, 3_000, "not yet known"), (100.0, 150, "not yet known")],
)
def test_a_latency_may_be_ten_percent_higher(mean: float, num_units: int, state: str):
    found = guardrail(
        [(latency(num_units, 100.0, 1), latency(num_units, mean, 2))], margin=0.1, better="lower", planned_units=6_000
    )
    assert found.state == state and found.interval is not None and found.slack in found.interval
    assert found.slack == pytest.approx(110.0 - mean, abs=6.0)
    json.dumps(found.as_json(), allow_nan=False)


def test_without_a_margin_the_slack_is_the_difference():
    looks = [(visits(300, seed=1, before=True), visits(300, seed=2, before=True))]
    (step,) = sequence(looks, planned_units=600)
    assert guardrail(looks, margin=0.0, planned_units=600).interval == step.interval
    lower = guardrail(looks, margin=0.0, better="lower", planned_units=600)
    assert lower.interval is not None and step.interval is not None
    assert (lower.interval.low, lower.interval.high) == pytest.approx((-step.interval.high, -step.interval.low))


def test_a_margin_of_a_negative_control_is_below_it():
    looks = [tuple(Sample(numerator_N=np.random.default_rng(seed).normal(-10.0, 1.0, 500)) for seed in (1, 2))]
    found = guardrail(looks, margin=0.1, planned_units=1_000)  # type: ignore[arg-type]
    assert found.slack == pytest.approx(1.0, abs=0.3) and found.state == "kept"


def test_during_the_burn_in_nothing_is_known():
    found = guardrail([(visits(50), visits(50))], margin=0.1)
    assert found.state == "not yet known" and found.interval is None
    assert found.problem is not None and "50 units" in found.problem
