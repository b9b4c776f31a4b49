"""Texts as vectors in the space of a release's items: by a text encoder, or by what matches the text.

Shapes: I items, D dimensions, J texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from app.bundle import LexicalIndex, Moments, TextEncoder
from app.retrieval.index import VectorIndex, best

_FEEDBACK = 10
"""Items that stand for a text where nothing encodes it."""


class DenseSearch(Protocol):
    """Anything that turns texts into vectors of the same space as the items'."""

    index: VectorIndex
    vectors_ID: np.ndarray
    moments: Moments

    def query(self, text: str) -> np.ndarray | None:
        """The query vector, float32 [D]; None where nothing is known of the text."""
        ...

    def documents(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of documents that come to the items, float32 [J, D]; zeros where nothing is known of one."""
        ...


class EncodedText:
    """Texts by a trained text encoder; of one for which it gives no numbers nothing is known.

    Args:
        encoder: of queries and documents.
        vectors_ID: of the documents, float32.
        index: over them.
        moments: of them.
    """

    def __init__(self, encoder: TextEncoder, vectors_ID: np.ndarray, index: VectorIndex, moments: Moments) -> None:
        self._encoder = encoder
        self.vectors_ID, self.index, self.moments = vectors_ID, index, moments

    def query(self, text: str) -> np.ndarray | None:
        """See `DenseSearch`."""
        query_D: np.ndarray = self._encoder.encode_queries([text])[0]
        return query_D if np.isfinite(query_D).all() else None

    def documents(self, texts: Sequence[str]) -> np.ndarray:
        """See `DenseSearch`."""
        vectors_JD = self._encoder.encode_documents(texts)
        return np.where(np.isfinite(vectors_JD).all(axis=1, keepdims=True), vectors_JD, np.float32(0))


class MatchedText:
    """Texts by the items that match them: the mean of what a recommender learned of the best ten, weighted by their BM25.

    What people who like these items like is then found too, whatever it is called (pseudo-relevance feedback, Rocchio 1971).

    Args:
        lexical: over the items' metadata.
        vectors_ID: of length one, float32.
        index: over them.
    """

    def __init__(self, lexical: LexicalIndex, vectors_ID: np.ndarray, index: VectorIndex) -> None:
        self._lexical = lexical
        self.vectors_ID, self.index, self.moments = vectors_ID, index, Moments.of(vectors_ID)

    def query(self, text: str) -> np.ndarray | None:
        """See `DenseSearch`."""
        scores_I = self._lexical.scores(text)
        matching = np.flatnonzero(scores_I > 0)
        rows, weights = best(matching, scores_I[matching], _FEEDBACK)
        if not len(rows):
            return None
        sum_D = weights @ self.vectors_ID[rows].astype(np.float64)
        length = float(np.sqrt(sum_D @ sum_D))
        return (sum_D / length).astype(np.float32) if length > 0 else None

    def documents(self, texts: Sequence[str]) -> np.ndarray:
        """See `DenseSearch`."""
        vectors_JD = np.zeros((len(texts), self.vectors_ID.shape[1]), dtype=np.float32)
        for row, text in enumerate(texts):
            found_D = self.query(text)
            if found_D is not None:
                vectors_JD[row] = found_D
        return vectors_JD
