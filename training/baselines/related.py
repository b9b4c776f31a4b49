"""Related documents by the words that documents share: what a learned similarity has to beat.

Shapes: I documents, B of them, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from app.bundle import LexicalIndex


class Cosines:
    """The cosine of the documents' vectors; of several vectors a document, the mean of their cosines.

    Args:
        spaces: one matrix for each space, [I, D], dense or sparse. A document without a vector is at 0 to all.
    """

    def __init__(self, *spaces: np.ndarray | sp.csr_matrix) -> None:
        self._spaces = [normalize(vectors_ID) for vectors_ID in spaces]

    def scores(self, rows_B: np.ndarray) -> np.ndarray:
        """Float64 [B, I]."""
        products = (vectors_ID[rows_B] @ vectors_ID.T for vectors_ID in self._spaces)
        cosines = [product.toarray() if sp.issparse(product) else product for product in products]
        scores_BI: np.ndarray = np.mean(cosines, axis=0)
        return scores_BI


class MoreLikeThis:
    """BM25 with a whole document as the query, repeated words as often as they stand there.

    Args:
        texts: of all documents, in row order.
        index: over the same texts.
    """

    def __init__(self, texts: Sequence[str], index: LexicalIndex) -> None:
        self._texts = texts
        self._index = index

    def scores(self, rows_B: np.ndarray) -> np.ndarray:
        """Float64 [B, I]."""
        return np.stack([self._index.scores(self._texts[row]) for row in rows_B])
