"""The exact top k by a scan in 8-bit integers: a quarter of the memory traffic of float32, and none of its rounding is believed.

Item vectors and query are rounded to integers, x ≈ s·b and q ≈ t·a, and ⟨a, b⟩ is computed for all items. By Cauchy–Schwarz

    |⟨q, x⟩ − s·t·⟨a, b⟩| ≤ ‖q‖ ‖x − s·b‖ + ‖q − t·a‖ ‖s·b‖ ,

so every item whose integer score lies far enough below is out for certain, and the few that remain are scored exactly.

Shapes: B queries, I items, D dimensions, C candidates, E excluded, N columns of M items each, P pairs of query and column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.bundle import Graph

_ITEM_LEVELS, _QUERY_LEVELS = 127, 63
"""Largest integers of items and query: 2 · (63 + 64) · 127 stays below 2¹⁵, beyond which processors without VNNI instructions saturate."""
_QUERY_ZERO = 64
_COLUMN = 16
"""Items that one best score stands for while the threshold is sought: sorting one in 16 scores costs less than sorting all."""
_MORE = 12
"""Found beyond 2 k at first, so that mostly no second look is needed."""
_MOST_COLUMNS = 256
"""Looking into more columns than this costs as much as the scan in float32."""
_NEVER = np.iinfo(np.int32).min
_SLACK = 1.0 + 1e-9
"""Covers the rounding of the bound's own arithmetic, which is float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What an index is asked.

    Attributes:
        query_D: float32.
        k: how many items, at least 1.
        allowed_I: which items may be answered, bool; None allows all.
        excluded_E: rows that may not be, all the same; any order, perhaps twice.
    """

    query_D: np.ndarray
    k: int
    allowed_I: np.ndarray | None = None
    excluded_E: np.ndarray | None = None


class QuantizedScan:
    """Item vectors as 8-bit integers, searched exactly, for several queries at once.

    Args:
        vectors_ID: float32; kept for exact scores.
    """

    def __init__(self, vectors_ID: np.ndarray) -> None:
        num_items = len(vectors_ID)
        self._vectors_ID = vectors_ID
        self._scale = float(np.abs(vectors_ID).max(initial=0.0)) / _ITEM_LEVELS or 1.0
        integers_ID = np.rint(vectors_ID / np.float32(self._scale)).astype(np.int8)
        rounded_ID = integers_ID * np.float64(self._scale)
        self._longest = float(np.sqrt(np.einsum("id,id->i", rounded_ID, rounded_ID).max(initial=0.0)))
        rounded_ID -= vectors_ID
        self._error = float(np.sqrt(np.einsum("id,id->i", rounded_ID, rounded_ID).max(initial=0.0)))
        self._num_items = num_items
        self._num_columns = -(-num_items // _COLUMN)
        padded_DI = np.zeros((vectors_ID.shape[1], self._num_columns * _COLUMN), dtype=np.int8)
        padded_DI[:, :num_items] = integers_ID.T
        self._session = Graph(_integer_product(padded_DI)).session

    @property
    def largest_k(self) -> int:
        """For more items than this a scan in float32 is the faster one."""
        return (self._num_columns // 2 - _MORE) // 2

    def search(self, wanted: Sequence[Search]) -> list[tuple[np.ndarray, np.ndarray] | None]:
        """For each search, rows among which its k best are for certain, and their exact scores: int64 and float64 [C], in no order.

        Args:
            wanted: each with at least k items left to answer, and k at most `largest_k`.

        Returns:
            None where so many items might be among the best that a scan in float32 is the faster one.
        """
        queries_BD = np.stack([search.query_D for search in wanted]).astype(np.float64)
        steps_B = np.abs(queries_BD).max(axis=1) / _QUERY_LEVELS
        steps_B[steps_B == 0.0] = 1.0
        integers_BD = np.rint(queries_BD / steps_B[:, None])
        lost_BD = queries_BD - steps_B[:, None] * integers_BD
        errors_B = _SLACK * (_norms(queries_BD) * self._error + _norms(lost_BD) * self._longest)
        products_BI: np.ndarray = self._session.run(None, {"queries": (integers_BD + _QUERY_ZERO).astype(np.uint8)})[0]
        products_BI[:, self._num_items :] = _NEVER
        for search, products_I in zip(wanted, products_BI, strict=True):
            if search.allowed_I is not None:
                np.copyto(products_I[: self._num_items], _NEVER, where=~search.allowed_I)
            if search.excluded_E is not None:
                products_I[search.excluded_E] = _NEVER
        # Item i stands in column i modulo their number; a column's best stands for it while the threshold is sought.
        products_BMN = products_BI.reshape(len(wanted), _COLUMN, self._num_columns)
        best_BN = products_BMN.max(axis=1)
        num_found = 2 * max(search.k for search in wanted) + _MORE
        thresholds_B = np.partition(best_BN, -num_found, axis=1)[:, -num_found]
        np.maximum(thresholds_B, _NEVER + 1, out=thresholds_B)
        found = self._candidates(products_BMN, best_BN, thresholds_B, queries_BD)
        # An item left out can only be among the best if its true score reaches the k-th of those found.
        units_B = self._scale * steps_B
        reached_B = (
            np.array([_kth(scores_C, search.k) for (_, scores_C), search in zip(found, wanted, strict=True)]) - errors_B
        ) / units_B
        needed_B = np.floor(reached_B - 1e-9 * np.abs(reached_B))
        answers: list[tuple[np.ndarray, np.ndarray] | None] = list(found)
        again = (needed_B < thresholds_B).nonzero()[0]
        lower_B = np.maximum(needed_B, _NEVER + 1).astype(np.int32)
        for place in again:
            if np.count_nonzero(best_BN[place] >= lower_B[place]) > max(_MOST_COLUMNS, 2 * num_found):
                answers[place] = None
            else:
                one = slice(place, place + 1)
                answers[place] = self._candidates(products_BMN[one], best_BN[one], lower_B[one], queries_BD[one])[0]
        return answers

    def _candidates(
        self, products_BMN: np.ndarray, best_BN: np.ndarray, thresholds_B: np.ndarray, queries_BD: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each query, the rows of all items that reach its threshold, and their exact scores; most columns are not looked at again."""
        queries_P, columns_P = (best_BN >= thresholds_B[:, None]).nonzero()
        reaching_PM = products_BMN[queries_P, :, columns_P] >= thresholds_B[queries_P, None]
        pairs_C, places_C = reaching_PM.nonzero()
        queries_C = queries_P[pairs_C]
        rows_C = places_C * self._num_columns + columns_P[pairs_C]
        # Row by row in the same order of additions, so that a score does not depend on what it is asked together with.
        scores_C = np.einsum("cd,cd->c", self._vectors_ID[rows_C].astype(np.float64), queries_BD[queries_C])
        ends = np.searchsorted(queries_C, np.arange(1, len(queries_BD)))
        return list(zip(np.split(rows_C, ends), np.split(scores_C, ends), strict=True))


