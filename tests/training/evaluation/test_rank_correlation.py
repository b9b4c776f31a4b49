"""Kendall's τ against its definition, pair by pair, and against SciPy."""

from __future__ import annotations

import sys
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from tests.training.evaluation.studies import neighbour_model, popularity_model, small_split
from training.evaluation.evaluate import evaluate_together
from training.evaluation.rank_correlation import inversions, kendall_tau, list_tau, score_levels


def levels(scores_BI: np.ndarray) -> np.ndarray:
    return score_levels(scores_BI, np.argsort(-scores_BI, axis=1, kind="stable"))


def test_levels_count_the_different_higher_scores() -> None:
    """Worked by hand."""
    assert levels(np.array([[2.0, 5.0, 2.0, 7.0], [1.0, 1.0, 1.0, 1.0]])).tolist() == [[2, 1, 2, 0], [0, 0, 0, 0]]


def test_inversions_of_all_orders_of_five_and_across_blocks() -> None:
    """All 120 orders of five items, counted pair by pair; then orders of 150 items, which stand in three blocks."""
    few = np.array(list(permutations(range(5))))
    many = np.array([np.random.default_rng(seed).permutation(150) for seed in range(4)])
    for orders in (few, many, np.arange(200)[None], np.arange(200)[None, ::-1]):
        counted = [sum(a > b for a, b in combinations(order.tolist(), 2)) for order in orders]
        assert inversions(orders).tolist() == counted


def test_tau_counts_ties_as_in_its_definition() -> None:
    """Worked by hand: of 6 pairs 3 agree, 1 disagrees, 1 is tied by the first alone and 1 by the second: (3 − 1) / √(5 · 5)."""
    first, second = np.array([[4.0, 3.0, 3.0, 1.0]]), np.array([[3.0, 4.0, 2.0, 2.0]])
    assert kendall_tau(levels(first), levels(second)) == pytest.approx([2 / 5])


@pytest.mark.parametrize(("num_items", "num_scores"), [(5, 2), (7, 3), (63, 9), (64, 500), (65, 4), (300, 40)])
def test_tau_is_scipys_with_ties_and_without_what_is_no_candidate(num_items: int, num_scores: int) -> None:
    """Coarse scores, a tenth of the items excluded; NaN where SciPy has NaN, because one ranker ties everything."""
    rng = np.random.default_rng(num_items)
    first_BI = rng.integers(0, num_scores, (40, num_items)).astype(np.float64)
    second_BI = np.round(first_BI + rng.normal(0, num_scores / 3, first_BI.shape))
    excluded_BI = rng.random(first_BI.shape) < 0.1
    found_B = kendall_tau(levels(first_BI), levels(second_BI), excluded_BI)
    wanted_B = [stats.kendalltau(a[~e], b[~e]).statistic for a, b, e in zip(first_BI, second_BI, excluded_BI, strict=True)]
    assert found_B == pytest.approx(wanted_B, abs=1e-12, nan_ok=True)
    assert np.isfinite(found_B).any()


def test_the_same_order_is_one_the_reverse_minus_one_and_no_order_is_undefined() -> None:
    """To the last bit, with ties and without, for any number of items."""
    for num_items in range(2, 60):
        coarse_1I = np.arange(num_items)[None, :] // 2.0 if num_items > 2 else np.arange(2.0)[None, :]
        assert kendall_tau(levels(coarse_1I), levels(coarse_1I)).tolist() == [1.0]
    scores_BI = np.random.default_rng(0).normal(size=(3, 90))
    assert kendall_tau(levels(scores_BI), levels(scores_BI)).tolist() == [1.0, 1.0, 1.0]
    assert kendall_tau(levels(scores_BI), levels(-scores_BI)).tolist() == [-1.0, -1.0, -1.0]
    assert np.isnan(kendall_tau(levels(scores_BI), np.zeros((3, 90), dtype=np.int32))).all()


def test_many_users_in_batches_and_large_catalogues_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of two users; and 50,000 items, whose pairs of levels need more than 32 bits, against SciPy."""
    rng = np.random.default_rng(2)
    first_BI, second_BI = rng.integers(0, 30, (2, 9, 70)).astype(np.float64)
    whole_B = kendall_tau(levels(first_BI), levels(second_BI))
    monkeypatch.setattr("training.evaluation.rank_correlation._CELLS", 140)
    assert kendall_tau(levels(first_BI), levels(second_BI)) == pytest.approx(whole_B, abs=0)
    large_I, other_I = rng.normal(size=(2, 50_000))
    found = kendall_tau(levels(large_I[None]), levels(other_I[None]))
    assert found == pytest.approx([stats.kendalltau(large_I, other_I).statistic], abs=1e-12)


def test_rankers_evaluated_together_have_the_tau_of_their_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under both protocols over the candidates alone, in batches of users, against SciPy on the scores."""
    split = small_split()
    models = {"popular": popularity_model(split), "knn": neighbour_model(split)}
    monkeypatch.setattr(sys.modules["training.evaluation.evaluate"], "_CELLS", 7 * split.train.num_items)
    found = evaluate_together(models, split, pairs=[("popular", "knn")])
    train, positives = split.train.histories(), split.train.positives().histories()
    for protocol, excluded in (("paper", positives), ("standard", train)):
        users_U = found.of[protocol]["knn"].user_rows
        candidates_UI = ~excluded.take(users_U).mask(split.train.num_items)
        first_UI, second_UI = (model.scores(train.take(users_U), users_U) for model in models.values())
        wanted_U = [stats.kendalltau(a[c], b[c]).statistic for a, b, c in zip(first_UI, second_UI, candidates_UI, strict=True)]
        assert len(users_U) > 50
        assert found.tau[protocol]["popular", "knn"] == pytest.approx(wanted_U, abs=1e-12)


def test_lists_are_correlated_over_the_items_that_both_have() -> None:
    """Worked by hand: of 2 5 7 the second list has 7 5 2, all reversed; one shared item, or none, has no order."""
    first = np.array([[1, 2, 5, 7], [3, 4, -1, -1], [1, -1, -1, -1]])
    second = np.array([[7, 5, 9, 2, 8], [4, 8, 3, 9, 0], [2, 1, -1, -1, -1]])
    assert list_tau(first, second) == pytest.approx([-1.0, -1.0, np.nan], nan_ok=True)
    assert list_tau(first, first[:, :2]) == pytest.approx([1.0, 1.0, np.nan], nan_ok=True)


def test_the_correlation_of_many_lists_is_scipys_over_shared_items() -> None:
    rng = np.random.default_rng(1)
    first_BK, second_BK = (np.array([rng.permutation(90)[:60] for _ in range(20)]) for _ in range(2))
    first_BK[np.arange(60) >= rng.integers(30, 61, (20, 1))] = -1
    wanted_B = []
    for first, second in zip(first_BK, second_BK, strict=True):
        place = {item: at for at, item in enumerate(second.tolist())}
        shared = [place[item] for item in first.tolist() if item in place]
        wanted_B.append(stats.kendalltau(range(len(shared)), shared).statistic)
    assert list_tau(first_BK, second_BK) == pytest.approx(wanted_B, abs=1e-12)
