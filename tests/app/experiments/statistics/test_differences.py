"""Fixed-horizon comparisons against SciPy, and what is said where nothing can be."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from app.experiments.statistics import Sample, difference, guardrail, look
from tests.app.experiments.statistics.made import visits


def test_means_are_compared_by_welchs_test():
    """Estimates, errors, interval and p equal SciPy's for unequal variances and sizes."""
    rng = np.random.default_rng(0)
    first, second = rng.gamma(1.0, 2.0, 300), rng.gamma(1.2, 2.0, 500)
    found = difference(Sample(numerator_N=first), Sample(numerator_N=second), level=0.9)
    scipys = stats.ttest_ind(second, first, equal_var=False)
    assert found.absolute == pytest.approx(second.mean() - first.mean())
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(scipys.confidence_interval(0.9)))
    assert found.p_value == pytest.approx(scipys.pvalue)
    assert {type(end) for each in (found.interval, found.relative_interval) if each for end in (each.low, each.high)} == {float}
    assert found.control.error == pytest.approx(stats.sem(first))
    assert found.relative == pytest.approx(second.mean() / first.mean() - 1.0)
    assert found.variance_reduction is None and found.problem is None
    assert (found.control.units, found.treatment.units) == (300, 500)


def test_quotients_are_compared_with_units_as_the_unit():
    """The error of ΣN/ΣD is that of the mean of (n − R d) / mean(d), computed by hand; clicks of one user are not independent."""
    control, treatment = visits(400, seed=1), visits(300, seed=2, lift=0.03)
    found = difference(control, treatment)
    for estimate, sample in ((found.control, control), (found.treatment, treatment)):
        assert sample.denominator_N is not None
        ratio = sample.numerator_N.sum() / sample.denominator_N.sum()
        linear_N = (sample.numerator_N - ratio * sample.denominator_N) / sample.denominator_N.mean()
        assert estimate.value == pytest.approx(ratio)
        assert estimate.error == pytest.approx(stats.sem(linear_N))
    assert found.interval is not None and found.absolute is not None
    assert found.absolute in found.interval


def test_the_time_before_narrows_the_interval_and_leaves_the_difference_unbiased():
    """With correlation r of before and now, CUPED leaves 1 − r² of the variance (Deng et al. 2013, Eq. 5); here r = 0.8."""
    rng = np.random.default_rng(3)
    samples = []
    for lift in (0.0, 0.5):
        before_N = rng.normal(10.0, 2.0, 20_000)
        now_N = 1.6 / 2.0 * before_N + rng.normal(0.0, 1.2, 20_000) + lift
        samples.append(Sample(numerator_N=now_N, before_numerator_N=before_N))
    found = difference(*samples)
    assert found.variance_reduction == pytest.approx(0.64, abs=0.02)
    assert found.absolute == pytest.approx(0.5, abs=4 * 1.2 * math.sqrt(2 / 20_000))
    # The levels' own errors keep the part that the two share: Var = (1 − r²)σ²/n + r²σ²/(2n) = 1.44/n + 2.56/(2n).
    assert found.control.error == pytest.approx(math.sqrt((1.44 + 1.28) / 20_000), rel=0.02)


def test_an_unknown_or_constant_time_before_changes_nothing():
    values = np.random.default_rng(0).normal(size=(2, 50))
    plain = difference(*(Sample(numerator_N=row) for row in values))
    constant = difference(*(Sample(numerator_N=row, before_numerator_N=np.full(50, 3.0)) for row in values))
    absent = difference(
        *(Sample(numerator_N=row, before_numerator_N=np.zeros(50), before_denominator_N=np.zeros(50)) for row in values)
    )
    assert constant.interval == absent.interval == plain.interval
    assert constant.variance_reduction == absent.variance_reduction == 0.0


@pytest.mark.parametrize(
    ("control", "treatment", "words"),
    [
        ([], [], "control has no units"),
        ([1.0, 2.0], [], "treatment has no units"),
        ([1.0], [1.0, 2.0], "control has one unit"),
        ([0.0, 0.0], [0.0, 0.0, 0.0], "same value"),
        ([0.1] * 7, [0.3] * 9, "same value"),
        ([1e200, 2e200], [1e200, 3e200], "too large"),
    ],
)
def test_where_nothing_can_be_said_it_says_so(control: list[float], treatment: list[float], words: str):
    found = difference(Sample(numerator_N=np.array(control)), Sample(numerator_N=np.array(treatment)))
    assert found.problem is not None and words in found.problem
    assert found.interval is None and found.p_value is None and found.relative_interval is None
    assert not found.is_significant
    json.dumps(found.as_json(), allow_nan=False)


