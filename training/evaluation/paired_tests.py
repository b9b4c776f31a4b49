"""Tests of paired differences, and Holm's correction for their number.

Shapes: U users, M columns, R resamples.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

_CELLS = 4_000_000
"""Drawn signs held at once."""


def sign_flip_p_values(differences_UM: np.ndarray, rng: np.random.Generator, num_resamples: int) -> np.ndarray:
    """Paired randomisation test of the mean, two-sided, float64 [M].

    If the two rankers were the same, every user's difference could as well have the other sign. All 2^U patterns of signs are
    tried where they are no more than `num_resamples`, which makes p exact; else random ones, and p = (1 + as extreme) / (1 + R).
    """
    num_users = len(differences_UM)
    total_M = differences_UM.sum(axis=0)
    slack_M = 1e-12 * np.abs(differences_UM).sum(axis=0)  # a pattern as extreme as the one found must not fail by rounding
    is_exact = num_users < 63 and 2**num_users <= num_resamples
    rows = max(1, _CELLS // num_users)
    extreme_M = np.zeros(differences_UM.shape[1], dtype=np.int64)
    tried = 2**num_users if is_exact else num_resamples
    for start in range(0, tried, rows):
        size = min(rows, tried - start)
        if is_exact:
            kept_RU = np.arange(start, start + size)[:, None] >> np.arange(num_users) & 1
        else:
            kept_RU = rng.integers(0, 2, (size, num_users), dtype=np.int8)
        totals_RM = 2.0 * (kept_RU.astype(np.float64) @ differences_UM) - total_M
        extreme_M += np.count_nonzero(np.abs(totals_RM) >= np.abs(total_M) - slack_M, axis=0)
    p_values_M: np.ndarray = extreme_M / tried if is_exact else (1 + extreme_M) / (1 + tried)
    return p_values_M


def t_p_values(differences_UM: np.ndarray) -> np.ndarray:
    """Paired t-test, two-sided, float64 [M]; where all differences are equal, 1 if they are zero and 0 if not."""
    num_users = len(differences_UM)
    mean_M = differences_UM.mean(axis=0)
    error_M = differences_UM.std(axis=0, ddof=1) / np.sqrt(num_users)
    without_spread_M = np.where(mean_M == 0, 0.0, np.inf)
    t_M = np.divide(np.abs(mean_M), error_M, out=without_spread_M, where=np.ptp(differences_UM, axis=0) > 0)
    p_values_M: np.ndarray = 2.0 * stats.t.sf(t_M, num_users - 1)
    return p_values_M


def wilcoxon_p_values(differences_UM: np.ndarray) -> np.ndarray:
    """Wilcoxon's signed-rank test, two-sided, float64 [M]; users without a difference are left out, 1 if nobody has one."""
    return np.array([stats.wilcoxon(column).pvalue if column.any() else 1.0 for column in differences_UM.T])


def holm(p_values_M: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (1979): the chance of even one false finding among the M stays below the level, float64 [M]."""
    order = np.argsort(p_values_M, kind="stable")
    num_left = np.arange(len(p_values_M), 0, -1)
    adjusted_M = np.empty(len(p_values_M))
    adjusted_M[order] = np.minimum(1.0, np.maximum.accumulate(num_left * p_values_M[order]))
    return adjusted_M
