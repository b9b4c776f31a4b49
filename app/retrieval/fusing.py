"""From what words and vectors say of documents to one order of the best of them.

What comes out is what `SearchModel.scores` defines; candidates are taken from both rankings until a bound shows that no other
document can be among the answers (the threshold algorithm of Fagin, Lotem, Naor 2001), so nothing is lost.

Rows below I are the bundle's own items, those from I on are additions.

Shapes: I items of the bundle, J additions, C candidates, D dimensions, K answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from app.bundle import Fusion, Moments, fused_scores, moments_of, standardised
from app.bundle.search import RANK_CONSTANT, RANK_DEPTH
from app.retrieval.dense import DenseSearch
from app.retrieval.index import best, exact_scores

_CANDIDATES = 128
"""Of each ranking, to begin with."""
_NOTHING = (np.zeros(0, dtype=np.int64), np.zeros(0))


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """The first of a ranking.

    Attributes:
        rows_K: best first, ties by lower row.
        scores_K: float64.
        total: how many there are in all.
    """

    rows_K: np.ndarray
    scores_K: np.ndarray
    total: int


@dataclass(frozen=True, eq=False)
class Signals:
    """What is known of every document for one text; of the bundle's items (I) and of the additions (J).

    Attributes:
        num_items: I.
        allowed_I, allowed_J: which may be answered; None stands for all of the items.
        competing_I: the items that the question allows, also those that were deleted since; None for all.
        words_I, words_J: BM25; None where words are not asked.
        dense: what the vectors are searched with; None where vectors are not asked.
        query_D: the text's vector.
        vectors_J: inner products of the additions with it.
    """

    num_items: int
    allowed_I: np.ndarray | None
    allowed_J: np.ndarray
    competing_I: np.ndarray | None = None
    words_I: np.ndarray | None = None
    words_J: np.ndarray | None = None
    dense: DenseSearch | None = None
    query_D: np.ndarray | None = None
    vectors_J: np.ndarray | None = None

    @cached_property
    def num_allowed(self) -> int:
        """Of the bundle's items."""
        return self.num_items if self.allowed_I is None else int(np.count_nonzero(self.allowed_I))

    @property
    def total(self) -> int:
        """Documents that may be answered."""
        return self.num_allowed + int(np.count_nonzero(self.allowed_J))

    @cached_property
    def matching(self) -> np.ndarray:
        """Rows of the allowed items that share a word with the text."""
        assert self.words_I is not None
        return np.flatnonzero(self.words_I > 0 if self.allowed_I is None else (self.words_I > 0) & self.allowed_I)

    def nearest(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k items nearest to the text's vector."""
        assert self.dense is not None and self.query_D is not None
        return self.dense.index.search(self.query_D, k, self.allowed_I) if self.num_allowed else _NOTHING


def by_words(signals: Signals, k: int) -> Ranked:
    """By BM25; documents that share no word are not found."""
    assert signals.words_I is not None and signals.words_J is not None
    matching_J = signals.allowed_J & (signals.words_J > 0)
    found = top(signals.matching, signals.words_I[signals.matching], k)
    total = len(signals.matching) + int(np.count_nonzero(matching_J))
    return _merged(replace(signals, allowed_J=matching_J), found, signals.words_J, k, total)


def by_vectors(signals: Signals, k: int) -> Ranked:
    """By inner product; every document is found."""
    assert signals.vectors_J is not None
    return _merged(signals, signals.nearest(k), signals.vectors_J, k, signals.total)


def by_scores(signals: Signals, fusion: Fusion, k: int) -> Ranked:
    """By the sum of standardised scores."""
    assert signals.words_I is not None and signals.words_J is not None and signals.vectors_J is not None
    assert signals.dense is not None and signals.query_D is not None
    of_words, of_vectors = moments_of(signals.words_I), signals.dense.moments.of_scores(signals.query_D)

    def fused(words: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        return fused_scores(words, of_words, vectors, of_vectors, fusion)

    found, candidates = _NOTHING, max(_CANDIDATES, 2 * k)
    while signals.num_allowed:
        word_rows, words = top(signals.matching, signals.words_I[signals.matching], candidates)
        vector_rows, vectors = signals.nearest(candidates)
        rows_C = np.union1d(word_rows, vector_rows)
        exact_C = exact_scores(signals.dense.vectors_ID, signals.query_D, rows_C)
        found = best(rows_C, fused(signals.words_I[rows_C], exact_C), k)
        if len(vector_rows) < candidates or len(vector_rows) == signals.num_allowed:
            break
        # Whatever is in neither list scores at most as much as the ends of both together.
        end = words[-1] if len(words) == candidates else 0.0
        if found[1][-1] > fused(np.array([end]), vectors[-1:])[0]:
            break
        candidates *= 4
    return _merged(signals, found, fused(signals.words_J, signals.vectors_J), k, signals.total)


def by_ranks(signals: Signals, fusion: Fusion, k: int) -> Ranked:
    """By reciprocal ranks among the items that compete, of each ranking the best thousand.

    As with the other statistics, ranks are the bundle's own: what was deleted since keeps its rank, and what came since moves nobody's
    but has one between its neighbours. So a document's score stays what it is, and pages fit together, whatever else changes.
    """
    assert signals.words_I is not None and signals.words_J is not None
    assert signals.vectors_J is not None and signals.dense is not None and signals.query_D is not None
    competing_I, matches_I = signals.competing_I, signals.words_I > 0
    matching = np.flatnonzero(matches_I if competing_I is None else matches_I & competing_I)
    is_empty = competing_I is not None and not competing_I.any()
    near = _NOTHING if is_empty else signals.dense.index.search(signals.query_D, RANK_DEPTH, competing_I)
    rankings = (
        (top(matching, signals.words_I[matching], RANK_DEPTH), np.where(signals.words_J > 0, signals.words_J, -np.inf), 1.0),
        (near, signals.vectors_J, fusion.dense_weight),
    )
    scores_I, scores_J = np.zeros(signals.num_items), np.zeros(len(signals.allowed_J))
    for (rows_R, scores_R), later_J, weight in rankings:
        scores_I[rows_R] += weight / (RANK_CONSTANT + np.arange(1, len(rows_R) + 1))
        ranks_J = ranks_beside(scores_R, later_J)
        scores_J += np.where(ranks_J <= RANK_DEPTH, weight / (RANK_CONSTANT + ranks_J), 0.0)
    rows = np.flatnonzero(scores_I > 0 if signals.allowed_I is None else (scores_I > 0) & signals.allowed_I)
    signals = replace(signals, allowed_J=signals.allowed_J & (scores_J > 0))
    total = len(rows) + int(np.count_nonzero(signals.allowed_J))
    return _merged(signals, top(rows, scores_I[rows], k), scores_J, k, total)


def ranks_beside(scores_R: np.ndarray, scores_J: np.ndarray) -> np.ndarray:
    """The ranks that other documents would have in a ranking without moving anybody, float64 [J]; infinite for a score of −inf.

    Between two neighbours it is interpolated by the scores; before the first it lies in (0, 1), behind the last of R in (R, R + 1).

    Args:
        scores_R: of the ranking, falling.
        scores_J: of the others.
    """
    steps, places = np.unique(scores_R[::-1], return_index=True) if len(scores_R) else (np.zeros(1), np.array([-1]))
    above_J = np.maximum(scores_J - steps[-1], 0.0)
    below_J = np.maximum(steps[0] - scores_J, 0.0)
    within_J = np.interp(scores_J, steps, len(scores_R) - places)  # of equal scores the last place
    ranks_J = np.where(above_J > 0, 1.0 / (1.0 + above_J), within_J + 1.0 - 1.0 / (1.0 + below_J))
    return np.where(np.isneginf(scores_J), np.inf, ranks_J)


@dataclass(frozen=True, slots=True, eq=False)
class Taste:
    """What a user likes, of the bundle's items.

    Attributes:
        query_D: the user's query vector.
        vectors_ID: what it is multiplied with.
        moments: of them.
        weight: beside the text's 1.
    """

    query_D: np.ndarray
    vectors_ID: np.ndarray
    moments: Moments
    weight: float


def by_taste(signals: Signals, fusion: Fusion, taste: Taste, k: int) -> Ranked:
    """The text's standardised score plus the user's, of everything that the text finds; an addition is to nobody's taste or distaste."""
    all_rows = np.arange(signals.num_items)
    scores_I, scores_J = np.zeros(signals.num_items), np.zeros(len(signals.allowed_J))
    found_I, found_J = np.ones(signals.num_items, dtype=bool), np.ones(len(signals.allowed_J), dtype=bool)
    if signals.words_I is not None and signals.words_J is not None:
        of_words = moments_of(signals.words_I)
        scores_I += standardised(signals.words_I, *of_words)
        scores_J += standardised(signals.words_J, *of_words)
        if signals.query_D is None:
            found_I, found_J = signals.words_I > 0, signals.words_J > 0
    if signals.query_D is not None and signals.dense is not None and signals.vectors_J is not None:
        weight = 1.0 if signals.words_I is None else fusion.dense_weight
        of_vectors = signals.dense.moments.of_scores(signals.query_D)
        exact_I = exact_scores(signals.dense.vectors_ID, signals.query_D, all_rows)
        scores_I += weight * standardised(exact_I, *of_vectors)
        scores_J += weight * standardised(signals.vectors_J, *of_vectors)
    liked_I = exact_scores(taste.vectors_ID, taste.query_D, all_rows)
    scores_I += taste.weight * standardised(liked_I, *taste.moments.of_scores(taste.query_D))
    rows = np.flatnonzero(found_I if signals.allowed_I is None else found_I & signals.allowed_I)
    signals = replace(signals, allowed_J=found_J & signals.allowed_J)
    total = len(rows) + int(np.count_nonzero(signals.allowed_J))
    return _merged(signals, top(rows, scores_I[rows], k), scores_J, k, total)


def top(rows: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """As `best`, for many rows of which few are wanted."""
    if len(rows) > 4 * k:
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        among = np.flatnonzero(scores >= threshold)  # all that tie with the last, so that the lower row wins
        rows, scores = rows[among], scores[among]
    return best(rows, scores, k)


def _merged(signals: Signals, found: tuple[np.ndarray, np.ndarray], scores_J: np.ndarray, k: int, total: int) -> Ranked:
    """The bundle's best items and the allowed additions in one order."""
    rows, scores = found
    if not len(signals.allowed_J):
        return Ranked(rows[:k], scores[:k], total)
    added = np.flatnonzero(signals.allowed_J)
    rows_C = np.concatenate([rows, added + signals.num_items])
    return Ranked(*top(rows_C, np.concatenate([scores, scores_J[added]]), k), total)