def test_where_units_differ_between_variants_alone_no_share_of_the_variance_was_taken_away():
    """The time before goes with the variants, by chance, and there was no variance to begin with."""
    control = Sample(numerator_N=np.zeros(4), before_numerator_N=np.array([0.0, 0.0, 0.0, 1.0]))
    treatment = Sample(numerator_N=np.ones(4), before_numerator_N=np.array([0.0, 1.0, 1.0, 1.0]))
    found = difference(control, treatment)
    assert found.variance_reduction is None and found.interval is not None


def test_denominators_of_zero_are_nothing_to_divide_by():
    nothing = Sample(numerator_N=np.zeros(5), denominator_N=np.zeros(5))
    found = difference(visits(50), nothing)
    assert found.problem is not None and "treatment has nothing to divide by" in found.problem
    assert found.treatment.value is None and found.absolute is None and found.control.value is not None


def test_quotients_without_spread_are_seen_as_such_in_spite_of_rounding():
    """Every unit has the same quotient 0.3, so the linearised values are zero but for the last bits."""
    sides = [np.arange(1.0, 20.0), np.arange(1.0, 30.0)]
    found = difference(*(Sample(numerator_N=0.3 * side, denominator_N=side) for side in sides))
    assert found.problem is not None and "same value" in found.problem


def test_a_control_next_to_zero_has_no_relative_interval_but_an_absolute_one():
    """Exp of its logarithm's error has no floating-point number; the absolute comparison is still Welch's."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=100)
    noise -= noise.mean() - 1e-7
    other = rng.normal(1.0, 1.0, 100)
    found = difference(Sample(numerator_N=noise), Sample(numerator_N=other))
    scipys = stats.ttest_ind(other, noise, equal_var=False)
    assert found.relative_interval is None
    assert found.p_value == pytest.approx(scipys.pvalue)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(scipys.confidence_interval()))


def test_values_below_zero_have_no_relative_interval():
    found = difference(*(Sample(numerator_N=np.random.default_rng(seed).normal(-3.0, 1.0, 50)) for seed in (1, 2)))
    assert found.interval is not None and found.relative is None and found.relative_interval is None


finite = st.floats(-1e6, 1e6, allow_subnormal=False) | st.floats(-1e300, 1e300)


@settings(deadline=None)
@example([(1e-124, 0, 0, 0), (0, 0, 0, 0), (1e185, 0, 0, 0)], 1, False)
@example([(1.7e308, 1, 1.7e308, 1)] * 2 + [(-1.7e308, 1, -1.7e308, 1)] * 2, 2, False)
@given(st.lists(st.tuples(finite, st.floats(0, 1e6), finite, st.floats(0, 1e6)), max_size=8), st.integers(0, 8), st.booleans())
def test_whatever_the_values_no_nan_and_no_warning_escapes(rows: list[tuple[float, ...]], cut: int, ratio: bool):
    columns_4N = np.array(rows, dtype=np.float64).reshape(-1, 4).T

    def sample(part: slice) -> Sample:
        numerator, denominator, before, before_denominator = (column[part] for column in columns_4N)
        return Sample(
            numerator_N=numerator,
            denominator_N=denominator if ratio else None,
            before_numerator_N=before,
            before_denominator_N=before_denominator if ratio else None,
        )

    pair = sample(slice(cut)), sample(slice(cut, None))
    found = difference(*pair)
    json.dumps(found.as_json(), allow_nan=False)
    json.dumps(look(*pair, burn_in=2).as_json(), allow_nan=False)
    json.dumps(guardrail([pair], margin=0.1, burn_in=2).as_json(), allow_nan=False)
    assert (found.problem is None) == (found.interval is not None) == (found.p_value is not None)


def test_samples_refuse_what_is_no_sample():
    with pytest.raises(ValueError, match="one value for each of 2 units"):
        Sample(numerator_N=np.ones(2), denominator_N=np.ones(3))
    with pytest.raises(ValueError, match="NaN"):
        Sample(numerator_N=np.array([1.0, np.nan]))
