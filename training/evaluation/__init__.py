"""How good a ranker is: protocols, metrics, significance, runs, reports.

`training.evaluation.report` is imported by itself, where a page is wanted: it brings plotting with it.
"""

from training.evaluation.evaluate import PROTOCOLS, Evaluation, Protocol, evaluate, ranked_rows, validation_metrics
from training.evaluation.metrics import CUTOFFS, user_metrics
from training.evaluation.rerank import RerankEvaluation, evaluate_reranker
from training.evaluation.runs import check_depth, write_qrels, write_run
from training.evaluation.search import SearchEvaluation, evaluate_modes, evaluate_search
from training.evaluation.significance import (
    Comparison,
    Interval,
    compare_rankers,
    figure,
    mean_intervals,
    over_seeds,
)
from training.evaluation.study import Curves, Entrant, Study, check_metrics, run_study

__all__ = [
    "CUTOFFS",
    "PROTOCOLS",
    "Comparison",
    "Curves",
    "Entrant",
    "Evaluation",
    "Interval",
    "Protocol",
    "RerankEvaluation",
    "SearchEvaluation",
    "Study",
    "check_depth",
    "check_metrics",
    "compare_rankers",
    "evaluate",
    "evaluate_modes",
    "evaluate_reranker",
    "evaluate_search",
    "figure",
    "mean_intervals",
    "over_seeds",
    "ranked_rows",
    "run_study",
    "user_metrics",
    "validation_metrics",
    "write_qrels",
    "write_run",
]
