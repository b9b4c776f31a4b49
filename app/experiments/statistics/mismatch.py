"""Whether each variant got the units it should have: a sample-ratio mismatch says that the assignment, the logging or the counting is broken.

Nothing else in a report can be trusted then: what kept units away from one variant (it crashed, it was slow, its events got lost) kept
them away not by chance.

Shapes: V variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import gammaln, xlogy

THRESHOLD = 0.001
"""Of p: below it a report is red. Strict, because the check is made often and a false alarm costs trust."""
CONCENTRATION = 500.0
"""Units that the prior of the sequential test counts for: it is most sensitive to shares that are off by about two points."""
_FEW = 5.0
"""Expected units below which Pearson's statistic is no χ² yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Units of each variant against those expected.

    Attributes:
        observed: units of each variant.
        expected: the same number of units in the shares that were meant.
        p_value: of this look by itself; 1 without units.
        always_valid_p_value: it may be looked at whenever one likes; see `mismatches`.
        threshold: of p.
    """

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    p_value: float
    always_valid_p_value: float
    threshold: float = THRESHOLD

    @property
    def is_red(self) -> bool:
        """Whether the units cannot be what the assignment meant to give."""
        return min(self.p_value, self.always_valid_p_value) < self.threshold

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self) | {"is_red": self.is_red}


def mismatch(observed: Sequence[int], expected: Sequence[float], *, threshold: float = THRESHOLD) -> Mismatch:
    """The units at one look; see `mismatches`."""
    return mismatches([(observed, expected)], threshold=threshold)[-1]


def mismatches(looks: Sequence[tuple[Sequence[int], Sequence[float]]], *, threshold: float = THRESHOLD) -> list[Mismatch]:
    """Compare units with those expected, at every look.

    At each look by Pearson's χ² test, or exact binomial tests where few units are expected. Over the looks by a sequential multinomial
    test (Lindon and Malek 2022): the likelihood of the counts under Dirichlet-distributed shares around the expected ones, over that
    under the expected ones; 1 over the largest so far is a p that is valid however often one looks. When the expected shares change,
    the test starts afresh and the two ratios are multiplied.

    Args:
        looks: observed and expected units of each variant, in all until then, oldest first. Expected ones count relative to each
            other: weights, or sums of the logged propensities where weights changed along the way (or a bandit moved them).
        threshold: of p, below which a report is red.
    """
    results: list[Mismatch] = []
    closed = latest = best = (
        0.0  # logarithms of likelihood ratios: of the segments before, of the one that goes on, the largest product
    )
    segment_V = before_V = np.zeros(len(looks[0][0]))
    expected_before_V, meant_V = before_V, None
    for observed, expected in looks:
        counts_V, expected_V = _checked(observed, expected)
        gained_V, due_V = counts_V - before_V, expected_V - expected_before_V
        if gained_V.sum() > 0:
            shares_V = np.maximum(due_V, 0.0) / np.maximum(due_V, 0.0).sum()
            if meant_V is None or not np.allclose(shares_V, meant_V, rtol=0.0, atol=1e-9):
                closed, segment_V, meant_V = closed + latest, np.zeros_like(counts_V), shares_V
            segment_V = segment_V + gained_V
            latest = log_likelihood_ratio(segment_V, meant_V)
            best = max(best, closed + latest)
        before_V, expected_before_V = counts_V, expected_V
        results.append(
            Mismatch(
                observed=tuple(int(count) for count in observed),
                expected=tuple(expected_V.tolist()),
                p_value=p_value(counts_V, expected_V),
                always_valid_p_value=float(np.exp(-best)),
                threshold=threshold,
            )
        )
    return results


def p_value(counts_V: np.ndarray, expected_V: np.ndarray) -> float:
    """Of one look; where few units are expected, the least p of each variant against the others, times their number."""
    if not counts_V.sum():
        return 1.0
    if counts_V[expected_V == 0].any():
        return 0.0
    counts_V, expected_V = counts_V[expected_V > 0], expected_V[expected_V > 0]
    if len(counts_V) < 2:
        return 1.0
    if expected_V.min() >= _FEW:
        return float(stats.chisquare(counts_V, expected_V).pvalue)
    total = int(counts_V.sum())
    exact = [
        stats.binomtest(int(count), total, share / total).pvalue for count, share in zip(counts_V, expected_V, strict=True)
    ]
    return float(min(1.0, min(exact) * (len(exact) if len(exact) > 2 else 1)))


def log_likelihood_ratio(counts_V: np.ndarray, shares_V: np.ndarray) -> float:
    """Of counts under Dirichlet-distributed shares around the expected ones, over that under the expected ones; Lindon and Malek 2022."""
    if counts_V[shares_V == 0].any():
        return float("inf")
    counts_V, shares_V = counts_V[shares_V > 0], shares_V[shares_V > 0]
    prior_V = CONCENTRATION * shares_V
    of_shares = gammaln(prior_V + counts_V).sum() - gammaln(prior_V).sum()
    of_total = gammaln(CONCENTRATION) - gammaln(CONCENTRATION + counts_V.sum())
    return float(of_total + of_shares - xlogy(counts_V, shares_V).sum())


def _checked(observed: Sequence[int], expected: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Both as numbers, the expected ones scaled to the observed total."""
    counts_V, weights_V = np.asarray(observed, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if counts_V.shape != weights_V.shape or len(counts_V) < 2:
        raise ValueError(
            f"{len(counts_V)} observed and {len(weights_V)} expected numbers; expected as many, of two variants or more"
        )
    if not np.isfinite(weights_V).all() or (weights_V < 0).any() or not weights_V.sum() > 0:
        raise ValueError(f"expected units {list(expected)}; expected numbers of 0 or more, not all of them 0")
    return counts_V, weights_V * (counts_V.sum() / weights_V.sum())
