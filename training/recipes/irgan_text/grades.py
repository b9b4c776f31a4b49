"""NDCG@10 of some queries, for matrices of scores.

Shapes: V queries, I documents.
"""

from __future__ import annotations

import numpy as np

from training.data import Judgements

_K = 10


class Graded:
    """Queries and the grades of all documents for them.

    Args:
        judged: what is relevant.
        queries: rows of V queries, ascending.
        num_documents: I.
    """

    def __init__(self, judged: Judgements, queries: np.ndarray, num_documents: int) -> None:
        self.queries = queries
        mine = judged.of_queries(queries)
        self._grades_VI = np.zeros((len(queries), num_documents), dtype=np.int32)
        self._grades_VI[np.searchsorted(queries, mine.query_rows), mine.document_rows] = mine.grades
        self._k = min(_K, num_documents)
        self._discounts_K = 1.0 / np.log2(np.arange(2, self._k + 2))
        best_VK = -np.sort(np.partition(-self._grades_VI, self._k - 1, axis=1)[:, : self._k], axis=1)
        self._ideal_V = best_VK @ self._discounts_K

    def ndcg(self, scores_VI: np.ndarray) -> np.ndarray:
        """NDCG@10 of each query, float64 [V]; 0 for one without a relevant document."""
        best_VK = np.argpartition(-scores_VI, self._k - 1, axis=1)[:, : self._k]
        ranks_VK = np.argsort(-np.take_along_axis(scores_VI, best_VK, axis=1), axis=1, kind="stable")
        grades_VK = np.take_along_axis(self._grades_VI, np.take_along_axis(best_VK, ranks_VK, axis=1), axis=1)
        found_V = grades_VK @ self._discounts_K
        return np.divide(found_V, self._ideal_V, out=np.zeros(len(found_V)), where=self._ideal_V > 0)
