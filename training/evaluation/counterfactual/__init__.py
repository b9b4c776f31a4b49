"""What a policy would have earned, from the log of another one that wrote down its propensities; see `docs/counterfactual.md`."""

from training.evaluation.counterfactual.rankers import ranked_policy
from training.evaluation.counterfactual.study import ESTIMATORS, LoggedStudy, study_logged
from training.evaluation.counterfactual.targets import PolicyTable, TargetPolicy, shown_policy

__all__ = [
    "ESTIMATORS",
    "LoggedStudy",
    "PolicyTable",
    "TargetPolicy",
    "ranked_policy",
    "shown_policy",
    "study_logged",
]
