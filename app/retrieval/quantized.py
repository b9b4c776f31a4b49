"""The exact top k by a scan in 8-bit integers: a quarter of the memory traffic of float32, and none of its rounding is believed.

Item vectors and query are rounded to integers, x ≈ s·b and q ≈ t·a, and ⟨a, b⟩ is computed for all items. By Cauchy–Schwarz

    |⟨q, x⟩ − s·t·⟨a, b⟩| ≤ ‖q‖ ‖x − s·b‖ + ‖q − t·a‖ ‖s·b‖ ,

so every item whose integer score lies far enough below is out for certain, and the few that remain are scored exactly.

Shapes: I items, D dimensions, C candidates, E excluded, B items in a block, N blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnxruntime as ort

_ITEM_LEVELS, _QUERY_LEVELS = 127, 63
"""Largest integers of items and query: 2 · (63 + 64) · 127 stays below 2¹⁵, beyond which processors without VNNI instructions saturate."""
_QUERY_ZERO = 64
_BLOCKS_OF = 16
"""A block's best score stands for it while the threshold is sought: sorting one in 16 scores costs less than sorting all."""
_NEVER = np.iinfo(np.int32).min
_SLACK = 1.0 + 1e-9
"""Covers the rounding of the bound's own arithmetic, which is float64."""


class QuantizedScan:
    """Item vectors as 8-bit integers, searched exactly.

    Args:
        vectors_ID: float32; kept for exact scores.
        exact_scores: inner products of some rows with a query: (vectors_ID, query_D, rows_C) → float64 [C].
    """

    def __init__(
        self, vectors_ID: np.ndarray, exact_scores: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    ) -> None:
        num_items = len(vectors_ID)
        self._vectors_ID = vectors_ID
        self._exact_scores = exact_scores
        self._scale = float(np.abs(vectors_ID).max(initial=0.0)) / _ITEM_LEVELS or 1.0
        integers_ID = np.rint(vectors_ID / np.float32(self._scale)).astype(np.int8)
        rounded_ID = integers_ID * np.float64(self._scale)
        self._longest = float(np.sqrt(np.einsum("id,id->i", rounded_ID, rounded_ID).max(initial=0.0)))
        rounded_ID -= vectors_ID
        self._error = float(np.sqrt(np.einsum("id,id->i", rounded_ID, rounded_ID).max(initial=0.0)))
        self._num_items = num_items
        self._num_blocks = -(-num_items // _BLOCKS_OF)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        padded_DI = np.zeros((vectors_ID.shape[1], self._num_blocks * _BLOCKS_OF), dtype=np.int8)
        padded_DI[:, :num_items] = integers_ID.T
        graph = _integer_product(padded_DI)
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def search(
        self, query_D: np.ndarray, k: int, allowed_I: np.ndarray | None, excluded_E: np.ndarray | None, limit: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows among which the k best are for certain, and their exact scores: int64 and float64 [C], C at least k, in no order.

        Args:
            query_D: float32.
            k: at most the number of items that may be answered.
            allowed_I: which may, bool; None allows all.
            excluded_E: rows that may not, all the same; any order, perhaps twice.
            limit: None is the answer where more items than this might be among the best.
        """
        wanted = 2 * k + 12  # more than k, so that the second threshold is mostly above the first
        if wanted > self._num_blocks // 2:
            return None
        query64_D = query_D.astype(np.float64)
        step = float(np.abs(query64_D).max()) / _QUERY_LEVELS or 1.0
        integers_D = np.rint(query64_D / step)
        lost_D = query64_D - step * integers_D
        shifted_1D = (integers_D + _QUERY_ZERO).astype(np.uint8)[None, :]
        products_I: np.ndarray = self._session.run(None, {"query": shifted_1D})[0][0]
        products_I[self._num_items :] = _NEVER
        if allowed_I is not None:
            np.copyto(products_I[: self._num_items], _NEVER, where=~allowed_I)
        if excluded_E is not None:
            products_I[excluded_E] = _NEVER
        # A block is a column: item i stands in block i modulo their number.
        products_BN = products_I.reshape(_BLOCKS_OF, self._num_blocks)
        best_N = products_BN.max(axis=0)
        ordered_N = best_N.copy()
        ordered_N.partition(-wanted)
        threshold = int(ordered_N[-wanted])
        if threshold == _NEVER:
            return None
        rows_C = self._rows(products_BN, best_N, threshold)
        if len(rows_C) > limit:
            return None
        scores_C = self._exact_scores(self._vectors_ID, query_D, rows_C)
        ordered_C = scores_C.copy()
        ordered_C.partition(-k)
        error = _SLACK * (
            math.sqrt(float(query64_D @ query64_D)) * self._error + math.sqrt(float(lost_D @ lost_D)) * self._longest
        )
        # An item left out can only be among the best if its true score reaches the k-th of those found.
        reached = (float(ordered_C[-k]) - error) / (self._scale * step)
        needed = math.floor(reached - 1e-9 * abs(reached))
        if needed < threshold:
            rows_C = self._rows(products_BN, best_N, max(needed, _NEVER + 1))
            if len(rows_C) > limit:
                return None
            scores_C = self._exact_scores(self._vectors_ID, query_D, rows_C)
        return rows_C, scores_C

    def _rows(self, products_BN: np.ndarray, best_N: np.ndarray, threshold: int) -> np.ndarray:
        """The rows of all items that reach a threshold, int64 [C]; most blocks hold none and are not looked at again."""
        columns = (best_N >= threshold).nonzero()[0]
        places, found = (products_BN[:, columns] >= threshold).nonzero()
        rows_C: np.ndarray = places * self._num_blocks + columns[found]
        return rows_C


def _integer_product(integers_DI: np.ndarray) -> bytes:
    """An ONNX graph `scores` int32 [1, I] = (`query` uint8 [1, D] − 64) · items int8 [D, I].

    ONNX Runtime has this product in the processor's own 8-bit instructions, which numpy and FAISS have not. The graph is written
    field by field (github.com/onnx/onnx, onnx.proto), since the service does without the package that would write it.
    """
    dim, num_items = integers_DI.shape
    uint8, int8, int32 = 2, 3, 6

    def tensor(name: str, kind: int, array: np.ndarray) -> bytes:
        dims = b"".join(_number(1, size) for size in array.shape)
        return dims + _number(2, kind) + _bytes(8, name.encode()) + _bytes(9, array.tobytes())

    def value(name: str, kind: int, *shape: int) -> bytes:
        dims = b"".join(_bytes(1, _number(1, size)) for size in shape)
        return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dims)))

    node = (
        b"".join(_bytes(1, name) for name in (b"query", b"items", b"zero")) + _bytes(2, b"scores") + _bytes(4, b"MatMulInteger")
    )
    graph = (
        _bytes(1, node)
        + _bytes(2, b"scan")
        + _bytes(5, tensor("items", int8, integers_DI))
        + _bytes(5, tensor("zero", uint8, np.array(_QUERY_ZERO, dtype=np.uint8)))
        + _bytes(11, value("query", uint8, 1, dim))
        + _bytes(12, value("scores", int32, 1, num_items))
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
