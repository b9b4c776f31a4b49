"""Plans against textbook formulas, and what looking costs against simulation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from app.experiments.statistics import PlanInvalid, plan
from app.experiments.statistics.crossing import cost_of_looking, crossed_by
from app.experiments.statistics.sequences import best_scale, critical_value


def textbook(variance: float, effect: float, level: float = 0.95, power: float = 0.8) -> float:
    """Units of both variants of one size: 2 (z + z')² (σ² + σ'²) / Δ², with the mean of both variances."""
    return 4 * (stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power)) ** 2 * variance / effect**2


def test_shares_of_units_take_what_the_textbook_says():
    found = plan(baseline=0.1, minimum_effect=0.1)
    assert found.units == pytest.approx(textbook((0.1 * 0.9 + 0.11 * 0.89) / 2, 0.01), abs=3)
    assert found.units_by_variant[0] == found.units_by_variant[1]
    assert found.absolute_effect == pytest.approx(0.01) and found.deviation == pytest.approx(0.3)
    json.dumps(found.as_json(), allow_nan=False)


def test_the_time_before_saves_its_part_of_the_units():
    plain = plan(baseline=5.0, deviation=4.0, minimum_effect=0.02)
    saved = plan(baseline=5.0, deviation=4.0, minimum_effect=0.02, correlation=0.6)
    assert plain.units == pytest.approx(textbook(16.0 * (1 + 1.02**2) / 2, 0.1), abs=3)
    assert saved.units / plain.units == pytest.approx(0.64, rel=1e-3)


def test_variants_of_unequal_size_and_several_comparisons_take_more():
    """Control 2, treatments 1 and 1: each comparison at 97.5%, its variance of means σ²/(n/2) + σ'²/(n/4)."""
    found = plan(baseline=5.0, deviation=4.0, minimum_effect=0.02, weights=(2.0, 1.0, 1.0))
    per_unit = 16.0 * (2.0 + 1.02**2 * 4.0)
    assert found.units == pytest.approx(textbook(per_unit / 4, 0.1, level=0.975), rel=1e-4)
    assert found.units_by_variant[0] == pytest.approx(2 * found.units_by_variant[1], abs=1)


def test_days_are_those_of_the_traffic():
    found = plan(baseline=0.1, minimum_effect=0.1, units_a_day=1_000, traffic=0.2)
    assert found.days == pytest.approx(found.units / 200, rel=1e-3)
    assert found.always_valid_days == pytest.approx(found.always_valid_units / 200, rel=1e-3)
    assert plan(baseline=0.1, minimum_effect=0.1).days is None


def test_huge_and_tiny_effects_are_planned_for():
    assert plan(baseline=5.0, deviation=0.1, minimum_effect=100.0, weights=(8, 1, 1)).units_by_variant == (16, 2, 2)
    assert plan(baseline=5.0, deviation=1.0, minimum_effect=1e-6).units > 1e12


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(PlanInvalid) as caught:
        plan(baseline=2.0, minimum_effect=0.0, level=0.2, weights=(1.0,), correlation=1.0, traffic=0.0, looks=0)
    for words in ("--sd", "minimum effect is 0", "level is 0.2", "1 variants", "correlation", "traffic", "0 looks"):
        assert words in str(caught.value)
    for bad in (math.nan, math.inf, -1.0):
        with pytest.raises(PlanInvalid):
            plan(baseline=bad, minimum_effect=0.1)
        with pytest.raises(PlanInvalid):
            plan(baseline=0.1, minimum_effect=0.1, units_a_day=bad)


def test_a_share_that_would_grow_beyond_all_units_is_refused():
    """Of 90% of the users 20% more would be 108%; values with a spread of their own may be so."""
    with pytest.raises(PlanInvalid, match=r"0\.9 cannot grow by 20%"):
        plan(baseline=0.9, minimum_effect=0.2)
    assert plan(baseline=0.5, minimum_effect=1.0).units > 0
    assert plan(baseline=0.9, minimum_effect=0.2, deviation=1.0).units > 0


@pytest.mark.parametrize("drift", [0.0, 3.0])
def test_chances_of_crossing_are_those_of_simulated_walks(drift: float):
    """20,000 Brownian motions with ten looks: within four standard errors at every look."""
    looks = 10
    rng = np.random.default_rng(0)
    times = np.arange(1, looks + 1) / looks
    walks = np.cumsum(rng.normal(drift / looks, math.sqrt(1 / looks), (20_000, looks)), axis=1)
    ends = critical_value(best_scale(0.2) * times, 0.8) * np.sqrt(times)
    simulated = np.maximum.accumulate(np.abs(walks) > ends, axis=1).mean(axis=0)
    exact = crossed_by(drift, looks, level=0.8)
    assert np.all(np.abs(simulated - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4)


def test_one_look_costs_what_its_boundary_costs():
    """Power needs c + z' instead of z + z' standard errors, squared in units."""
    reach = critical_value(best_scale(0.05), 0.95)
    z = stats.norm.ppf([0.975, 0.8])
    assert cost_of_looking(0.95, 0.8, 1).units == pytest.approx(((reach + z[1]) / z.sum()) ** 2, rel=1e-3)


def test_looking_more_often_needs_fewer_units_and_stops_earlier():
    costs = [cost_of_looking(0.95, 0.8, looks) for looks in (1, 5, 30)]
    assert costs[0].units > costs[1].units > costs[2].units > 1.5
    assert costs[0].typical > costs[1].typical > costs[2].typical > 1.0
