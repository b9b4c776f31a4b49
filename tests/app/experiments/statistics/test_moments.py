"""Estimates and variances in closed form against NumPy, tea-tasting and enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from tea_tasting.aggr import read_aggregates
from tea_tasting.metrics import RatioOfMeans

from app.experiments.statistics import Sample, from_history
from app.experiments.statistics.moments import Moments, contrast
from app.experiments.statistics.samples import COLUMNS
from tests.app.experiments.statistics.made import visits


def test_moments_are_numpys_and_add_up():
    values = np.random.default_rng(0).normal(3.0, 2.0, (50, 4))
    whole = Moments.of(values)
    assert whole.mean_4 == pytest.approx(values.mean(axis=0))
    assert whole.cov_44 == pytest.approx(np.cov(values.T))
    together = Moments.of(values[:20]) + Moments.of(values[20:])
    assert together.units == 50
    assert together.mean_4 == pytest.approx(whole.mean_4)
    assert together.cov_44 == pytest.approx(whole.cov_44)


def test_aggregates_are_those_that_tea_tasting_reads_itself():
    import pyarrow as pa  # noqa: PLC0415 - only here

    sample = visits(100, before=True)
    table = pa.table({name: getattr(sample, f"{name}_N") for name in COLUMNS})
    pairs = [(name, other) for name in COLUMNS for other in COLUMNS if name < other]
    expected = read_aggregates(table, None, has_count=True, mean_cols=COLUMNS, var_cols=COLUMNS, cov_cols=pairs)
    assert sample.aggregates.count_ == expected.count_
    for part in ("mean_", "var_", "cov_"):
        assert getattr(sample.aggregates, part) == pytest.approx(getattr(expected, part))


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("lift", [0.0, 0.1])
def test_a_contrast_is_tea_tastings(before: bool, lift: float):
    """Estimates and the error of the difference equal `RatioOfMeans`, which the public difference is computed with."""
    control, treatment = visits(300, seed=1, before=before), visits(200, seed=2, lift=lift, before=before)
    found = contrast(control.moments, treatment.moments)
    metric = RatioOfMeans(*COLUMNS) if before else RatioOfMeans(*COLUMNS[:2])
    expected = metric.analyze_aggregates(control.aggregates, treatment.aggregates)
    assert found.control == pytest.approx(expected.control)
    assert found.treatment == pytest.approx(expected.treatment)
    assert np.sqrt(found.variance()) == pytest.approx(expected.effect_size / expected.statistic)
    assert (found.theta != 0) == before


def test_many_experiments_at_once_are_each_computed_as_alone():
    pairs = [(visits(60, seed=2 * i, before=True), visits(50, seed=2 * i + 1, before=True)) for i in range(6)]
    stacked = [
        Moments(*(np.stack([getattr(pair[side].moments, name) for pair in pairs]) for name in ("units", "mean_4", "cov_44")))
        for side in (0, 1)
    ]
    together = contrast(*stacked)
    for i, pair in enumerate(pairs):
        alone = contrast(*(sample.moments for sample in pair))
        for name in ("control", "treatment", "control_error", "treatment_error", "unadjusted_variance", "size"):
            assert getattr(together, name)[i] == pytest.approx(getattr(alone, name), rel=1e-12)
        assert together.cautious().variance()[i] == pytest.approx(alone.cautious().variance(), rel=1e-12)


def test_errors_after_cuped_are_those_of_repeated_experiments():
    """Drawn 4,000 times: the standard deviations of both estimates and of their difference are the mean errors, within 4%.

    The errors of the single estimates are more than the roots of the variances, because both share the mean of the time before.
    """
    rng = np.random.default_rng(0)
    found = []
    for units in (60, 40):
        before = rng.normal(5.0, 1.0, (4_000, units))
        now = before + rng.normal(0.0, 0.5, before.shape)
        columns = np.stack([now, np.ones_like(now), before, np.ones_like(now)], axis=-1)
        each = [Moments.of(rows) for rows in columns]
        found.append(Moments(*(np.stack([getattr(one, name) for one in each]) for name in ("units", "mean_4", "cov_44"))))
    both = contrast(*found)
    assert both.control.std() == pytest.approx(both.control_error.mean(), rel=0.04)
    assert both.treatment.std() == pytest.approx(both.treatment_error.mean(), rel=0.04)
    assert (both.treatment - both.control).std() == pytest.approx(np.sqrt(both.variance()).mean(), rel=0.04)
    assert both.control.std() > 1.3 * np.sqrt(both.control_variance).mean()


def test_caution_changes_nothing_between_variants_of_one_size_and_doubts_a_small_one_without_events():
    even = contrast(visits(200, seed=1).moments, visits(200, seed=2).moments)
    assert even.cautious().variance() == pytest.approx(even.variance(), rel=1e-6)
    many = np.zeros(2_000)
    many[:20] = 1.0
    uneven = contrast(Sample(numerator_N=many).moments, Sample(numerator_N=np.zeros(100)).moments)
    assert uneven.treatment_variance == 0.0
    assert uneven.cautious().treatment_variance == pytest.approx(0.01 * 0.99 / 100, rel=0.06)


def test_history_gives_a_plan_what_it_needs():
    """Of numbers with mean 10, deviation 2 and correlation .8 with the time before."""
    rng = np.random.default_rng(0)
    before = rng.normal(10.0, 2.0, 50_000)
    now = 10.0 + 0.8 * (before - 10.0) + rng.normal(0.0, 1.2, 50_000)
    assert from_history(Sample(numerator_N=now, before_numerator_N=before)) == pytest.approx((10.0, 2.0, 0.8), rel=0.02)
    assert from_history(Sample(numerator_N=now))[2] == 0.0
