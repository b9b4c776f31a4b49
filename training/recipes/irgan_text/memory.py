"""What documents remember of the queries that they answered in training.

A document's vector moves by r = Σ_q M (q − μ − c (x̄ − x̄₀)) / √n towards the n training queries that it answers. μ is the mean training
query; x̄ is the mean of the document's nearest neighbours and x̄₀ that of all documents, so that what a query says of the subject, which
the neighbours answer as well, is mostly left out. M = C⁻¹, C being the covariance of queries and documents, makes the inner product of
two queries small unless they are about the same. A query that is no more like a document's training queries than a threshold gains
nothing from them: the threshold is a bias of the document, in a dimension where every query has 1. A document without training queries
stays where it is.

Shapes: Q queries, I documents, S documents with training queries, E width, D = E + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.recipes.irgan_text.players import Pairs

_NUM_NEIGHBOURS = 10
"""Of a document."""
_SHRINKAGE = 0.3
"""The mean variance of a direction times this is added to C, so that a few hundred queries do not decide on rare directions. Both were
chosen on SciFact's training queries in five folds by document."""

_ROWS = 256
"""Documents whose neighbours are looked for at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What can be remembered, before it is weighed.

    Attributes:
        moves_IE: r of each document, float32.
        means_I: ⟨μ, r⟩, float32.
        sizes_I: √n, float32.
    """

    moves_IE: np.ndarray
    means_I: np.ndarray
    sizes_I: np.ndarray

    def vectors(self, documents_IE: np.ndarray, weight: float, threshold: float) -> np.ndarray:
        """Document vectors with the bias in the last dimension, float32 [I, D]: d + w r, and −w (⟨μ, r⟩ + threshold · √n)."""
        bias_I = -weight * (self.means_I + threshold * self.sizes_I)
        return np.concatenate([documents_IE + np.float32(weight) * self.moves_IE, bias_I[:, None]], axis=1, dtype=np.float32)


def remember(questions_QE: np.ndarray, documents_IE: np.ndarray, pairs: Pairs, *, neighbour_share: float) -> Memory:
    """The memory of some pairs; similarities are on a scale on which a training query is, on average, 1 like itself.

    Args:
        questions_QE: query vectors, by the pairs' rows.
        documents_IE: document vectors.
        pairs: what answers what.
        neighbour_share: c.
    """
    num_documents = len(documents_IE)
    sizes_I = np.sqrt(np.bincount(pairs.document_rows, minlength=num_documents))
    moves_IE = np.zeros(documents_IE.shape)
    rows, place_N = np.unique(pairs.question_rows, return_inverse=True)
    mean_E = np.zeros(documents_IE.shape[1])
    if len(rows) > 1:
        mean_E = questions_QE[rows].astype(np.float64).mean(axis=0)
        centred_QE = questions_QE[rows] - mean_E
        metric_EE = _metric(centred_QE, documents_IE)
        seen, seen_place_N = np.unique(pairs.document_rows, return_inverse=True)
        subject_SE = neighbour_share * (_neighbourhoods(documents_IE, seen) - documents_IE.mean(axis=0, dtype=np.float64))
        np.add.at(moves_IE, pairs.document_rows, (centred_QE[place_N] - subject_SE[seen_place_N]) @ metric_EE)
        moves_IE /= np.maximum(sizes_I, 1.0)[:, None]
    return Memory(moves_IE.astype(np.float32), (moves_IE @ mean_E).astype(np.float32), sizes_I.astype(np.float32))


def _metric(centred_QE: np.ndarray, documents_IE: np.ndarray) -> np.ndarray:
    """M, scaled so that a centred query's product with itself is 1 on average; nothing where queries do not differ."""
    covariance_EE = (np.cov(centred_QE.T) + np.cov(documents_IE.astype(np.float64).T)) / 2
    spread = np.trace(covariance_EE) / len(covariance_EE)
    if not spread > 0:
        return np.zeros_like(covariance_EE)
    inverse_EE = np.linalg.inv(covariance_EE + _SHRINKAGE * spread * np.eye(len(covariance_EE)))
    size = float((centred_QE @ inverse_EE * centred_QE).sum(axis=1).mean())
    metric_EE: np.ndarray = inverse_EE / size if size > 0 else 0 * inverse_EE
    return metric_EE


def _neighbourhoods(documents_IE: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Mean of the nearest other documents of each of some, float64 [S, E]."""
    k = min(_NUM_NEIGHBOURS, len(documents_IE) - 1)
    means_SE = np.zeros((len(seen), documents_IE.shape[1]))
    for start in range(0, len(seen) if k > 0 else 0, _ROWS):
        part = seen[start : start + _ROWS]
        likeness_BI = documents_IE[part] @ documents_IE.T
        likeness_BI[np.arange(len(part)), part] = -np.inf
        nearest_BK = np.argpartition(-likeness_BI, k - 1, axis=1)[:, :k]
        means_SE[start : start + _ROWS] = documents_IE[nearest_BK].mean(axis=1, dtype=np.float64)
    return means_SE
