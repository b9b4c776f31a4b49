"""What a policy would have earned, from the log of another one.

In the letters of Dudík, Langford and Li 2011 (Doubly Robust Policy Evaluation and Learning): rows i = 1 … N with context xᵢ, action aᵢ,
reward rᵢ and propensity pᵢ, target policy π, reward model q̂; the weights are wᵢ = π(aᵢ|xᵢ) / pᵢ. Every estimator is a mean over
rows, or a quotient of two, which gives its value and each row's part in its error at once.

Shapes: N rows, C clusters, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.evaluation.counterfactual.intervals import Influence, per_cluster
from training.evaluation.counterfactual.rewards import Predictions

_NUM_THRESHOLDS = 25
"""Thresholds of the switch that are tried: quantiles of the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """What all estimators see of a log.

    Attributes:
        rewards_N: r.
        weights_N: w.
        clusters_N: which rows depend on each other.
        predictions: of the reward model.
        level: of intervals.
    """

    rewards_N: np.ndarray
    weights_N: np.ndarray
    clusters_N: np.ndarray
    predictions: Predictions
    level: float = 0.95

    def mean(self, values_N: np.ndarray, *, variance_of_model: float = 0.0, bias: float = 0.0) -> Influence:
        """The mean of a value of each row, as an estimate."""
        value = float(values_N.mean())
        return Influence(
            value,
            per_cluster(values_N - value, self.clusters_N),
            variance_of_model,
            num_models=len(self.predictions.logged_KN),
            bias=bias,
            level=self.level,
        )

    @property
    def corrections(self) -> np.ndarray:
        """What the log says against the reward model, w (r − q̂), float64 [N]."""
        found: np.ndarray = self.weights_N * (self.rewards_N - self.predictions.logged)
        return found


def logging_value(log: Weighted) -> Influence:
    """What the logging policy earned: mean(r)."""
    return log.mean(log.rewards_N)


def ips(log: Weighted) -> Influence:
    """Inverse propensity scores, mean(w r), after Horvitz and Thompson 1952: unbiased where the propensities are right."""
    return log.mean(log.weights_N * log.rewards_N)


def snips(log: Weighted) -> Influence:
    """Self-normalised inverse propensity scores, Σ w r / Σ w (Swaminathan and Joachims 2015).

    Consistent; never outside the range of the rewards, and the same shift of all rewards shifts it by as much. The error is linearised:
    w (r − V) / mean(w).
    """
    total = log.weights_N.sum()
    if total == 0:
        return log.mean(np.zeros(len(log.rewards_N)))
    value = float(log.weights_N @ log.rewards_N / total)
    influence_N = log.weights_N * (log.rewards_N - value) / log.weights_N.mean()
    return Influence(value, per_cluster(influence_N, log.clusters_N), level=log.level)


def direct_method(log: Weighted) -> Influence:
    """Direct method, mean(Σₐ π(a|x) q̂(x, a)): as right as the reward model is."""
    nothing_N = np.zeros(len(log.rewards_N))
    return log.mean(log.predictions.direct, variance_of_model=log.predictions.variance(nothing_N))


def doubly_robust(log: Weighted) -> Influence:
    """Doubly robust, mean(Σₐ π(a|x) q̂(x, a) + w (r − q̂)): right where the propensities or the reward model are."""
    return _switched(log, np.inf)


def switch_dr(log: Weighted) -> tuple[Influence, float]:
    """Doubly robust where weights are up to a threshold, the direct method where they are larger (Wang, Agarwal and Dudík 2017).

    The threshold is that of the least estimated mean squared error among quantiles of the weights, 0 (the direct method) and the
    largest (doubly robust), in their manner: the variance, plus the square of the bias.

    Differs from the paper: there the bias is bounded by the largest possible reward, which with rare rewards always chooses doubly robust.
    Here it is estimated, as what the left-out corrections w (r − q̂) add up to. That estimate is part of the interval's width.

    Returns:
        The estimate, and the threshold.
    """
    thresholds_T = np.unique(np.concatenate([[0.0], np.quantile(log.weights_N, np.linspace(0, 1, _NUM_THRESHOLDS))]))
    tried = [_switched(log, threshold) for threshold in thresholds_T]
    errors_T = [found.standard_error**2 + found.bias**2 for found in tried]
    # Of equals the largest: the least is left to the reward model.
    best = len(errors_T) - 1 - int(np.argmin(errors_T[::-1]))
    return tried[best], float(thresholds_T[best])


def _switched(log: Weighted, threshold: float) -> Influence:
    kept_N = log.weights_N * (log.weights_N <= threshold)
    corrections_N = log.corrections
    is_kept_N = log.weights_N <= threshold
    return log.mean(
        log.predictions.direct + corrections_N * is_kept_N,
        variance_of_model=log.predictions.variance(kept_N),
        bias=float(abs((corrections_N * ~is_kept_N).mean())),
    )
