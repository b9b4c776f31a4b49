"""Intervals: against exact ones, in simulation, and with rows that depend on each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.training.evaluation.counterfactual.bandits import TRUTH, outcomes, weighted
from training.evaluation.counterfactual.estimators import Weighted, doubly_robust, ips, snips
from training.evaluation.counterfactual.intervals import Influence, minus, per_cluster
from training.evaluation.counterfactual.rewards import Predictions


def of_mean(values_N: np.ndarray, clusters_N: np.ndarray | None = None, **options: float) -> Influence:
    clusters_N = np.arange(len(values_N)) if clusters_N is None else clusters_N
    value = float(values_N.mean())
    return Influence(value, per_cluster(values_N - value, clusters_N), **options)


def test_symmetrical_values_get_students_interval():
    values_N = np.concatenate([np.arange(-20.0, 21.0), np.zeros(9)])
    found = of_mean(values_N)
    low, high = stats.t.interval(0.95, 49, loc=0.0, scale=stats.sem(values_N))
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.standard_error == pytest.approx(stats.sem(values_N))


def test_the_ends_are_quantiles_of_the_statistic_without_its_skewness():
    """Hall's g, written out, of (estimate − end) / error is Student's quantile at either end."""
    values_N = np.random.default_rng(0).exponential(size=60) ** 2
    found = of_mean(values_N)
    ends = np.array([found.interval.low, found.interval.high])
    t = (found.value - ends) / found.standard_error
    s = stats.skew(values_N) / np.sqrt(60)
    assert s > 0.2
    assert t + s * t**2 / 3 + s**2 * t**3 / 27 + s / 6 == pytest.approx(stats.t.ppf([0.975, 0.025], 59))


@pytest.mark.parametrize("clicks", [15, 38, 150])
def test_rare_clicks_get_an_interval_close_to_the_exact_one_of_a_count(clicks: int):
    """Clopper and Pearson's, which is a little too wide; the symmetrical one misses its upper end by 9 to 25% of the width."""
    values_N = (np.arange(10_000) < clicks).astype(float)
    found = of_mean(values_N).interval
    exact = stats.binomtest(clicks, 10_000).proportion_ci(0.95, method="exact")
    width = exact.high - exact.low
    assert abs(found.high - exact.high) < 0.06 * width
    assert abs(found.low - exact.low) < 0.06 * width


def test_rows_of_a_cluster_that_say_the_same_count_once():
    """Each row four times: with clusters the error is that of the single rows, without it is half."""
    values_N = np.random.default_rng(0).exponential(size=500)
    single, copies = of_mean(values_N), np.repeat(values_N, 4)
    together = of_mean(copies, np.repeat(np.arange(500), 4))
    assert together.value == pytest.approx(single.value)
    assert together.standard_error == pytest.approx(single.standard_error)
    assert (together.interval.low, together.interval.high) == pytest.approx((single.interval.low, single.interval.high))
    assert of_mean(copies).standard_error == pytest.approx(single.standard_error / 2, rel=1e-3)


def test_clusters_of_other_sizes_have_the_error_of_a_quotient_of_sums():
    """Against the delta method for Σ sums / Σ sizes over clusters, written out."""
    rng = np.random.default_rng(1)
    clusters_N = np.repeat(np.arange(300), rng.integers(1, 6, 300))
    values_N = rng.random(len(clusters_N)) + rng.random(300)[clusters_N]
    sums, sizes = np.bincount(clusters_N, values_N), np.bincount(clusters_N)
    value = sums.sum() / sizes.sum()
    error = np.sqrt(np.var(sums - value * sizes, ddof=1) / 300) / sizes.mean()
    found = of_mean(values_N, clusters_N)
    assert found.value == pytest.approx(value)
    assert found.standard_error == pytest.approx(error, rel=1e-6)


def test_model_and_bias_widen_an_interval():
    """Variances add up, with the fewer degrees of freedom that replicates have; the bias is added in squares."""
    values_N = np.tile([-1.0, 1.0], 500)
    plain = of_mean(values_N)
    modelled = of_mean(values_N, variance_of_model=plain.standard_error**2, num_models=10)
    assert modelled.standard_error == pytest.approx(np.sqrt(2) * plain.standard_error)
    t = stats.t.ppf(0.975, 1 / (0.25 / 999 + 0.25 / 9))
    assert modelled.interval.high == pytest.approx(t * modelled.standard_error)
    biased = of_mean(values_N, bias=plain.standard_error)
    assert biased.interval.high == pytest.approx(np.sqrt(2) * plain.interval.high)
    assert biased.standard_error == plain.standard_error


def test_what_two_estimates_share_cancels_out_in_their_difference():
    log = draw(np.random.default_rng(2), 1)[0]
    assert minus(ips(log), ips(log)).interval.high == 0.0
    paired, apart = minus(snips(log), ips(log)), np.hypot(snips(log).standard_error, ips(log).standard_error)
    assert paired.standard_error < apart
    assert paired.value == pytest.approx(snips(log).value - ips(log).value)


def test_weights_in_another_unit_change_nothing_of_self_normalised_ips():
    log = draw(np.random.default_rng(2), 1)[0]
    tripled = replace(log, weights_N=3 * log.weights_N)
    assert snips(tripled).value == pytest.approx(snips(log).value)
    assert snips(tripled).interval.high == pytest.approx(snips(log).interval.high)
    assert ips(tripled).interval.high == pytest.approx(3 * ips(log).interval.high)


def draw(rng: np.random.Generator, num_logs: int, num_rows: int = 300, copies: int = 1) -> list[Weighted]:
    """Logs of the made-up bandit, with its true rates blurred as a reward model; each row a cluster of equal copies."""
    contexts, actions, rewards, probs = outcomes()
    blurred_XA = np.array([[0.2, 0.5, 0.4], [0.4, 0.4, 0.6]])
    logs = []
    for _ in range(num_logs):
        rows = np.repeat(rng.choice(len(probs), size=num_rows, p=probs), copies)
        clusters = np.repeat(np.arange(num_rows), copies)
        logs.append(weighted(contexts[rows], actions[rows], rewards[rows], expected_XA=blurred_XA, clusters=clusters))
    return logs


@pytest.mark.parametrize("copies", [1, 3])
def test_intervals_hold_the_truth_as_often_as_they_say(copies: int):
    """1,000 logs of 300 clusters: 95% ± 2 (three standard errors of that count) of the intervals of IPS, SNIPS and DR hold the truth."""
    logs = draw(np.random.default_rng(3), 1_000, copies=copies)
    for estimate in (ips, snips, doubly_robust):
        found = [estimate(log).interval for log in logs]
        covered = np.mean([interval.low <= TRUTH <= interval.high for interval in found])
        assert 0.93 <= covered <= 0.97, (estimate.__name__, covered)


def test_the_models_own_variance_is_the_jackknife_of_its_folds():
    """A model that predicts the mean of what it saw: the delete-a-group jackknife of a mean, written out, for groups of one size."""
    rng = np.random.default_rng(4)
    rewards_N, folds_N = rng.random(100), np.arange(100) % 10
    means_K = np.array([rewards_N[folds_N != fold].mean() for fold in range(10)])
    constant_KN = np.repeat(means_K[:, None], 100, axis=1)
    predictions = Predictions(constant_KN, constant_KN, folds_N)
    groups_K = np.array([rewards_N[folds_N == fold].mean() for fold in range(10)])
    assert predictions.variance(np.zeros(100)) == pytest.approx(np.var(groups_K, ddof=1) / 10)
    assert predictions.variance(np.ones(100)) == pytest.approx(0.0, abs=1e-18), "weights of mean one cancel it"
