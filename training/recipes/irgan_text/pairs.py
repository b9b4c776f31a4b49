"""What is learned from, and what is set apart to choose by.

Shapes: N pairs, V queries set apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data import Judgements
from training.recipes.irgan_text.players import Pairs

FEWEST_QUERIES = 20
"""With fewer judged queries there is nothing to choose by."""


def judged_pairs(judged: Judgements) -> Pairs:
    """Every relevant document of every query, weighted by its grade."""
    positives = judged.positives
    sums = np.bincount(positives.query_rows, weights=positives.grades)
    weights_N = positives.grades / sums[positives.query_rows] if len(positives) else np.zeros(0)
    return Pairs(positives.query_rows, positives.document_rows, weights_N.astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Judgements set apart.

    Attributes:
        fit: what is learned from meanwhile.
        held: the judgements that choose, of V queries.
        queries: their rows, int64 [V].
        is_unseen: whether none of a query's relevant documents is one of `fit`, bool [V].
    """

    fit: Judgements
    held: Judgements
    queries: np.ndarray
    is_unseen: np.ndarray


def hold_out(train: Judgements, fraction: float, rng: np.random.Generator, given: np.ndarray | None = None) -> HeldOut | None:
    """Queries to choose by: those that the data set gives, or a share of the training queries; None where they are too few.

    Half of that share is set apart by document: what is relevant to these queries is taken out of what is learned from, whoever else
    it answers. So two things can be told apart on them: what was learned about documents, and what about the language.

    Args:
        train: all that may be learned from.
        fraction: the share.
        rng: chooses the queries.
        given: rows of the queries that the data set gives for this.
    """
    queries = train.positives.queries
    if len(queries) < FEWEST_QUERIES:
        return None
    if given is not None:
        chosen, by_document = np.intersect1d(given, queries), np.zeros(0, dtype=np.int64)
    else:
        chosen = rng.permutation(queries)[: round(fraction * len(queries))]
        by_document = chosen[: (len(chosen) + 1) // 2]
    hidden = train.of_queries(by_document).positives.document_rows
    is_hidden = np.isin(train.document_rows, hidden) & (train.grades > 0)
    fit = train.where(~np.isin(train.query_rows, chosen) & ~is_hidden)
    if not len(chosen) or not len(fit.positives):
        return None
    held, rows = train.of_queries(chosen), np.sort(chosen)
    positives = held.positives
    seen = positives.query_rows[np.isin(positives.document_rows, fit.positives.document_rows)]
    return HeldOut(fit, held, rows, ~np.isin(rows, seen))