def _norms(vectors_BD: np.ndarray) -> np.ndarray:
    norms_B: np.ndarray = np.sqrt(np.einsum("bd,bd->b", vectors_BD, vectors_BD))
    return norms_B


def _kth(scores_C: np.ndarray, k: int) -> float:
    """The k-th highest score; minus infinity where there are fewer, so that everything may still be among the best."""
    if len(scores_C) < k:
        return -np.inf
    ordered_C = scores_C.copy()
    ordered_C.partition(-k)
    return float(ordered_C[-k])


def _integer_product(integers_DI: np.ndarray) -> bytes:
    """An ONNX graph `products` int32 [B, I] = (`queries` uint8 [B, D] − 64) · items int8 [D, I].

    ONNX Runtime has this product in the processor's own 8-bit instructions, which numpy and FAISS have not. The graph is written
    field by field (github.com/onnx/onnx, onnx.proto), since the service does without the package that would write it.
    """
    dim, num_items = integers_DI.shape
    uint8, int8, int32 = 2, 3, 6

    def tensor(name: str, kind: int, array: np.ndarray) -> bytes:
        dims = b"".join(_number(1, size) for size in array.shape)
        return dims + _number(2, kind) + _bytes(8, name.encode()) + _bytes(9, array.tobytes())

    def value(name: str, kind: int, size: int) -> bytes:
        dims = _bytes(1, _bytes(2, b"B")) + _bytes(1, _number(1, size))
        return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dims)))

    node = (
        b"".join(_bytes(1, name) for name in (b"queries", b"items", b"zero"))
        + _bytes(2, b"products")
        + _bytes(4, b"MatMulInteger")
    )
    graph = (
        _bytes(1, node)
        + _bytes(2, b"scan")
        + _bytes(5, tensor("items", int8, integers_DI))
        + _bytes(5, tensor("zero", uint8, np.array(_QUERY_ZERO, dtype=np.uint8)))
        + _bytes(11, value("queries", uint8, dim))
        + _bytes(12, value("products", int32, num_items))
    )
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))  # format version, graph, operator set


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content
