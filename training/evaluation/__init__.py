"""How good a ranker is: protocols, metrics, significance, reports."""

from training.evaluation.evaluate import PROTOCOLS, Evaluation, Protocol, evaluate, ranked_rows, validation_metrics
from training.evaluation.metrics import CUTOFFS, user_metrics

__all__ = ["CUTOFFS", "PROTOCOLS", "Evaluation", "Protocol", "evaluate", "ranked_rows", "user_metrics", "validation_metrics"]
