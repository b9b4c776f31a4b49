"""Lists of related documents: which documents are related, and how well a model finds them.

Two documents are related that are relevant to the same query. A model is asked for the neighbours of every document that has a related
one, among all other documents; what it learned from are the documents alone.

Shapes: I documents, D documents with a related one, Q queries, B documents of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from training.data import Judgements
from training.errors import DataError
from training.evaluation.metrics import query_metrics

RELATED_METRICS = ("nDCG@10", "AP", "P@5", "R@100")

_CELLS = 8_000_000
"""Scores held at once."""


class Relating(Protocol):
    """A model of what is related to what."""

    def scores(self, rows_B: np.ndarray) -> np.ndarray:
        """How near every document is to each of some, float [B, I]; what a document has to say of itself is not looked at."""
        ...


def related_pairs(parts: Sequence[Judgements], num_documents: int) -> sp.csr_matrix:
    """True where two different documents are relevant to the same query, bool [I, I], symmetric.

    Args:
        parts: judgements of one collection; a grade above 0 is relevant.
        num_documents: I.

    Raises:
        DataError: no two documents are.
    """
    found = [judged.positives for judged in parts]
    query_rows = np.concatenate([np.zeros(0, dtype=np.int64), *(judged.query_rows for judged in found)])
    document_rows = np.concatenate([np.zeros(0, dtype=np.int64), *(judged.document_rows for judged in found)])
    shape = (int(query_rows.max(initial=0)) + 1, num_documents)
    relevant_QI = sp.csr_matrix((np.ones(len(query_rows), dtype=np.int64), (query_rows, document_rows)), shape=shape)
    related_II = sp.csr_matrix(relevant_QI.T @ relevant_QI)
    related_II.setdiag(0)
    related_II.eliminate_zeros()
    if not related_II.nnz:
        raise DataError(
            "no two documents are relevant to the same query, so nothing is known to be related; "
            "expected judgements of which some query has two, or ask for one document's list with --of ID"
        )
    return related_II.astype(bool)


def nearest(model: Relating, rows_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All other documents from the nearest to the farthest, ties in row order, and last the document itself.

    Returns:
        Rows, int64 [B, I], and their scores, float [B, I], −∞ for the document itself.
    """
    scores_BI = np.array(model.scores(rows_B), dtype=np.float64)
    scores_BI[np.arange(len(rows_B)), rows_B] = -np.inf
    order_BI = np.argsort(-scores_BI, axis=1, kind="stable")
    return order_BI, np.take_along_axis(scores_BI, order_BI, axis=1)


def evaluate_related(model: Relating, related_II: sp.csr_matrix) -> dict[str, np.ndarray]:
    """Metric → value of each document that has a related one, in row order, float64 [D]; all related ones count alike.

    Args:
        model: of the same documents.
        related_II: of `related_pairs`.
    """
    num_documents = related_II.shape[0]
    rows_D = np.flatnonzero(np.diff(related_II.indptr))
    width = max(1, _CELLS // num_documents)
    parts: list[dict[str, np.ndarray]] = []
    for start in range(0, len(rows_D), width):
        rows_B = rows_D[start : start + width]
        order_BI, _ = nearest(model, rows_B)
        others_B = np.full(len(rows_B), num_documents - 1)
        parts.append(query_metrics(related_II[rows_B].toarray().astype(np.int64), order_BI, others_B, RELATED_METRICS))
    return {name: np.concatenate([part[name] for part in parts]) for name in RELATED_METRICS}
