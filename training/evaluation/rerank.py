"""A ranker of candidates by their features on judged queries.

Shapes: Q queries, N candidates, C candidates of the longest query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.bundle import FeatureRanker
from training.data import JudgedFeatures
from training.evaluation.metrics import query_metrics
from training.evaluation.search import group_means

RERANK_METRICS = ("nDCG@1", "nDCG@3", "nDCG@5", "nDCG@10", "AP", "RR", "P@1", "P@3", "P@5", "P@10")


@dataclass(frozen=True, slots=True, eq=False)
class RerankEvaluation:
    """What was measured.

    Attributes:
        query_ids: all Q queries; those without a relevant candidate count 0, as at LETOR.
        per_query: metric → value of each, float64 [Q].
        order_N: positions of all candidates, query after query, those of a query from best to worst.
    """

    query_ids: tuple[str, ...]
    per_query: dict[str, np.ndarray]
    order_N: np.ndarray

    def means(self) -> dict[str, float]:
        """Every metric as one number; nothing where there is no query."""
        return group_means(self.per_query, np.ones(len(self.query_ids), dtype=bool))


def evaluate_reranker(model: FeatureRanker, judged: JudgedFeatures) -> RerankEvaluation:
    """Rank every query's candidates; candidates of equal score stay in the order of the files."""
    return evaluate_scores(model.scores(judged.features_NF), judged)


def evaluate_scores(scores_N: np.ndarray, judged: JudgedFeatures) -> RerankEvaluation:
    """The same for scores that are at hand, such as those of a model that is still learning.

    Args:
        scores_N: of all candidates, the greater, the better.
        judged: the candidates.
    """
    lengths_Q = np.diff(judged.offsets)
    rows_N = judged.query_rows
    order_N = np.lexsort((-np.asarray(scores_N, dtype=np.float64), rows_N))  # stable: ties by position
    places_N = np.arange(len(rows_N)) - np.repeat(judged.offsets[:-1], lengths_Q)
    grades_QC = np.zeros((judged.num_queries, max(1, lengths_Q.max(initial=0))), dtype=np.int64)
    grades_QC[rows_N, places_N] = judged.grades[order_N]
    ranks_QC = np.broadcast_to(np.arange(grades_QC.shape[1]), grades_QC.shape)
    return RerankEvaluation(judged.query_ids, query_metrics(grades_QC, ranks_QC, lengths_Q, RERANK_METRICS), order_N)


def joined_rerank(parts: Sequence[RerankEvaluation]) -> RerankEvaluation:
    """The queries of several folds as one evaluation; no query stands in two of them."""
    starts = np.cumsum([0, *(len(part.order_N) for part in parts)])
    return RerankEvaluation(
        tuple(query for part in parts for query in part.query_ids),
        {name: np.concatenate([part.per_query[name] for part in parts]) for name in parts[0].per_query},
        np.concatenate([start + part.order_N for start, part in zip(starts, parts, strict=False)]),
    )
