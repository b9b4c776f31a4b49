"""Looking daily at a report is honest, also where people come back, and quotients and the time before are what they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from app.experiments.outcomes import Answers, Events, Outcomes, Period, Units
from app.experiments.reports.analysis import compare_variants
from app.experiments.reports.figures import Comparison
from tests.app.experiments.stores import definition

_HOUR = 3_600_000_000
_START = 10**15
_UNITS = 800
_RUNS = 120


def same_rankers(seed: int, *, lift: float = 0.0) -> Outcomes:
    """Users who visit often or rarely and click often or rarely, before and during ten days; `b` has so much more clicks."""
    rng = np.random.default_rng(seed)
    rate_N, variant_N = rng.beta(2, 5, _UNITS), rng.integers(0, 2, _UNITS)
    exposed_N = rng.uniform(0, 200, _UNITS)
    again = np.repeat(np.arange(_UNITS), rng.poisson(rng.gamma(1.5, 3, _UNITS)))
    before = np.repeat(np.arange(_UNITS), rng.poisson(4, _UNITS))
    unit_A = np.concatenate([np.arange(_UNITS), again, before])
    hours_A = np.concatenate([exposed_N, rng.uniform(exposed_N[again], 240.0), rng.uniform(-200, -1, len(before))])
    is_before_A, time_A = hours_A < 0, (hours_A * _HOUR).astype(np.int64) + _START
    num_answers, none_A = len(unit_A), np.full(len(unit_A), -1)
    chance_A = rate_N[unit_A] * (1.0 + lift * ((variant_N[unit_A] == 1) & ~is_before_A))
    clicked = np.flatnonzero(rng.random(num_answers) < chance_A)
    clicked = clicked[np.argsort(time_A[clicked])]
    return Outcomes(
        experiment=definition(),
        period=Period(before=_START - 600 * _HOUR, start=_START, end=_START + 240 * _HOUR, last=_START + 241 * _HOUR),
        units=Units(
            names=pd.Index(np.arange(_UNITS)),
            variant_N=variant_N,
            propensity_N=np.full(_UNITS, 0.5),
            revision_N=np.ones(_UNITS, dtype=np.int64),
            exposed_N=time_A[:_UNITS],
        ),
        answers=Answers(
            names=pd.Index(np.arange(num_answers)),
            unit_A=unit_A,
            time_A=time_A,
            milliseconds_A=np.ones(num_answers),
            session_A=none_A,
            is_before_A=is_before_A,
            is_override_A=np.zeros(num_answers, dtype=bool),
            variant_A=variant_N[unit_A],
            fallback_A=none_A,
            teams=None,
            items=None,
        ),
        events=Events(
            types=["click"],
            type_E=np.zeros(len(clicked), dtype=np.int64),
            unit_E=unit_A[clicked],
            is_lost_E=np.zeros(len(clicked), dtype=bool),
            time_E=time_A[clicked] + 1000,
            answer_E=clicked,
            item_E=np.zeros(len(clicked), dtype=np.int64),
            session_E=np.full(len(clicked), -1),
            value_E=np.full(len(clicked), np.nan),
            items=np.array(["i"], dtype=object),
        ),
    )


def compared(outcomes: Outcomes) -> Comparison:
    return compare_variants(outcomes, np.full(_UNITS, 0.5), outcomes.looks())[0].comparisons[0]


@pytest.fixture(scope="module")
def without_difference() -> list[Comparison]:
    return [compared(same_rankers(seed)) for seed in range(_RUNS)]


def ever_wrong(runs: list[Comparison], kind: str, truth: float = 0.0) -> float:
    """The share of experiments in which some look's interval misses the truth."""
    wrong = 0
    for one in runs:
        intervals = [getattr(point, kind) for point in one.points if getattr(point, kind) is not None]
        assert len(intervals) >= 5
        wrong += any(not low <= truth <= high for low, high in intervals)
    return wrong / len(runs)


def test_ten_daily_looks_find_a_difference_that_is_not_there_in_less_than_one_of_twenty(without_difference):
    """The fixed-horizon interval, looked at as often, does in far more: that is why both are shown."""
    assert all(len(one.points) == 10 for one in without_difference)
    assert ever_wrong(without_difference, "interval") <= 0.05
    assert ever_wrong(without_difference, "fixed") > 0.1


def test_the_time_before_narrows_intervals(without_difference):
    assert np.mean([one.variance_reduction for one in without_difference]) > 0.05


def test_a_difference_that_is_there_is_covered_at_all_looks_and_found_at_the_end():
    """+30% for everybody is +30% in all."""
    runs = [compared(same_rankers(1000 + seed, lift=0.3)) for seed in range(40)]
    assert ever_wrong(runs, "interval", truth=0.3) <= 0.05
    assert {one.verdict for one in runs} <= {"better", "undecided"}
    assert sum(one.verdict == "better" for one in runs) > 10
