"""How good a ranker is: protocols, metrics, significance, runs, reports.

`training.evaluation.report` is imported by itself, where a page is wanted: it brings plotting with it.
"""

from training.evaluation.evaluate import PROTOCOLS, Evaluation, Protocol, evaluate, ranked_rows, validation_metrics
from training.evaluation.metrics import CUTOFFS, user_metrics
from training.evaluation.runs import check_depth, write_qrels, write_run
from training.evaluation.significance import (
    Comparison,
    Interval,
    compare_rankers,
    figure,
    mean_intervals,
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
    "Study",
    "check_depth",
    "check_metrics",
    "compare_rankers",
    "evaluate",
    "figure",
    "mean_intervals",
    "ranked_rows",
    "run_study",
    "user_metrics",
    "validation_metrics",
    "write_qrels",
    "write_run",
]
