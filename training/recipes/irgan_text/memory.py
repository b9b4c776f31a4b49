"""What documents remember of the queries that they answered in training.

A document's vector moves towards the training queries that it answers, by r = Σ_q M (q − μ) / √n: μ is the mean training query, and
M = C⁻¹ makes the inner product of a query with another one small unless they are about the same, C being the covariance of queries and
documents, half and half. A query that is no more like the training queries of a document than a threshold gains nothing from them:
the threshold is a bias of the document, in a dimension where every query has 1. A document without training queries stays where it is.

Shapes: Q queries, I documents, E width, D = E + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.recipes.irgan_text.players import Pairs

_SHRINKAGE = 1.0
"""The mean variance of a direction times this is added to C, so that a few hundred queries do not decide on rare directions."""


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What can be remembered, before it is weighed.

    Attributes:
        moves_IE: r of each document, float32.
        means_I: ⟨μ, r⟩, float32.
        sizes_I: √n, n being the training queries of each document, float32.
    """

    moves_IE: np.ndarray
    means_I: np.ndarray
    sizes_I: np.ndarray

    def vectors(self, documents_IE: np.ndarray, weight: float, threshold: float) -> np.ndarray:
        """Document vectors with the bias in the last dimension, float32 [I, D]: d + w r, and −w (⟨μ, r⟩ + threshold · √n)."""
        bias_I = -weight * (self.means_I + threshold * self.sizes_I)
        return np.concatenate([documents_IE + np.float32(weight) * self.moves_IE, bias_I[:, None]], axis=1, dtype=np.float32)


def remember(questions_QE: np.ndarray, documents_IE: np.ndarray, pairs: Pairs) -> Memory:
    """The memory of some pairs; similarities are on a scale on which a training query is, on average, 1 like itself.

    Args:
        questions_QE: query vectors, by the pairs' rows.
        documents_IE: document vectors.
        pairs: what answers what.
    """
    num_documents = len(documents_IE)
    counts_I = np.bincount(pairs.document_rows, minlength=num_documents)
    sizes_I = np.sqrt(counts_I)
    moves_IE = np.zeros(documents_IE.shape)
    rows = np.unique(pairs.question_rows)
    if len(rows) < 2:
        return Memory(moves_IE.astype(np.float32), np.zeros(num_documents, np.float32), sizes_I.astype(np.float32))
    mean_E = questions_QE[rows].astype(np.float64).mean(axis=0)
    centred_QE = questions_QE[rows] - mean_E
    covariance_EE = (np.cov(centred_QE.T) + np.cov(documents_IE.astype(np.float64).T)) / 2
    inverse_EE = np.linalg.inv(covariance_EE + _SHRINKAGE * np.trace(covariance_EE) / len(mean_E) * np.eye(len(mean_E)))
    moved_QE = centred_QE @ inverse_EE
    moved_QE /= (moved_QE * centred_QE).sum(axis=1).mean()
    np.add.at(moves_IE, pairs.document_rows, moved_QE[np.searchsorted(rows, pairs.question_rows)])
    moves_IE /= np.maximum(sizes_I, 1.0)[:, None]
    return Memory(moves_IE.astype(np.float32), (moves_IE @ mean_E).astype(np.float32), sizes_I.astype(np.float32))
