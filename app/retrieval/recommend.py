"""From a question to ranked rows: known users, histories, and the fallback of last resort.

Shapes: I items, D dimensions, N events of a history, E excluded, K answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.bundle import Bundle, Histories, Row
from app.retrieval.diversity import marginal_relevance
from app.retrieval.filters import Condition, ItemFilters
from app.retrieval.index import FaissIndex, VectorIndex, best, exact_scores, without
from app.retrieval.quantized import Search

Fallback = Literal["popularity"]

_POOL = 4
"""Candidates that diversity chooses from, as a multiple of k …"""
_SMALLEST_POOL, _LARGEST_POOL = 100, 2000
"""… within these bounds."""

_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question for recommendations.

    Attributes:
        user: the id of a user, known or not; None asks for whoever has the history.
        history: item ids with ratings (NaN where there is none), used where `user` is None; of an item that stands there twice the
            later entry counts.
        k: how many items, at least 1.
        exclude: ids that must not be answered; unknown ones do no harm.
        exclude_seen: whether what the user has had is left out.
        filters: conditions that every answered item meets.
        diversity: 0 for the plain ranking, up to 1.
    """

    user: str | None = None
    history: Sequence[tuple[str, float]] = ()
    k: int = 10
    exclude: Sequence[str] = ()
    exclude_seen: bool = True
    filters: tuple[Condition, ...] = ()
    diversity: float = 0.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """Ranked items.

    Attributes:
        rows: best first.
        scores: what orders them before diversity does, float64: inner products or the rescorer's scores, cosines for similar items,
            counts for popularity.
        fallback: what ranked instead of the ranker, if anything did.
        unknown_items: ids of the history that the catalogue does not hold.
    """

    rows: np.ndarray
    scores: np.ndarray
    fallback: Fallback | None = None
    unknown_items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Searching:
    """A ranking that a search still has to fill.

    Attributes:
        search: for candidates.
        unknown_items: as in `Ranking`.
        rescored: whether the ranker's rescorer orders what the search finds, where there is one.
    """

    search: Search
    unknown_items: tuple[str, ...] = ()
    rescored: bool = False


