"""A search ranker reduced to what serving needs: a lexical index, document vectors, a text encoder, and how the two are fused.

Shapes: I documents, D dimensions, K answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from app.bundle.lexical import LexicalIndex
from app.bundle.texts import TextEncoder

Mode = Literal["lexical", "dense", "hybrid"]
MODES: tuple[Mode, ...] = get_args(Mode)
FusionMethod = Literal["standardised", "reciprocal-ranks"]

RANK_CONSTANT = 60
"""Of reciprocal-rank fusion (Cormack, Clarke, Büttcher 2009): 1 / (60 + rank) …"""
RANK_DEPTH = 1000
"""… over so many of the best of each list."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the lexical and the dense ranking become one; the lexical one always weighs 1.

    Attributes:
        method: `standardised`: each score minus its mean over the collection, divided by its standard deviation;
            `reciprocal-ranks`: 1 / (60 + rank).
        dense_weight: what the dense ranking weighs.
    """

    method: FusionMethod = "standardised"
    dense_weight: float = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class SearchModel:
    """Scores of documents for a text.

    Attributes:
        lexical: over the same documents, in the same order.
        document_vectors_ID: float32 [I, D]; None where there is lexical search alone.
        encoder: of queries, and of documents that come later; None as above.
        fusion: of the hybrid.
        mode: what is used where nobody says otherwise, chosen on validation data.
    """

    lexical: LexicalIndex
    document_vectors_ID: np.ndarray | None = None
    encoder: TextEncoder | None = None
    fusion: Fusion = Fusion()
    mode: Mode = "lexical"
    moments: Moments | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        assert (self.document_vectors_ID is None) == (self.encoder is None)
        if self.document_vectors_ID is None or self.encoder is None:
            assert self.mode == "lexical"
            return
        assert self.document_vectors_ID.dtype == np.float32
        assert self.document_vectors_ID.shape == (self.lexical.num_documents, self.encoder.dim)
        object.__setattr__(self, "moments", Moments.of(self.document_vectors_ID))

    @property
    def num_documents(self) -> int:
        """I."""
        return self.lexical.num_documents

    @property
    def modes(self) -> tuple[Mode, ...]:
        """What it can do."""
        return ("lexical",) if self.encoder is None else MODES

    def scores(self, text: str, mode: Mode | None = None, fusion: Fusion | None = None) -> np.ndarray:
        """Scores of all documents, float64 [I]; −inf for those that the mode finds nothing in.

        Sorting them, ties by lower row, gives the ranker's full ranking.
        """
        mode = mode or self.mode
        assert mode in self.modes
        if mode == "lexical":
            lexical_I = self.lexical.scores(text)
            return np.where(lexical_I > 0, lexical_I, -np.inf)
        query_D = self.query(text)
        dense_I = self.dense_scores(query_D)
        if mode == "dense":
            return dense_I
        return self.fused(self.lexical.scores(text), dense_I, query_D, fusion)

    def fused(
        self, lexical_I: np.ndarray, dense_I: np.ndarray, query_D: np.ndarray, fusion: Fusion | None = None
    ) -> np.ndarray:
        """The hybrid's scores from those of `lexical.scores` and of `dense_scores`, float64 [I]."""
        fusion = fusion or self.fusion
        if fusion.method == "standardised":
            assert self.moments is not None
            return fused_scores(lexical_I, moments_of(lexical_I), dense_I, self.moments.of_scores(query_D), fusion)
        fused_I = reciprocal_ranks(np.where(lexical_I > 0, lexical_I, -np.inf)) + fusion.dense_weight * reciprocal_ranks(
            dense_I
        )
        return np.where(fused_I > 0, fused_I, -np.inf)

    def query(self, text: str) -> np.ndarray:
        """The query vector of a text, float32 [D]."""
        assert self.encoder is not None
        query_D: np.ndarray = self.encoder.encode_queries([text])[0]
        return query_D

    def dense_scores(self, query_D: np.ndarray) -> np.ndarray:
        """Inner products with all documents, float64 [I], each by itself: alike documents tie, wherever they stand."""
        assert self.document_vectors_ID is not None
        scores_I: np.ndarray = np.vecdot(self.document_vectors_ID.astype(np.float64), query_D.astype(np.float64))
        return scores_I


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Mean and covariance of document vectors: of any query's inner products with them, mean and deviation follow without a scan.

    Attributes:
        mean_D: float64 [D].
        covariance_DD: float64 [D, D].
    """

    mean_D: np.ndarray
    covariance_DD: np.ndarray

    @classmethod
    def of(cls, vectors_ID: np.ndarray, rows: int = 65_536) -> Moments:
        """Over the rows of a matrix, so many widened to double precision at once."""
        dim = vectors_ID.shape[1]
        sum_D, products_DD = np.zeros(dim), np.zeros((dim, dim))
        for start in range(0, len(vectors_ID), rows):
            part_RD = vectors_ID[start : start + rows].astype(np.float64)
            sum_D += part_RD.sum(axis=0)
            products_DD += part_RD.T @ part_RD
        count = max(1, len(vectors_ID))
        mean_D = sum_D / count
        return cls(mean_D, products_DD / count - np.outer(mean_D, mean_D))

    def of_scores(self, query_D: np.ndarray) -> tuple[float, float]:
        """Mean and standard deviation of the inner products with a query."""
        exact_D = query_D.astype(np.float64)
        variance = float(exact_D @ self.covariance_DD @ exact_D)
        return float(exact_D @ self.mean_D), float(np.sqrt(max(variance, 0.0)))


def moments_of(scores_I: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of scores."""
    return float(scores_I.mean()), float(scores_I.std())


def standardised(scores: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    """(s − mean) / deviation; zeros where nothing deviates, which then say nothing."""
    if not deviation > 0:
        return np.zeros_like(scores)
    z: np.ndarray = (scores - mean) / deviation
    return z


def fused_scores(
    words: np.ndarray,
    of_words: tuple[float, float],
    vectors: np.ndarray,
    of_vectors: tuple[float, float],
    fusion: Fusion,
) -> np.ndarray:
    """The sum of standardised scores of the same documents; mean and deviation of each are over the whole collection."""
    scores: np.ndarray = standardised(words, *of_words) + fusion.dense_weight * standardised(vectors, *of_vectors)
    return scores


def reciprocal_ranks(scores_I: np.ndarray) -> np.ndarray:
    """1 / (60 + rank) of the best 1,000 with a finite score, ranks from 1, ties by lower row; 0 elsewhere. Float64 [I]."""
    order = np.argsort(-scores_I, kind="stable")[:RANK_DEPTH]
    order = order[np.isfinite(scores_I[order])]
    shares_I = np.zeros(len(scores_I))
    shares_I[order] = 1.0 / (RANK_CONSTANT + np.arange(1, len(order) + 1))
    return shares_I


def best_rows(scores_I: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k best with a finite score, best first, ties by lower row, int64 [K]."""
    order = np.argsort(-scores_I, kind="stable")[:k]
    rows: np.ndarray = order[np.isfinite(scores_I[order])]
    return rows
