"""Tests and intervals against SciPy and against enumeration."""

from __future__ import annotations

import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from training.errors import ConfigError, DataError
from training.evaluation.paired_tests import holm, sign_flip_p_values, t_p_values, wilcoxon_p_values
from training.evaluation.significance import (
    bootstrap_means,
    compare_rankers,
    figure,
    mean_intervals,
    metric_intervals,
    over_seeds,
)


def differences(num_users: int, num_columns: int = 4, seed: int = 0) -> np.ndarray:
    """Per-user differences as metrics give them: coarse, skewed, many zeros; column m has mean about m / 10."""
    rng = np.random.default_rng(seed)
    values_UM = rng.gamma(0.5, 0.4, (num_users, num_columns)) - 0.2 + np.arange(num_columns) / 10
    return np.round(values_UM, 1)


def with_rankers(values_UM: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    return {f"r{m}": {"AP": column} for m, column in enumerate(values_UM.T)}


def test_few_users_get_the_exact_randomisation_test():
    """Against all 2^8 patterns of signs tried one by one, and against SciPy's own enumeration."""
    values_UM = differences(8)
    found_M = sign_flip_p_values(values_UM, np.random.default_rng(0), 10_000)
    patterns = np.array(list(product([-1, 1], repeat=8)))
    for m, column in enumerate(values_UM.T):
        counted = np.mean(np.abs(patterns @ column) >= abs(column.sum()) - 1e-9)
        scipys = stats.permutation_test((column,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        assert found_M[m] == pytest.approx(counted, abs=1e-12)
        assert found_M[m] == pytest.approx(scipys, abs=1e-12)


def test_many_users_get_a_sampled_randomisation_test_close_to_the_exact_one():
    """16 users, 65,536 patterns: 40,000 drawn ones are within four standard errors, and p is never zero."""
    values_UM = differences(16)
    exact_M = sign_flip_p_values(values_UM, np.random.default_rng(0), 2**16)
    sampled_M = sign_flip_p_values(values_UM, np.random.default_rng(0), 40_000)
    assert np.all(np.abs(sampled_M - exact_M) < 4 * np.sqrt(exact_M * (1 - exact_M) / 40_000) + 1e-4)
    assert sign_flip_p_values(np.ones((60, 1)), np.random.default_rng(0), 999)[0] == 1 / 1000


def test_t_and_wilcoxon_equal_scipys():
    values_UM = differences(80)
    assert t_p_values(values_UM) == pytest.approx(stats.ttest_1samp(values_UM, 0.0, axis=0).pvalue, rel=1e-10)
    assert wilcoxon_p_values(values_UM) == pytest.approx([stats.wilcoxon(column).pvalue for column in values_UM.T])


def test_rankers_that_never_differ_are_no_finding_and_those_that_always_do_are():
    """No spread at all: p is 1 for equal rankers, and for a constant difference as small as the test can give; no warnings."""
    same_U, more_U = np.linspace(0, 0.5, 40), np.linspace(0, 0.5, 40) + 0.25
    values = {"a": {"AP": same_U}, "b": {"AP": same_U}, "c": {"AP": more_U}}
    same, lower, _ = compare_rankers(values, ["AP"], num_resamples=1000)
    assert set(same.p_values.values()) == {1.0}
    assert (same.effect_size, same.num_equal, same.difference) == (None, 40, 0.0)
    assert lower.p_values["t"] == 0.0
    assert lower.p_values["randomisation"] == pytest.approx(1 / 1001)
    assert (lower.interval.low, lower.interval.high) == pytest.approx((-0.25, -0.25))


def test_a_bootstrap_draws_users_with_replacement_and_alike_for_all_columns():
    """Means of 0/1 columns are multiples of 1/U, columns that add up to one still do, and mean and spread are the known ones."""
    column_U = (np.arange(50) < 20).astype(float)
    means_RM = bootstrap_means(np.stack([column_U, 1.0 - column_U], axis=1), np.random.default_rng(1), 20_000)
    assert means_RM.shape == (20_000, 2)
    assert means_RM.sum(axis=1) == pytest.approx(1.0)
    assert np.round(means_RM * 50) == pytest.approx(means_RM * 50)
    assert means_RM[:, 0].mean() == pytest.approx(0.4, abs=0.002)
    assert means_RM[:, 0].std() == pytest.approx(np.sqrt(0.4 * 0.6 / 50), rel=0.02)


def test_a_bootstrap_in_chunks_is_the_same_bootstrap(monkeypatch: pytest.MonkeyPatch):
    values_UM = differences(30)
    whole = bootstrap_means(values_UM, np.random.default_rng(3), 500)
    monkeypatch.setattr("training.evaluation.significance._CELLS", 30 * 7)
    assert bootstrap_means(values_UM, np.random.default_rng(3), 500) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_equal_scipys_from_the_same_resamples(method):
    """Fed with our resampled means, SciPy's bootstrap reads off the same ends."""
    values_UM = differences(45) + np.random.default_rng(1).normal(0, 0.01, (45, 4))  # SciPy counts ties to the last bit
    means_RM = bootstrap_means(values_UM, np.random.default_rng([7, 0]), 2000)
    found = mean_intervals(values_UM, seed=7, num_resamples=2000, level=0.9, method=method)
    for m, column in enumerate(values_UM.T):
        given = SimpleNamespace(bootstrap_distribution=means_RM[:, m])
        theirs = stats.bootstrap(
            (column,), np.mean, n_resamples=0, bootstrap_result=given, confidence_level=0.9, method=method
        ).confidence_interval
        assert (found[m].low, found[m].high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_column_without_spread_has_an_interval_without_width():
    for method in ("percentile", "bca"):
        (interval,) = mean_intervals(np.full((9, 1), 0.3), method=method, num_resamples=200)
        assert (interval.low, interval.high) == pytest.approx((0.3, 0.3))


def test_intervals_hold_the_true_mean_as_often_as_they_say():
    """300 samples of 60 users from a skewed distribution of known mean: coverage of 95% intervals within four standard errors."""
    samples_UM = np.random.default_rng(5).beta(0.5, 1.5, (60, 300))
    intervals = mean_intervals(samples_UM, num_resamples=2000, method="bca")
    share = np.mean([interval.low <= 0.25 <= interval.high for interval in intervals])
    assert 0.90 <= share <= 1.0


def test_holm_corrects_as_in_its_definition():
    """Worked by hand: .01 × 4, then .02 × 3, .03 × 2 raised to the .06 before it, .5 × 1."""
    assert holm(np.array([0.5, 0.01, 0.03, 0.02])) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])
    assert holm(np.array([0.2])) == pytest.approx([0.2])


def test_all_pairs_or_all_against_a_baseline_form_one_family():
    values = with_rankers(differences(40))
    pairs = compare_rankers(values, ["AP"], num_resamples=500)
    assert [(c.ranker, c.against) for c in pairs] == [
        ("r0", "r1"), ("r0", "r2"), ("r0", "r3"), ("r1", "r2"), ("r1", "r3"), ("r2", "r3")
    ]  # fmt: skip
    assert {c.family for c in pairs} == {6}
    against = compare_rankers(values, ["AP"], baseline="r2", num_resamples=500)
    assert [(c.ranker, c.against) for c in against] == [("r0", "r2"), ("r1", "r2"), ("r3", "r2")]
    assert [c.p_holm["t"] for c in against] == pytest.approx(holm(np.array([c.p_values["t"] for c in against])))


def test_a_comparison_counts_users_and_measures_the_effect():
    """Worked by hand: differences .2, .2, −.1, 0 and a tie that differs in the last bit only."""
    values = {"a": {"AP": np.array([0.5, 0.4, 0.1, 0.3, 0.1 + 0.2])}, "b": {"AP": np.array([0.3, 0.2, 0.2, 0.3, 0.3])}}
    (found,) = compare_rankers(values, ["AP"])
    assert (found.num_better, found.num_worse, found.num_equal, found.num_users) == (2, 1, 2, 5)
    assert found.difference == pytest.approx(0.06)
    assert found.effect_size == pytest.approx(0.06 / np.std([0.2, 0.2, -0.1, 0, 0], ddof=1))
    assert found.p_values["randomisation"] == pytest.approx(0.5)  # of 8 patterns, ±.5 and ±.3 are as extreme, ±.1 is not


THREE = {
    "a": {"AP": np.array([0.9, 0.5, 0.3, 0.8, 0.1]), "P@5": np.array([0.2, 0.4, 0.4, 0.0, 0.6])},
    "b": {"AP": np.array([0.4, 0.6, 0.1, 0.5, 0.06]), "P@5": np.array([0.2, 0.2, 0.4, 0.2, 0.0])},
    "c": {"AP": np.array([0.2, 0.75, 0.0, 0.42, 0.45]), "P@5": np.array([0.0, 0.2, 0.4, 0.2, 0.2])},
}
"""Five users; no two differences of AP are of the same size, and several of P@5 are none."""


def by_hand(differences: list[float]) -> tuple[float, float, float, tuple[int, int, int]]:
    """Effect size, randomisation p, t-test p (4 degrees of freedom, in closed form), and users better, worse and equal."""
    mean = sum(differences) / 5
    deviation = math.sqrt(sum((d - mean) ** 2 for d in differences) / 4)
    patterns = [abs(sum(sign * d for sign, d in zip(signs, differences, strict=True))) for signs in product((1, -1), repeat=5)]
    randomisation = sum(total >= abs(sum(differences)) - 1e-9 for total in patterns) / 32
    angle = math.atan(abs(mean) / (deviation / math.sqrt(5)) / 2)
    t = 1 - math.sin(angle) * (1 + math.cos(angle) ** 2 / 2)
    counts = sum(d > 1e-9 for d in differences), sum(d < -1e-9 for d in differences), sum(abs(d) < 1e-9 for d in differences)
    return mean / deviation, randomisation, t, counts


def signed_ranks_p(differences: list[float]) -> float:
    """Wilcoxon's p by its definition: of all patterns of signs, how many have rank sums at least as uneven."""
    order = sorted(range(5), key=lambda user: abs(differences[user]))
    rank = {user: place + 1 for place, user in enumerate(order)}
    total = abs(sum(math.copysign(rank[user], differences[user]) for user in range(5)))
    return (
        sum(abs(sum(sign * place for place, sign in enumerate(signs, 1))) >= total for signs in product((1, -1), repeat=5)) / 32
    )


def holm_by_hand(p_values: list[float]) -> list[float]:
    """Step by step: the smallest times their number, the next times one less, never less than the one before, at most 1."""
    adjusted, so_far = [0.0] * len(p_values), 0.0
    for done, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        so_far = max(so_far, min(1.0, p_values[place] * (len(p_values) - done)))
        adjusted[place] = so_far
    return adjusted


def test_all_pairs_of_three_rankers_are_as_worked_by_hand():
    """Every figure of six comparisons from its definition, without SciPy; Holm over all six."""
    found = compare_rankers(THREE, ["AP", "P@5"])
    assert [(c.metric, c.ranker, c.against) for c in found] == [
        (metric, *pair) for metric in ("AP", "P@5") for pair in (("a", "b"), ("a", "c"), ("b", "c"))
    ]
    for c in found:
        differences = [float(x - y) for x, y in zip(THREE[c.ranker][c.metric], THREE[c.against][c.metric], strict=True)]
        effect, randomisation, t, counts = by_hand(differences)
        assert c.effect_size == pytest.approx(effect)
        assert c.p_values["randomisation"] == pytest.approx(randomisation)
        assert c.p_values["t"] == pytest.approx(t)
        assert (c.num_better, c.num_worse, c.num_equal) == counts
        if c.metric == "AP":
            assert c.p_values["wilcoxon"] == pytest.approx(signed_ranks_p(differences))
    for test in ("randomisation", "t", "wilcoxon"):
        assert [c.p_holm[test] for c in found] == pytest.approx(holm_by_hand([c.p_values[test] for c in found]))
    first = found[0]
    assert (first.difference, first.family) == (pytest.approx(0.188), 6)
    assert (first.num_better, first.num_worse, first.num_equal) == (4, 1, 0)
    assert [c.num_equal for c in found] == [0, 0, 0, 2, 1, 3]


def test_the_same_seed_gives_the_same_numbers_and_the_order_of_rankers_does_not_matter():
    values = with_rankers(differences(40, 2))
    (there,) = compare_rankers(values, ["AP"], seed=4)
    assert compare_rankers(values, ["AP"], seed=4) == [there]
    (back,) = compare_rankers(dict(reversed(values.items())), ["AP"], seed=4)
    assert back.difference == -there.difference
    assert (back.interval.low, back.interval.high) == pytest.approx((-there.interval.high, -there.interval.low))
    assert back.p_values == there.p_values


def test_sentences_name_the_better_ranker_first_and_admit_what_is_not_shown():
    rng = np.random.default_rng(0)
    weak_U = rng.random(100)
    values = {"weak": {"AP": weak_U}, "strong": {"AP": weak_U + 0.2 + 0.1 * rng.random(100)}, "same": {"AP": weak_U[::-1]}}
    better, unclear, _ = (comparison.sentence for comparison in compare_rankers(values, ["AP"]))
    assert better.startswith("strong is better than weak on AP by .2")
    assert better.endswith("p < .001 after Holm over 3 comparisons; 100 of 100 users better, 0 worse.")
    assert unclear.startswith("No difference between weak and same on AP could be shown: weak − same is .0000 [−.")
    assert "50 of 100 users better, 50 worse" in unclear


def test_figures_are_written_as_in_tables():
    assert [figure(x) for x in (0.01234, -0.5, 1.0, -0.00001)] == [".0123", "−.5000", "1.0000", ".0000"]


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="expected at least 2 users"):
        compare_rankers({"a": {"AP": np.ones(1)}, "b": {"AP": np.zeros(1)}}, ["AP"])
    with pytest.raises(ConfigError, match="expected at least 2"):
        compare_rankers({"a": {"AP": np.ones(3)}}, ["AP"])


def test_intervals_of_all_metrics_are_those_of_their_columns() -> None:
    """One draw serves them all, so each is what it would be alone."""
    values_UM = differences(40)
    found = metric_intervals(with_rankers(values_UM), num_resamples=500)
    alone = mean_intervals(values_UM, num_resamples=500)
    assert [found[f"r{m}"]["AP"] for m in range(4)] == alone


def test_trainings_are_averaged_user_by_user_before_they_are_compared() -> None:
    """Two seeds that err on different users are one ranker whose users differ less; sentences name what the users are."""
    one = {"AP": np.array([1.0, 0.0, 0.5])}
    other = {"AP": np.array([0.0, 1.0, 0.5])}
    mean = over_seeds([one, other])
    assert mean["AP"].tolist() == [0.5, 0.5, 0.5]
    (found,) = compare_rankers({"a": mean, "b": {"AP": np.zeros(3)}}, ["AP"], unit="queries")
    assert "3 of 3 queries better, 0 worse" in found.sentence
    with pytest.raises(DataError, match="1 query to compare rankers on; expected at least 2 queries"):
        compare_rankers({"a": {"AP": np.ones(1)}, "b": {"AP": np.zeros(1)}}, ["AP"], unit="queries")
