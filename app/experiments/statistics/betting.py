"""Confidence sequences for means of bounded values that hold exactly, from the first value on, with no distribution assumed: by betting.

A gambler who bets that the mean is larger (or smaller) than m, at odds that are fair if it is m, cannot expect to grow rich if it is.
All m against which no fortune was made are the interval: the hedged capital process of Waudby-Smith and Ramdas (2024, "Estimating means
of bounded random variables by betting", Theorem 3), with their predictable plug-in bets.

Shapes: N values, T looks, M candidates for the mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.experiments.statistics.results import Interval

_CAUTION = 0.5
"""The part of the capital that a bet may lose at most, c in the paper."""
_CELLS = 1_000_000
"""Values times candidates held at once."""


def betting_sequence(
    values_N: np.ndarray,
    looks_T: Sequence[int],
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    num_candidates: int = 1_000,
) -> list[Interval]:
    """Intervals of the mean at each look that hold at all looks together, whatever the distribution of the values.

    Args:
        values_N: in the order in which they came; each must be known for good when it comes, and units must come in an order that has
            nothing to do with their values.
        looks_T: numbers of values at which somebody looks, growing, from 0 to N.
        bounds: no value can lie outside of them.
        level: the share of sequences of which no interval misses.
        num_candidates: how finely means are told apart; intervals are rounded outwards.

    Raises:
        ValueError: a value lies outside of the bounds.
    """
    low, high = bounds
    scaled_N = (np.asarray(values_N, dtype=np.float64) - low) / (high - low)
    if not ((scaled_N >= 0.0) & (scaled_N <= 1.0)).all():
        raise ValueError(f"values from {np.min(values_N):g} to {np.max(values_N):g}; expected them within {low:g} and {high:g}")
    bets_N = _bets(scaled_N, 1.0 - level)
    means_M = np.linspace(0.0, 1.0, num_candidates + 1)
    with np.errstate(divide="ignore"):
        most_up_M, most_down_M = _CAUTION / means_M, _CAUTION / (1.0 - means_M)
    up_M, down_M = np.zeros_like(means_M), np.zeros_like(means_M)  # logarithms of the two capitals
    fortune = np.log(2.0 / (1.0 - level))  # half of the stake is on either side
    first, last, seen = 0, num_candidates, 0
    found = []
    for look in looks_T:
        while seen < look:
            rows = slice(seen, min(look, seen + max(1, _CELLS // (last - first + 1))))
            alive = slice(first, last + 1)
            surprise_NM = scaled_N[rows, None] - means_M[alive]
            up_NM = up_M[alive] + np.cumsum(np.log1p(np.minimum(bets_N[rows, None], most_up_M[alive]) * surprise_NM), axis=0)
            down_NM = down_M[alive] + np.cumsum(
                np.log1p(-np.minimum(bets_N[rows, None], most_down_M[alive]) * surprise_NM), axis=0
            )
            # Betting on more ruins all small m first, betting on less all large ones: what is left is an interval.
            poor_M = (np.maximum(up_NM, down_NM) < fortune).all(axis=0)
            up_M[alive], down_M[alive] = up_NM[-1], down_NM[-1]
            survivors = first + np.flatnonzero(poor_M)
            if len(survivors):
                first, last = max(first, int(survivors[0]) - 1), min(last, int(survivors[-1]) + 1)
            seen = rows.stop
        found.append(Interval(float(low + (high - low) * means_M[first]), float(low + (high - low) * means_M[last])))
    return found


def _bets(scaled_N: np.ndarray, alpha: float) -> np.ndarray:
    """How much to bet on each value, from those before it, float64 [N]: the less they vary and the fewer they are, the more."""
    count_N = np.arange(1.0, len(scaled_N) + 1.0)
    mean_N = (0.5 + np.cumsum(scaled_N)) / (count_N + 1.0)
    variance_N = (0.25 + np.cumsum((scaled_N - mean_N) ** 2)) / (count_N + 1.0)
    before_N = np.concatenate([[0.25], variance_N[:-1]])
    bets_N: np.ndarray = np.sqrt(2.0 * np.log(2.0 / alpha) / (before_N * count_N * np.log1p(count_N)))
    return bets_N
