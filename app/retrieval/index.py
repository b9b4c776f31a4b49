"""Top-k search over item vectors by inner product: FAISS for speed, numpy beside it as the oracle.

Both rank by the inner products of the float32 vectors in double precision, ties by the lower row, which is the order that
`VectorModel.scores` defines. Search parameters are made for each call; the index itself is never changed.

Shapes: I items, D dimensions, C candidates, E excluded, K answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import faiss
import numpy as np

from app.retrieval.quantized import QuantizedScan, Search

_MARGIN = 8
"""Candidates fetched beyond k: float32 may order neighbours differently than float64."""
_FEW = 512
"""Up to so many allowed items are scored one by one instead of searched."""
_CHUNK = 65_536
"""Rows widened to float64 at once."""
_FLOAT32_ROUNDING = 2.0**-24
_WORTH_ROUNDING = 4096
"""From so many items on, scanning them as integers first is faster …"""
_MOST_ROUNDED = 2**27
"""… and up to so many bytes of them are held beside the vectors."""
_TOGETHER = 32
"""Searches scanned at once."""


class VectorIndex(Protocol):
    """Anything that finds the k best items among those allowed."""

    def search(
        self, query_D: np.ndarray, k: int, allowed_I: np.ndarray | None = None, excluded_E: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The min(k, number allowed) best rows int64 [K] and their scores float64 [K], best first, ties by lower row.

        Args:
            query_D: float32 [D].
            k: at least 1.
            allowed_I: which items may be answered, bool [I]; None allows all.
            excluded_E: rows that may not be, all the same; any order, perhaps twice.
        """
        ...

    def search_all(self, wanted: Sequence[Search]) -> list[tuple[np.ndarray, np.ndarray]]:
        """`search` for each, in their order; together they may cost less."""
        ...


