"""How a bundle turns histories into query vectors: the three forms an encoder can take.

The same code runs in the service, in the evaluator and in the writer's self-check, so a figure in a report and an answer over
HTTP come from the same arithmetic.

Shapes: B users in the batch, L the longest history, N events in all, I items, D dimensions of the index.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from app.bundle.graphs import Graph
from app.bundle.histories import Histories

_CELLS = 2**25
"""Numbers in the largest intermediate of a batch: B · L · width."""


class Encoder(Protocol):
    """Anything that maps histories to query vectors."""

    dim: int

    def encode(self, histories: Histories) -> np.ndarray:
        """Query vectors of B histories, float32 [B, D]."""
        ...


def _in_batches(histories: Histories, width: int, dim: int, encode: Callable[[Histories], np.ndarray]) -> np.ndarray:
    """Encode histories of like length together, as many at once as memory allows.

    Args:
        histories: B of them, in any order.
        width: numbers that one event of one history takes.
        dim: D.
        encode: query vectors of a batch.

    Returns:
        Query vectors in the order of the histories, float32 [B, D].
    """
    vectors_BD = np.zeros((len(histories), dim), dtype=np.float32)
    by_length = np.argsort(histories.lengths, kind="stable")[::-1]  # the longest first: a batch is as wide as its first
    start = 0
    while start < len(by_length):
        longest = max(1, int(histories.lengths[by_length[start]]))
        batch = by_length[start : start + max(1, _CELLS // (longest * width))]
        vectors_BD[batch] = encode(histories.take(batch))
        start += len(batch)
    return vectors_BD


class LinearEncoder:
    """q = c + Σ_h w_h T_h / (Σ_h |w_h|)^p: a weighted, normalised sum of one table row per event.

    EASE and item-kNN are this with the identity as table, PureSVD with the item factors, popularity with no table at work but
    an intercept; a matrix factorisation's fold-in is this with a fitted table.

    Args:
        table_ID: what each event adds, float32 [I, D]; None stands for the identity (then D = I).
        intercept_D: c, float32 [D]; None for zero.
        num_items: I, wanted where `table_ID` is None.
        exponent: p; 0 sums, 1 averages.
        low_weight: w of an event rated below `positive_threshold`; every other event weighs 1.
        positive_threshold: the rating from which an event counts as liked.
    """

    def __init__(
        self,
        *,
        table_ID: np.ndarray | None,
        intercept_D: np.ndarray | None = None,
        num_items: int | None = None,
        exponent: float = 0.0,
        low_weight: float = 1.0,
        positive_threshold: float = 0.0,
    ) -> None:
        if table_ID is None:
            assert num_items is not None, "an identity table has as many dimensions as there are items"
            self.dim = num_items
        else:
            self.dim = table_ID.shape[1]
        self.table_ID = table_ID
        self.intercept_D = intercept_D
        self.exponent = exponent
        self.low_weight = low_weight
        self.positive_threshold = positive_threshold

    def encode(self, histories: Histories) -> np.ndarray:
        """Query vectors, float32 [B, D]; an empty history gives the intercept."""
        weights_N = np.where(histories.is_low(self.positive_threshold), self.low_weight, 1.0).astype(np.float32)
        users_N = histories.users
        vectors_BD = np.zeros((len(histories), self.dim), dtype=np.float32)
        if self.table_ID is None:
            np.add.at(vectors_BD, (users_N, histories.items), weights_N)
        elif len(histories.items):
            filled_B = histories.lengths > 0
            rows_ND = self.table_ID[histories.items] * weights_N[:, None]
            vectors_BD[filled_B] = np.add.reduceat(rows_ND, histories.offsets[:-1][filled_B], axis=0)
        if self.exponent:
            total_B = np.bincount(users_N, weights=np.abs(weights_N), minlength=len(histories))
            vectors_BD /= (np.maximum(total_B, 1e-12) ** self.exponent)[:, None].astype(np.float32)
        if self.intercept_D is not None:
            vectors_BD += self.intercept_D
        return vectors_BD


class RidgeEncoder:
    """q = (G + λ1 + Σ_h (c − 1) v_h v_hᵀ)⁻¹ Σ_h c v_h: the user step of implicit-feedback ALS (Hu, Koren, Volinsky 2008, Eq. 4).

    Args:
        item_vectors_ID: v, float32 [I, D]; no bias dimension.
        confidence: c, the weight of an observed event beside the weight 1 of an unobserved one.
        regularization: λ.
    """

    def __init__(self, *, item_vectors_ID: np.ndarray, confidence: float, regularization: float) -> None:
        self.item_vectors_ID = item_vectors_ID
        self.confidence = confidence
        self.regularization = regularization
        self.dim = item_vectors_ID.shape[1]
        vectors_ID = item_vectors_ID.astype(np.float64)
        self._base_DD = vectors_ID.T @ vectors_ID + regularization * np.eye(self.dim)

    def encode(self, histories: Histories) -> np.ndarray:
        """Query vectors, float32 [B, D]; an empty history gives zeros."""
        # A history of one event still makes a D × D matrix.
        return _in_batches(histories, self.dim * self.dim, self.dim, self._solve)

    def _solve(self, histories: Histories) -> np.ndarray:
        items_BL, _ = histories.padded(padding=0)
        filled_BL = np.arange(items_BL.shape[1]) < histories.lengths[:, None]
        vectors_BLD = self.item_vectors_ID[items_BL].astype(np.float64) * filled_BL[..., None]
        left_BDD = self._base_DD + (self.confidence - 1) * np.matmul(vectors_BLD.transpose(0, 2, 1), vectors_BLD)
        right_BD = self.confidence * vectors_BLD.sum(axis=1)
        solved: np.ndarray = np.linalg.solve(left_BDD, right_BD[..., None])[..., 0].astype(np.float32)
        return solved


class OnnxEncoder:
    """An ONNX graph from padded histories to query vectors.

    The graph's inputs are `items` int64 [B, L], padded with I, and `ratings` float32 [B, L], NaN where there is none; its output
    is `vectors` float32 [B, D].

    Args:
        graph: a path, or the serialised graph.
        num_items: I, the padding row.
    """

    INPUTS = ("items", "ratings")
    OUTPUT = "vectors"

    def __init__(self, graph: Path | bytes, *, num_items: int) -> None:
        self.graph = Graph(graph)
        self.num_items = num_items
        self.dim = int(self.graph.session.get_outputs()[0].shape[-1])

    def encode(self, histories: Histories) -> np.ndarray:
        """Query vectors, float32 [B, D]."""
        return _in_batches(histories, self.dim, self.dim, self._run)

    def _run(self, histories: Histories) -> np.ndarray:
        items_BL, ratings_BL = histories.padded(self.num_items)
        vectors_BD: np.ndarray = self.graph.session.run([self.OUTPUT], {"items": items_BL, "ratings": ratings_BL})[0]
        return vectors_BD
