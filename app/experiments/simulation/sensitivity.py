"""How many answers a comparison needs to find a difference, from simulated units.

Shapes: N units at hand, R simulated experiments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

_CELLS = 4_000_000
"""Drawn units held at once."""
_LARGE = 3_000
"""From so many units on, means are normal for all that matters here."""
_ROUNDS = 4
_TINY = 1e-18
"""A variance below this is zero; experiments in which everybody is alike find nothing."""

Samples = Sequence[np.ndarray]
"""One array of units' values, to be tested against zero; or two, whose means are compared."""


def power(samples: Samples, units: int, rng: np.random.Generator, *, level: float = 0.95, experiments: int = 1_000) -> float:
    """The share of experiments that find the difference in its true direction; see `rejections`."""
    low, high = rejections(samples, units, rng, level=level, experiments=experiments)
    return high if _difference(samples) > 0 else low


def rejections(
    samples: Samples, units: int, rng: np.random.Generator, *, level: float = 0.95, experiments: int = 1_000
) -> tuple[float, float]:
    """The shares of experiments that find a negative and a positive difference, by the t-test (Welch's, for two samples).

    Args:
        samples: the populations, which experiments draw from with replacement.
        units: in an experiment, divided equally between two samples.
        rng: draws.
        level: 1 minus the two-sided level of the test.
        experiments: R.
    """
    size = max(2, units // len(samples))
    means, variances = zip(*(_moments(sample_N, size, rng, experiments) for sample_N in samples), strict=True)
    difference_R = means[-1] - means[0] if len(samples) == 2 else means[0]
    squares_R = np.sum(variances, axis=0) / size
    # Welch's degrees of freedom; with one sample they are size − 1.
    freedom_R = (size - 1) * squares_R**2 / np.maximum((np.square(variances) / size**2).sum(axis=0), np.finfo(float).tiny)
    t_R = np.divide(difference_R, np.sqrt(squares_R), out=np.zeros(experiments), where=squares_R > _TINY)
    threshold_R = stats.t.ppf((1.0 + level) / 2.0, np.maximum(freedom_R, 1.0))
    return float(np.mean(t_R < -threshold_R)), float(np.mean(t_R > threshold_R))


def needed(
    samples: Samples, rng: np.random.Generator, *, target: float = 0.8, level: float = 0.95, experiments: int = 1_000
) -> float:
    """How many units find the difference with this power; infinite where there is none.

    Begins with the normal approximation and corrects it by what simulated experiments of that size find.

    Args:
        samples: as in `power`; an answer for two samples counts the units of both.
        rng: draws.
        target: the power.
        level: 1 minus the two-sided level of the test.
        experiments: of each correction.
    """
    difference = _difference(samples)
    spread = math.sqrt(len(samples) * sum(float(sample_N.var()) for sample_N in samples))
    if difference == 0.0:
        return math.inf
    threshold, wanted = stats.norm.ppf((1.0 + level) / 2.0), stats.norm.ppf(target)
    slopes = [abs(difference) / spread if spread else math.inf]
    for _ in range(_ROUNDS):
        units = max(4.0, ((threshold + wanted) / np.mean(slopes[-2:])) ** 2)
        found = power(samples, round(units), rng, level=level, experiments=experiments)
        found = min(max(found, 0.5 / experiments), 1.0 - 0.5 / experiments)
        slopes.append((threshold + stats.norm.ppf(found)) / math.sqrt(units))
    return max(4.0, float(((threshold + wanted) / np.mean(slopes[2:])) ** 2))


def _difference(samples: Samples) -> float:
    return float(samples[-1].mean() - (samples[0].mean() if len(samples) == 2 else 0.0))


def _moments(sample_N: np.ndarray, size: int, rng: np.random.Generator, experiments: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each experiment's sample, float64 [R] each."""
    if size > _LARGE:
        variance = float(sample_N.var())
        return rng.normal(sample_N.mean(), math.sqrt(variance / size), experiments), np.full(experiments, variance)
    rows = max(1, _CELLS // size)
    means, variances = [], []
    for start in range(0, experiments, rows):
        drawn_RN = sample_N[rng.integers(0, len(sample_N), (min(rows, experiments - start), size))]
        means.append(drawn_RN.mean(axis=1))
        variances.append(drawn_RN.var(axis=1, ddof=1))
    return np.concatenate(means), np.concatenate(variances)