def best(rows_C: np.ndarray, scores_C: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k highest scores with their rows; ties by the lower row."""
    order = np.lexsort((rows_C, -scores_C))[:k]
    return rows_C[order], scores_C[order]


def without(allowed_I: np.ndarray | None, excluded_E: np.ndarray | None, num_items: int) -> np.ndarray | None:
    """`allowed_I` with some rows taken out, in a new array where there are any."""
    if excluded_E is None or not len(excluded_E):
        return allowed_I
    allowed_I = np.ones(num_items, dtype=bool) if allowed_I is None else allowed_I.copy()
    allowed_I[excluded_E] = False
    return allowed_I


def exact_scores(vectors_ID: np.ndarray, query_D: np.ndarray, rows_C: np.ndarray) -> np.ndarray:
    """Inner products of some rows with the query, float64 [C]; products of float32 numbers are exact in it.

    A row's score does not depend on which others are asked for, to the last bit: a matrix product would not promise that.
    """
    query64_D = query_D.astype(np.float64)
    if len(rows_C) <= _CHUNK:
        scores_C: np.ndarray = np.vecdot(vectors_ID[rows_C].astype(np.float64), query64_D)
        return scores_C
    starts = range(0, len(rows_C), _CHUNK)
    return np.concatenate([np.vecdot(vectors_ID[rows_C[s : s + _CHUNK]].astype(np.float64), query64_D) for s in starts])


class ExactIndex:
    """Every allowed item scored, in numpy: slow, and right by inspection."""

    def __init__(self, vectors_ID: np.ndarray) -> None:
        self._vectors_ID = vectors_ID

    def search(
        self, query_D: np.ndarray, k: int, allowed_I: np.ndarray | None = None, excluded_E: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        allowed_I = without(allowed_I, excluded_E, len(self._vectors_ID))
        rows_C = np.arange(len(self._vectors_ID)) if allowed_I is None else np.flatnonzero(allowed_I)
        return best(rows_C, exact_scores(self._vectors_ID, query_D, rows_C), k)

    def search_all(self, wanted: Sequence[Search]) -> list[tuple[np.ndarray, np.ndarray]]:
        """See `VectorIndex`."""
        return [self.search(search.query_D, search.k, search.allowed_I, search.excluded_E) for search in wanted]


class FaissIndex:
    """A FAISS index that finds candidates, and their float32 vectors that order them.

    A flat index gives exactly what `ExactIndex` gives: candidates are fetched until the bound on float32's rounding shows that
    none is missing, or, where that is faster, come from a scan in integers with a bound of its own. An approximate one may miss items, but never returns fewer than are there.

    Args:
        index: inner product, over all I vectors; not changed.
        vectors_ID: the same vectors, float32.
    """

    def __init__(self, index: faiss.Index, vectors_ID: np.ndarray) -> None:
        self._owner = index  # the downcast view below does not keep the index alive
        self._index = faiss.downcast_index(index)
        self._vectors_ID = vectors_ID
        self._exact = ExactIndex(vectors_ID)
        self._is_flat = isinstance(self._index, faiss.IndexFlat)
        self._scan: QuantizedScan | None = None
        if self._is_flat and len(vectors_ID) >= _WORTH_ROUNDING and vectors_ID.size <= _MOST_ROUNDED:
            self._scan = QuantizedScan(vectors_ID)
        self._longest = float(np.sqrt(np.max(np.einsum("id,id->i", vectors_ID, vectors_ID, dtype=np.float64), initial=0.0)))

    def search(
        self, query_D: np.ndarray, k: int, allowed_I: np.ndarray | None = None, excluded_E: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex`."""
        return self.search_all([Search(query_D, k, allowed_I, excluded_E)])[0]

    def search_all(self, wanted: Sequence[Search]) -> list[tuple[np.ndarray, np.ndarray]]:
        """See `VectorIndex`."""
        answers: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        if self._scan is not None:
            places = [place for place, search in enumerate(wanted) if self._can_scan(search)]
            for start in range(0, len(places), _TOGETHER):
                some = places[start : start + _TOGETHER]
                for place, found in zip(some, self._scan.search([wanted[place] for place in some]), strict=True):
                    if found is not None:
                        answers[place] = best(*found, wanted[place].k)
        return [answers[place] if place in answers else self._search(search) for place, search in enumerate(wanted)]

    def _can_scan(self, search: Search) -> bool:
        assert self._scan is not None
        num_left = len(self._vectors_ID) if search.allowed_I is None else int(np.count_nonzero(search.allowed_I))
        if search.excluded_E is not None:
            num_left -= len(search.excluded_E)  # or fewer, where they are not allowed anyway
        return num_left > max(_FEW, search.k) and search.k <= self._scan.largest_k

    def _search(self, search: Search) -> tuple[np.ndarray, np.ndarray]:
        query_D, k, num_items = search.query_D, search.k, len(self._vectors_ID)
        allowed_I = without(search.allowed_I, search.excluded_E, num_items)
        num_allowed = num_items if allowed_I is None else int(np.count_nonzero(allowed_I))
        k = min(k, num_allowed)
        if num_allowed <= max(_FEW, k) or not self._can_filter(num_allowed):
            return self._exact.search(query_D, k, allowed_I)
        # The selector borrows the bits, so they must live as long as the search.
        bits = None if allowed_I is None else np.packbits(allowed_I, bitorder="little")
        parameters = None if bits is None else self._parameters(faiss.IDSelectorBitmap(bits), num_allowed)
        fetch = k + _MARGIN
        while fetch < num_allowed // 4 or not self._is_flat:
            scores_1C, rows_1C = self._index.search(query_D[None, :], min(fetch, num_allowed), params=parameters)
            rows_C = rows_1C[0]
            if rows_C[-1] < 0:  # the graph or the lists ran out of items
                rows_C = rows_C[rows_C >= 0]
            if len(rows_C) < k:
                break
            rows_K, scores_K = best(rows_C, exact_scores(self._vectors_ID, query_D, rows_C), k)
            if not self._is_flat or scores_K[-1] > float(scores_1C[0, -1]) + self._rounding(query_D):
                return rows_K, scores_K
            fetch *= 4
        return self._exact.search(query_D, k, allowed_I)

    def _rounding(self, query_D: np.ndarray) -> float:
        """How far a float32 inner product may be from the true one.

        |fl(x·y) − x·y| ≤ γ_n Σ|x_d y_d| ≤ γ_n ‖x‖ ‖y‖ (Higham 2002, Eq. 3.5) in whatever order the terms are added; adding
        zero is exact, so n counts the query's other terms and the last few sums across a register.
        """
        terms = int(np.count_nonzero(query_D)) + 8
        return 1.01 * terms * _FLOAT32_ROUNDING * float(np.sqrt(query_D @ query_D)) * self._longest

    def _can_filter(self, num_allowed: int) -> bool:
        """Whether searching finds what is allowed with less work than scoring all of it.

        A search that must look at `effort` items to find enough has to look at effort · I / allowed of them when only some are allowed.
        """
        num_items = len(self._vectors_ID)
        return self._is_flat or num_allowed * num_allowed >= self._effort() * num_items

    def _effort(self) -> float:
        """About how many items an unfiltered search compares with the query."""
        match self._index:
            case faiss.IndexHNSW():
                return 16.0 * int(self._index.hnsw.efSearch)
            case faiss.IndexIVF():
                return len(self._vectors_ID) * int(self._index.nprobe) / int(self._index.nlist)
            case _:
                return float(len(self._vectors_ID))

    def _parameters(self, selector: Any, num_allowed: int) -> faiss.SearchParameters:
        """The index's own settings with the selector, widened by as much as the selector narrows."""
        widen = len(self._vectors_ID) / num_allowed
        match self._index:
            case faiss.IndexHNSW():
                return faiss.SearchParametersHNSW(sel=selector, efSearch=int(self._index.hnsw.efSearch * widen))
            case faiss.IndexIVF():
                nprobe = min(self._index.nlist, int(np.ceil(self._index.nprobe * widen)))
                return faiss.SearchParametersIVF(sel=selector, nprobe=nprobe)
            case _:
                return faiss.SearchParameters(sel=selector)
