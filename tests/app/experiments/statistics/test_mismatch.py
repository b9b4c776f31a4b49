"""Sample-ratio mismatch against SciPy, tea-tasting, and its promise over many looks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tea_tasting
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from app.experiments.statistics import mismatch, mismatches
from app.experiments.statistics.mismatch import log_likelihood_ratio


def test_many_units_get_pearsons_test():
    found = mismatch((5_100, 4_950, 9_950), (1, 1, 2))
    assert found.p_value == pytest.approx(stats.chisquare([5_100, 4_950, 9_950], [5_000, 5_000, 10_000]).pvalue)
    assert found.expected == pytest.approx((5_000, 5_000, 10_000)) and not found.is_red
    theirs = tea_tasting.SampleRatio(2.0, method="norm", correction=False)
    counts = {side: tea_tasting.aggr.Aggregates(count_=count) for side, count in ((0, 3_100), (1, 5_900))}
    assert mismatch((3_100, 5_900), (1, 2)).p_value == pytest.approx(theirs.analyze(counts, 0, 1).pvalue)


def test_few_units_get_exact_tests():
    assert mismatch((9, 0), (1, 1)).p_value == pytest.approx(2 / 2**9)
    smallest = min(stats.binomtest(count, 9, share).pvalue for count, share in ((9, 0.25), (0, 0.25), (0, 0.5)))
    assert mismatch((9, 0, 0), (1, 1, 2)).p_value == pytest.approx(3 * smallest)
    assert mismatch((0, 0), (1, 1)).p_value == 1.0


def test_a_variant_that_got_what_it_should_not_is_red_at_once():
    found = mismatch((10, 1, 10), (1, 0, 1))
    assert found.p_value == found.always_valid_p_value == 0.0 and found.is_red
    json.dumps(found.as_json(), allow_nan=False)
    assert not mismatch((10, 0, 10), (1, 0, 1)).is_red


def test_the_sequential_ratio_is_the_dirichlet_mixture():
    """A Dirichlet-multinomial over a multinomial, by SciPy; the numbers of orders cancel."""
    counts, shares = np.array([40, 25, 60]), np.array([0.3, 0.2, 0.5])
    expected = stats.dirichlet_multinomial(500 * shares, 125).logpmf(counts) - stats.multinomial(125, shares).logpmf(counts)
    assert log_likelihood_ratio(counts.astype(float), shares) == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(0.05, 0.95))
def test_the_sequential_ratio_is_one_on_average(total: int, share: float):
    """Over all counts with their probabilities, which is what makes 1 over it valid at any look (Ville's inequality)."""
    counts = np.arange(total + 1.0)
    ratios = [np.exp(log_likelihood_ratio(np.array([total - k, k]), np.array([1 - share, share]))) for k in counts]
    assert np.dot(ratios, stats.binom.pmf(counts, total, share)) == pytest.approx(1.0)


def test_shares_that_change_along_the_way_are_followed():
    """Half and half for 1,000 units, then 9 to 1: the units fit the sum of both, and half and half over all would be red."""
    rng = np.random.default_rng(0)
    first, second = rng.binomial(1_000, 0.5), rng.binomial(1_000, 0.1)
    looks = [((1_000 - first, first), (500.0, 500.0)), ((2_000 - first - second, first + second), (1_400.0, 600.0))]
    found = mismatches(looks)
    assert not found[-1].is_red and found[-1].always_valid_p_value > 0.5
    assert mismatch(*looks[-1][:1], (1, 1)).is_red


def test_evidence_from_before_a_change_of_shares_is_kept():
    """The ratios of both segments are multiplied: 540 to 460 where half was meant, then 850 to 150 where 9 to 1 was."""
    found = mismatches([((540, 460), (500.0, 500.0)), ((1_390, 610), (1_400.0, 600.0))])
    evidence = [
        log_likelihood_ratio(np.array(counts, dtype=float), np.array(shares))
        for counts, shares in (((540, 460), (0.5, 0.5)), ((850, 150), (0.9, 0.1)))
    ]
    assert found[0].always_valid_p_value == pytest.approx(np.exp(-evidence[0]))
    assert found[1].always_valid_p_value == pytest.approx(np.exp(-sum(evidence)))


def test_a_broken_assignment_is_found_and_stays_found():
    """One unit in twenty of the treatment is lost; p of the sequence never rises."""
    rng = np.random.default_rng(0)
    arrived = np.cumsum(rng.binomial(1_000, 0.475 / 0.975, 40))
    found = mismatches([((1_000 * (day + 1) - own, own), (1, 1)) for day, own in enumerate(arrived.tolist())])
    p = [each.always_valid_p_value for each in found]
    assert p == sorted(p, reverse=True) and p[-1] < 0.001 and found[-1].is_red


def test_numbers_that_fit_nothing_are_refused():
    with pytest.raises(ValueError, match="two variants or more"):
        mismatch((1,), (1,))
    with pytest.raises(ValueError, match="not all of them 0"):
        mismatch((1, 2), (0, 0))