class Recommender:
    """Answers for one bundle. Nothing in it changes, so any thread may ask.

    Args:
        bundle: a verified bundle.
        index: what searches its item vectors; by default the bundle's own FAISS index.
    """

    def __init__(self, bundle: Bundle, index: VectorIndex | None = None) -> None:
        self._bundle = bundle
        self._model = bundle.model
        self._index = index or FaissIndex(bundle.index, bundle.model.item_vectors_ID)
        rescorer = bundle.manifest.rescorer
        self._candidates = None if rescorer is None else rescorer.candidates
        self.filters = ItemFilters(bundle.item_table)
        self.unit_vectors_ID = _unit(self._model.item_vectors_ID[:, : -1 if bundle.manifest.scoring.bias_folded else None])
        self._popularity_I = bundle.popularity_I.astype(np.float64)
        self._by_popularity = np.lexsort((np.arange(len(bundle.items)), -self._popularity_I))

    def recommend(self, query: Query) -> Ranking:
        """The best items for the query.

        Raises:
            FilterInvalid: a filter cannot be compiled.
        """
        return self.recommend_all([query])[0]

    def recommend_all(self, queries: Sequence[Query]) -> list[Ranking]:
        """The best items for each query, in their order; what must be searched is searched together, which costs less.

        Raises:
            FilterInvalid: a filter of one of them cannot be compiled.
        """
        return self.answer(self._index, [(self._prepared(query), query.k, query.diversity) for query in queries])

    def answer(self, index: VectorIndex, prepared: Sequence[tuple[Ranking | Searching, int, float]]) -> list[Ranking]:
        """The rankings, once an index has searched for those that are not there yet; with each its k and its diversity."""
        searches = [ready.search for ready, _, _ in prepared if isinstance(ready, Searching)]
        found = iter(index.search_all(searches)) if searches else iter(())
        rankings = []
        for ready, k, diversity in prepared:
            if isinstance(ready, Searching):
                rows_C, scores_C = next(found)
                if ready.rescored:
                    rows_C, scores_C = self._rescored(ready.search.query_D, rows_C, scores_C, self.pool(k, diversity))
                rows_K, scores_K = self._diversify(rows_C, scores_C, k, diversity)
                rankings.append(Ranking(rows_K, scores_K, unknown_items=ready.unknown_items))
            else:
                rankings.append(ready)
        return rankings

    def _prepared(self, query: Query) -> Ranking | Searching:
        """What is left to search for, or the answer where there is nothing."""
        history, user, unknown_items = self._history(query)
        allowed_I = self.filters.allowed(query.filters)
        excluded_E = self._excluded(history.items if query.exclude_seen else _NONE, query.exclude)
        query_D = self._query(history, user)
        if query_D is None:
            allowed_I = without(allowed_I, excluded_E, self._model.num_items)
            return self.popular(query.k, allowed_I, query.diversity, unknown_items)
        low = _NONE if query.exclude_seen else history.items[self._model.demoted(history)]
        if len(low):
            allowed_I = without(allowed_I, excluded_E, self._model.num_items)
            return Ranking(*self._with_low_last(query_D, query, allowed_I, low), unknown_items=unknown_items)
        wanted = self._handed_on(self.pool(query.k, query.diversity))
        return Searching(Search(query_D, wanted, allowed_I, excluded_E), unknown_items, rescored=True)

    def user_query(self, user: str) -> np.ndarray | None:
        """The query vector of a known user, float32 [D]; None of others, and of those of whom nothing is known to rank by."""
        row = self._bundle.users.find(user)
        return None if row is None else self._query(self._seen(row), row)

    def popular(
        self, k: int, allowed_I: np.ndarray | None, diversity: float = 0.0, unknown_items: tuple[str, ...] = ()
    ) -> Ranking:
        """The most popular items among those allowed, ties by the lower row; an answer that says that it is a fallback."""
        order = self._by_popularity if allowed_I is None else self._by_popularity[allowed_I[self._by_popularity]]
        rows_C = order[: self.pool(k, diversity)]
        rows_K, scores_K = self._diversify(rows_C, self._popularity_I[rows_C], k, diversity)
        return Ranking(rows_K, scores_K, "popularity", unknown_items)

    def _history(self, query: Query) -> tuple[Histories, Row | None, tuple[str, ...]]:
        if query.user is not None:
            user = self._bundle.users.find(query.user)
            return (_EMPTY if user is None else self._seen(user)), user, ()
        find = self._bundle.items.find
        known: dict[int, float] = {}
        unknown: dict[str, None] = {}
        for item, rating in query.history:
            row = find(item)
            if row is None:
                unknown[item] = None
            else:
                known[row] = rating
        return Histories.of([list(known)], [list(known.values())]), None, tuple(unknown)

    def _seen(self, user: Row) -> Histories:
        seen = self._bundle.seen
        start, end = seen.offsets[user], seen.offsets[user + 1]
        return Histories(np.array([0, end - start]), seen.items[start:end], seen.ratings[start:end])

    def _query(self, history: Histories, user: Row | None) -> np.ndarray | None:
        """The query vector float32 [D], or None where nothing is known to rank by."""
        if user is not None and self._model.user_vectors_UD is not None:
            query_D: np.ndarray = self._model.user_vectors_UD[user]
        elif len(history.items):
            query_D = self._model.queries(history)[0]
        else:
            return None
        # A zero vector ranks nothing: the encoder saw no event that it makes something of. Nor does one of numbers beyond float32.
        return query_D if query_D.any() and np.isfinite(query_D).all() else None

    def _excluded(self, seen: np.ndarray, exclude: Sequence[str]) -> np.ndarray:
        """The rows that must not be answered, int64 [E]."""
        if not exclude:
            return seen
        find = self._bundle.items.find
        rows = [row for row in map(find, exclude) if row is not None]
        return np.concatenate([seen, np.array(rows, dtype=np.int64)])

    def _with_low_last(
        self, query_D: np.ndarray, query: Query, allowed_I: np.ndarray | None, low: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, with the items rated low behind all others, their scores one range lower as in `VectorModel.scores`."""
        others_I = np.ones(self._model.num_items, dtype=bool) if allowed_I is None else allowed_I.copy()
        others_I[low] = False
        rows_K, scores_K = np.zeros(0, dtype=np.int64), np.zeros(0)
        if others_I.any():
            wanted = self.pool(query.k, query.diversity)
            candidates = self._index.search(query_D, self._handed_on(wanted), others_I)
            rows_K, scores_K = self._diversify(*self._rescored(query_D, *candidates, wanted), query.k, query.diversity)
        missing = query.k - len(rows_K)
        last = np.unique(low if allowed_I is None else low[allowed_I[low]])
        if missing <= 0 or not len(last):
            return rows_K, scores_K
        rows_I = np.arange(self._model.num_items)
        if self._model.rescorer is None:
            scores_I = exact_scores(self._model.item_vectors_ID, query_D, rows_I)
        else:
            scores_I = self._model.rescorer.scores(query_D[None, :], rows_I)[0]
        scored_I = np.isfinite(scores_I)
        last = last[scored_I[last]]
        if not len(last):
            return rows_K, scores_K
        shift = scores_I[scored_I].max() - scores_I[scored_I].min() + 1.0
        last_rows, last_scores = best(last, scores_I[last] - shift, missing)
        return np.concatenate([rows_K, last_rows]), np.concatenate([scores_K, last_scores])

    def _handed_on(self, wanted: int) -> int:
        """How many candidates the first stage hands on, so that the best of the second are among them."""
        if self._candidates is None:
            return wanted
        return max(self._candidates, -(-wanted * self._candidates // 100))

    def _rescored(
        self, query_D: np.ndarray, rows_C: np.ndarray, scores_C: np.ndarray, wanted: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The candidates in the order of the ranker's own scores, as many as are wanted; without those that get no number."""
        if self._model.rescorer is None:
            return rows_C, scores_C
        scores_C = self._model.rescorer.scores(query_D[None, :], rows_C)[0]
        scored_C = np.isfinite(scores_C)
        return best(rows_C[scored_C], scores_C[scored_C], wanted)

    def pool(self, k: int, diversity: float) -> int:
        """How many candidates to search for, so that diversity has something to choose from."""
        return k if diversity <= 0 else max(k, min(max(_POOL * k, _SMALLEST_POOL), _LARGEST_POOL))

    def _diversify(self, rows_C: np.ndarray, scores_C: np.ndarray, k: int, diversity: float) -> tuple[np.ndarray, np.ndarray]:
        if diversity <= 0:
            return rows_C, scores_C
        chosen = marginal_relevance(scores_C, self.unit_vectors_ID[rows_C], k, diversity)
        return rows_C[chosen], scores_C[chosen]


_EMPTY = Histories.of([[]])


def _unit(vectors_ID: np.ndarray) -> np.ndarray:
    """The vectors brought to length one, in a new array; zero vectors stay zero. Float32 [I, D]."""
    norms_I = np.sqrt(np.einsum("id,id->i", vectors_ID, vectors_ID, dtype=np.float64))
    unit_ID: np.ndarray = np.divide(vectors_ID, np.where(norms_I > 0, norms_I, 1.0)[:, None], dtype=np.float64).astype(
        np.float32
    )
    unit_ID.flags.writeable = False
    return unit_ID
