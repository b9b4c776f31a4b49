"""Overlap and rank-biased overlap against their definitions, list by list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from training.evaluation.agreement import (
    CUTOFFS,
    MEASURES,
    agreements,
    list_measures,
    mean_matrix,
    rank_biased_overlap,
    shared_counts,
    spread,
)


def lists(*rows: Sequence[int], width: int = 6) -> np.ndarray:
    """Lists filled up with −1."""
    return np.array([[*row, *[-1] * (width - len(row))] for row in rows], dtype=np.int64)


def rbo_ext(first: Sequence[int], second: Sequence[int], p: float) -> float:
    """Webber, Moffat and Zobel's extrapolated measure for lists of different lengths, written down term by term."""
    short, long = sorted((list(first), list(second)), key=len)
    s, length = len(short), len(long)

    def shared(depth: int) -> int:
        return len(set(short[:depth]) & set(long[:depth]))

    seen = sum(shared(d) / d * p**d for d in range(1, length + 1))
    taken_on = sum(shared(s) * (d - s) / (s * d) * p**d for d in range(s + 1, length + 1))
    return (1 - p) / p * (seen + taken_on) + ((shared(length) - shared(s)) / length + shared(s) / s) * p**length


def test_items_shared_by_the_first_d_of_both_are_counted() -> None:
    """Worked by hand; an empty place is no item, and lists may end before others."""
    first, second = lists([1, 2, 3, 4], [5, 6], [], [1, 2]), lists([2, 1, 9, 3], [6], [1], [3, 4])
    assert shared_counts(first, second).tolist() == [[0, 2, 2, 3, 3, 3], [0, 1, 1, 1, 1, 1], [0] * 6, [0] * 6]


def test_overlap_is_of_k_or_of_the_longer_list_where_that_is_shorter() -> None:
    """Worked by hand from the counts above; two empty lists have no overlap to speak of."""
    found = list_measures(lists([1, 2, 3, 4], [5, 6], []), lists([2, 1, 9, 3], [6], []))
    assert list(found) == list(MEASURES[:-1])
    assert found["overlap@1"] == pytest.approx([0, 0, np.nan], nan_ok=True)
    assert found["overlap@5"] == pytest.approx([3 / 4, 1 / 2, np.nan], nan_ok=True)
    assert found["overlap@10"] == pytest.approx(found["overlap@100"], nan_ok=True)
    assert np.isnan(found["rbo"][2])


def test_rank_biased_overlap_is_one_for_the_same_list_and_zero_for_others() -> None:
    same = lists([3, 1, 2], [7])
    assert list_measures(same, same)["rbo"] == pytest.approx([1.0, 1.0])
    assert list_measures(lists([1, 2], [1]), lists([3, 4], []))["rbo"].tolist() == [0.0, 0.0]


def test_rank_biased_overlap_worked_by_hand() -> None:
    """Lists a b and b a, p = .5: X = 0, 2, so (1 − p)/p · 2/2 · p² + 2/2 · p² = 1/4 + 1/4."""
    first, second = lists([1, 2], width=2), lists([2, 1], width=2)
    two = np.array([2])
    assert rank_biased_overlap(shared_counts(first, second), two, two, 0.5) == pytest.approx([0.5])


@pytest.mark.parametrize("width", [1, 7, 100])
def test_rank_biased_overlap_is_its_definition_for_lists_of_any_lengths(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty pairs of lists of random lengths, in batches of three."""
    monkeypatch.setattr("training.evaluation.agreement._CELLS", 3 * width * width)
    rng = np.random.default_rng(width)
    pairs = [
        tuple(rng.permutation(width + width // 2 + 1)[: rng.integers(1, width + 1)].tolist() for _ in range(2))
        for _ in range(60)
    ]
    found = list_measures(*(lists(*side, width=width) for side in zip(*pairs, strict=True)))
    assert found["rbo"] == pytest.approx([rbo_ext(first, second, 0.9) for first, second in pairs], abs=1e-12)
    for k in CUTOFFS:
        wanted = [len(set(a[:k]) & set(b[:k])) / min(k, max(len(a), len(b))) for a, b in pairs]
        assert found[f"overlap@{k}"] == pytest.approx(wanted)


def test_a_spread_is_over_those_that_have_a_value() -> None:
    """Worked by hand; nobody with a value has no spread."""
    found = spread(np.array([0.0, np.nan, 1.0, 0.5, 0.5, 0.25]))
    assert found is not None
    assert (found.mean, found.num_users, found.quartiles) == (0.45, 5, (0.25, 0.5, 0.5))
    assert found.deviation == pytest.approx(np.std([0, 1, 0.5, 0.5, 0.25]))
    assert spread(np.array([np.nan])) is None


def test_pairs_are_summarised_over_some_users_and_drawn_as_a_table() -> None:
    """Only those asked for; a pair that was not compared, and a ranker with itself, have no figure."""
    tops = {"a": lists([1, 2], [3, 4]), "b": lists([1, 9], [8, 7]), "c": lists([1, 2], [3, 4])}
    taus = {("a", "b"): np.array([0.5, np.nan]), ("a", "c"): np.array([np.nan, np.nan])}
    everybody = agreements(tops, taus)
    assert [(one.ranker, one.against) for one in everybody] == [("a", "b"), ("a", "c")]
    told = everybody[0].as_json()
    assert (told["rbo_p"], told["overlap@10"]["mean"], told["overlap@10"]["users"], told["tau"]["users"]) == (0.9, 0.25, 2, 1)
    assert everybody[1].as_json()["tau"] is None
    (first, _) = agreements(tops, taus, of=np.array([True, False]))
    assert first.as_json()["overlap@10"] == {"mean": 0.5, "deviation": 0.0, "quartiles": [0.5, 0.5, 0.5], "users": 1}
    (second, _) = agreements(tops, taus, of=np.array([False, True]))
    assert (second.measures["tau"], first.as_json()["tau"]["mean"]) == (None, 0.5)
    table = mean_matrix(everybody, "overlap@10", ("a", "b", "c"))
    assert table == pytest.approx(np.array([[np.nan, 0.25, 1.0], [0.25, np.nan, np.nan], [1.0, np.nan, np.nan]]), nan_ok=True)
