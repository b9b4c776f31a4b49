"""How far estimates from a log can be trusted: how much of it speaks for the target, and what speaks against it.

Shapes: N rows, C clusters, G groups of the target, A actions, P positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.data import LoggedActions, ShownActions
from training.evaluation.counterfactual.estimators import Weighted
from training.evaluation.counterfactual.targets import TargetPolicy

_LEAST_ROWS = 100
"""Effective rows below which normal approximations are no good."""
_LEAST_SHARE = 0.1
"""Of the rows that should count."""
_LEAST_REWARDS = 20
"""Effective rewarded rows; a Poisson count of 20 is known to within 45%."""
_LEAST_CLUSTERS = 30
_LARGEST_SHARE = 0.05
"""Of all weight that one row may have."""
_LARGEST_UNSUPPORTED = 0.01
"""Of the target's probability that the log may know nothing about."""
_STANDARD_ERRORS = 3.0
"""By which something that should be zero may differ from it."""
_LARGEST_SHIFT = 0.05
"""Of rows that may stand at other positions in the target's own log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How the weights w = π/p are spread.

    Attributes:
        mean: 1 if the propensities are right and the log's actions are all that the target does, but for chance.
        mean_error: its standard error.
        largest: of the weights.
        largest_share: of the sum of all weights.
        effective_rows: (Σ w)² / Σ w² (Kish 1965): so many rows of equal weight would know as much.
        effective_rewards: the same of the rewards, (Σ w|r|)² / Σ (w r)².
        unsupported: the share of the target's actions that the log never shows at that position.
        unsupported_actions: how many pairs of action and position these are.
    """

    mean: float
    mean_error: float
    largest: float
    largest_share: float
    effective_rows: float
    effective_rewards: float
    unsupported: float
    unsupported_actions: int

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def weights_of(log: LoggedActions, target: TargetPolicy, weighted: Weighted) -> Weights:
    """How much of the log speaks for the target."""
    weights_N = weighted.weights_N
    mean = weighted.mean(weights_N)
    total = float(weights_N.sum())
    unsupported, unsupported_actions = _unsupported(log, target)
    return Weights(
        mean=mean.value,
        mean_error=mean.standard_error,
        largest=float(weights_N.max()),
        largest_share=float(weights_N.max()) / total if total else 1.0,
        effective_rows=_kish(weights_N),
        effective_rewards=_kish(np.abs(weights_N * weighted.rewards_N)),
        unsupported=unsupported,
        unsupported_actions=unsupported_actions,
    )


def _kish(weights_N: np.ndarray) -> float:
    squares = float((weights_N**2).sum())
    return float(weights_N.sum() ** 2 / squares) if squares else 0.0


def _unsupported(log: LoggedActions, target: TargetPolicy) -> tuple[float, int]:
    """The share of the target's probability on pairs of position and action that the log does not have, and their number."""
    positions, position_rows_N = np.unique(log.positions_N, return_inverse=True)
    shown_PA = np.zeros((len(positions), len(log.actions)), dtype=bool)
    shown_PA[position_rows_N, log.action_rows_N] = True
    cells, counts = np.unique(position_rows_N * len(target.probs_GA) + target.groups_N, return_counts=True)
    mass_PA = np.zeros(shown_PA.shape)
    for position in range(len(positions)):
        here = cells // len(target.probs_GA) == position
        mass_PA[position] = counts[here] @ target.probs_GA[cells[here] % len(target.probs_GA)]
    missing_PA = ~shown_PA & (mass_PA > 0)
    return float(mass_PA[missing_PA].sum() / len(log)), int(missing_PA.sum())


def warnings_about(
    log: LoggedActions, weights: Weights, weighted: Weighted, shown: ShownActions | None = None
) -> tuple[str, ...]:
    """What speaks against the estimates, in sentences; the gravest first."""
    found = []
    rows, num_rows = weights.effective_rows, len(log)
    if rows == 0:
        found.append(f"the target does nothing that {log.name} shows: only the direct method says anything, and it guesses")
    elif rows < _LEAST_ROWS:
        found.append(
            f"the effective sample is too small: {rows:,.0f} of {num_rows:,} rows; do not decide by these estimates, log more"
        )
    elif rows < _LEAST_SHARE * num_rows:
        found.append(
            f"the weights are heavy: {num_rows:,} rows count like {rows:,.0f}; the target is far from what the log shows"
        )
    if rows > 0 and weights.effective_rewards < _LEAST_REWARDS:
        found.append(
            f"rewards are too few: IPS rests on the equivalent of {weights.effective_rewards:.1f} rewarded rows, expected "
            f"{_LEAST_REWARDS} at least; intervals may be too narrow"
        )
    if rows > 0 and weights.largest_share > _LARGEST_SHARE:
        found.append(f"one row has {weights.largest_share:.0%} of all weight (its weight is {weights.largest:,.1f})")
    if weights.unsupported > _LARGEST_UNSUPPORTED:
        found.append(
            f"{weights.unsupported:.1%} of what the target does the log never shows ({weights.unsupported_actions:,} pairs of action "
            "and position): IPS counts it as worth nothing, SNIPS as worth the average, and only the reward model guesses at it"
        )
    off = abs(weights.mean - 1.0)
    if rows > 0 and off > _STANDARD_ERRORS * weights.mean_error + 1e-9:
        found.append(
            f"the weights' mean is {weights.mean:.3f} ± {weights.mean_error:.3f}, and should be 1: the propensities are wrong, or the "
            "log lacks actions of the target"
        )
    corrections = weighted.mean(weighted.corrections)
    if abs(corrections.value) > _STANDARD_ERRORS * corrections.standard_error and corrections.value != 0:
        found.append(
            f"the reward model is off by {corrections.value:+.4f} on what the target does: do not go by the direct method"
        )
    if log.num_clusters < _LEAST_CLUSTERS:
        found.append(
            f"{log.num_clusters} clusters say little about how far the rows depend on chance; expected {_LEAST_CLUSTERS}"
        )
    if shown is not None and (shift := _shift(log, shown)) > _LARGEST_SHIFT:
        found.append(
            f"{shift:.0%} of the rows of {shown.name} are at other positions than those of {log.name}: what it earned is not quite the "
            "answer to the same question"
        )
    return tuple(found)


def _shift(log: LoggedActions, shown: ShownActions) -> float:
    """Total variation between the positions of two logs."""
    positions = np.union1d(log.positions_N, shown.positions_N)
    shares = [
        np.bincount(np.searchsorted(positions, own), minlength=len(positions)) / len(own)
        for own in (log.positions_N, shown.positions_N)
    ]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
