"""A target policy evaluated on a log by every estimator, with what there is to say about how far to trust them.

Shapes: N rows, C clusters, G groups of the target, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from training.data import LoggedActions, ShownActions
from training.errors import DataError
from training.evaluation.counterfactual.estimators import (
    Weighted,
    direct_method,
    doubly_robust,
    ips,
    logging_value,
    snips,
    switch_dr,
)
from training.evaluation.counterfactual.intervals import Influence, minus, per_cluster
from training.evaluation.counterfactual.rewards import FITS, ModelName, cross_fitted
from training.evaluation.counterfactual.targets import TargetPolicy
from training.evaluation.counterfactual.trust import Weights, warnings_about, weights_of
from training.evaluation.significance import LEVEL, figure

EstimatorName = Literal["ips", "snips", "dm", "dr", "switch-dr"]
ESTIMATORS: dict[EstimatorName, str] = {
    "ips": "inverse propensity scores",
    "snips": "self-normalised IPS",
    "dm": "direct method",
    "dr": "doubly robust",
    "switch-dr": "switch: DR or DM",
}
"""In words."""
TRUSTED: EstimatorName = "dr"
"""The one that sentences go by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedStudy:
    """What a log says about a target policy.

    Attributes:
        log: the name of the log.
        target: the name of the policy.
        num_rows, num_clusters, num_actions: of the log.
        cluster: what a cluster is; None where each row is one.
        logging: what the logging policy earned.
        estimates: of the target's value.
        threshold: of the switch.
        weights: how much of the log speaks for the target.
        warnings: sentences.
        truth: what the target itself earned in a log of its own, if there is one.
        model: the reward model.
        seed: of the folds.
        level: of the intervals.
    """

    log: str
    target: str
    num_rows: int
    num_clusters: int
    num_actions: int
    cluster: str | None
    logging: Influence
    estimates: Mapping[EstimatorName, Influence]
    threshold: float
    weights: Weights
    warnings: tuple[str, ...]
    truth: Influence | None
    model: ModelName
    seed: int
    level: float

    def difference(self, estimator: EstimatorName) -> Influence:
        """The target's value minus the logging policy's, from the same rows."""
        return minus(self.estimates[estimator], self.logging)

    @property
    def sentence(self) -> str:
        """The result in plain words."""
        found = self.difference(TRUSTED)
        low, high = found.interval.low, found.interval.high
        amount = f"{figure(found.value)} [{figure(low)}, {figure(high)}]"
        if low > 0 or high < 0:
            verdict = f"{self.target} would have earned {'more' if low > 0 else 'less'} than {self.log} did"
        else:
            verdict = f"No difference between {self.target} and {self.log} could be shown"
        caution = " Mind the warnings." if self.warnings else ""
        return f"{verdict}: {self.target} − {self.log} is {amount} a row, {ESTIMATORS[TRUSTED]}.{caution}"

    def as_json(self) -> dict[str, Any]:
        """JSON values only; see `docs/counterfactual.md`."""
        return {
            "log": self.log,
            "target": self.target,
            "rows": self.num_rows,
            "clusters": self.num_clusters,
            "cluster": self.cluster,
            "actions": self.num_actions,
            "level": self.level,
            "seed": self.seed,
            "reward_model": self.model,
            "logging": _as_json(self.logging),
            "estimates": {
                name: {**_as_json(found), "difference": _as_json(self.difference(name))}
                for name, found in self.estimates.items()
            },
            "switch": {"threshold": self.threshold, "bias": self.estimates["switch-dr"].bias},
            "truth": None if self.truth is None else _as_json(self.truth),
            "weights": self.weights.as_json(),
            "warnings": list(self.warnings),
            "sentence": self.sentence,
        }


def _as_json(found: Influence) -> dict[str, Any]:
    return {
        "value": found.value,
        "standard_error": found.standard_error,
        "interval": [found.interval.low, found.interval.high],
    }


def study_logged(
    log: LoggedActions,
    target: TargetPolicy,
    *,
    shown: ShownActions | None = None,
    model: ModelName = "linear",
    seed: int = 0,
    level: float = LEVEL,
) -> LoggedStudy:
    """Estimate what the target would have earned.

    Args:
        log: what another policy did.
        target: the policy; of the same rows and actions.
        shown: a log of the target's own, whose rewards are the truth to compare with.
        model: of the rewards.
        seed: of the folds.
        level: of the intervals.

    Raises:
        DataError: fewer than two clusters.
    """
    if log.num_clusters < 2:
        raise DataError(
            f"{log.name}: all its {len(log):,} rows belong together (column {log.cluster!r}), so nothing says how far they "
            "depend on chance; expected at least 2 clusters; correct --cluster-column"
        )
    predictions = cross_fitted(log, target, fit=FITS[model], seed=seed)
    weighted = Weighted(
        rewards_N=log.rewards_N,
        weights_N=target.of(log.action_rows_N) / log.propensities_N,
        clusters_N=log.clusters_N,
        predictions=predictions,
        level=level,
    )
    switched, threshold = switch_dr(weighted)
    estimates: dict[EstimatorName, Influence] = {
        "ips": ips(weighted),
        "snips": snips(weighted),
        "dm": direct_method(weighted),
        "dr": doubly_robust(weighted),
        "switch-dr": switched,
    }
    assert tuple(estimates) == get_args(EstimatorName)
    weights = weights_of(log, target, weighted)
    return LoggedStudy(
        log=log.name,
        target=target.name,
        num_rows=len(log),
        num_clusters=log.num_clusters,
        num_actions=len(log.actions),
        cluster=log.cluster,
        logging=logging_value(weighted),
        estimates=estimates,
        threshold=threshold,
        weights=weights,
        warnings=warnings_about(log, weights, weighted, shown),
        truth=None if shown is None or shown.rewards_N is None else _earned(shown, level),
        model=model,
        seed=seed,
        level=level,
    )


def _earned(shown: ShownActions, level: float) -> Influence | None:
    """What a policy earned in its own log."""
    assert shown.rewards_N is not None
    if shown.clusters_N.max() == 0:
        return None
    value = float(shown.rewards_N.mean())
    return Influence(value, per_cluster(shown.rewards_N - value, shown.clusters_N), level=level)
