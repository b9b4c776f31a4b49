"""Traffic that moves to the better variants: how much each gets next, and what is still known of all of them in the end.

Thompson sampling by shares: between two reallocations units are assigned at random with fixed shares, and each variant's share is a
floor plus a part of the rest as large as the probability that it is the best. So every unit has a known chance of each variant, never
below the floor, and that chance is logged.

Plain means over a variant's units are biased then: a variant that got most of its units on good days looks good. Weighting each unit
by one over its chance undoes that (inverse propensity), whatever the shares reacted to; so does comparing within periods of equal
shares (strata).

Shapes: N units of a variant, V variants, P periods, R draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

Model = Literal["binary", "mean"]
"""What a unit's value is: 0 or 1 (or between them, where the same reckoning errs on the side of caution), or any number."""

NUM_DRAWS = 20_000
MIN_UNITS = 30
"""With fewer of any variant, shares stay equal: an early accident must not starve what has hardly been seen."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What is known of a variant, added up.

    Attributes:
        units: how many; of weighted units, how many unweighted ones would tell as much.
        total: sum of their values.
        squares: sum of the squares of their values.
    """

    units: float
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """Of a unit's value."""
        return self.total / self.units

    @property
    def variance(self) -> float:
        """Of a unit's value, unbiased."""
        return max(self.squares - self.units * self.mean**2, 0.0) / (self.units - 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assigned:
    """The units of a variant.

    Attributes:
        numerator_N: a unit's value, or the upper half of a quotient.
        propensity_N: the chance of this variant when the unit was assigned.
        denominator_N: the lower half of a quotient (clicks per impression); None for a mean over units.
        period_N: which shares were valid at the assignment: the revision of the allocation.
    """

    numerator_N: np.ndarray
    propensity_N: np.ndarray
    denominator_N: np.ndarray | None = None
    period_N: np.ndarray | None = None

    def lower(self) -> np.ndarray:
        """The denominators, float64 [N]; ones for a mean."""
        return np.ones(len(self.numerator_N)) if self.denominator_N is None else self.denominator_N


@dataclass(frozen=True, slots=True)
class Weighted:
    """An estimate of what all units would have had with this variant, or of a difference.

    Attributes:
        value: the estimate.
        error: its standard error.
    """

    value: float
    error: float

    def minus(self, control: Weighted) -> Weighted:
        """The difference; no unit counts on both sides, so the squares of the errors add up."""
        return Weighted(self.value - control.value, math.hypot(self.error, control.error))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """By the normal distribution."""
        reach = NormalDist().inv_cdf((1.0 + level) / 2.0) * self.error
        return self.value - reach, self.value + reach

    @property
    def p_value(self) -> float:
        """Two-sided, of zero."""
        if self.error == 0.0:
            return float(self.value == 0.0)
        return math.erfc(abs(self.value) / self.error / math.sqrt(2.0))


def allocate(
    arms: Sequence[Arm],
    rng: np.random.Generator,
    *,
    floor: float,
    model: Model = "mean",
    higher_is_better: bool = True,
    num_draws: int = NUM_DRAWS,
) -> np.ndarray:
    """The shares until the next reallocation, float64 [V]; they add up to 1.

    Args:
        arms: what is known of each variant.
        rng: draws from the posteriors.
        floor: no share gets below it; at most 1 / V.
        model: what a unit's value is.
        higher_is_better: whether the best is the one with the highest mean.
        num_draws: R.
    """
    num_variants = len(arms)
    assert num_variants >= 2 and 0.0 <= floor * num_variants <= 1.0 + 1e-9
    if min(arm.units for arm in arms) < MIN_UNITS:
        return np.full(num_variants, 1.0 / num_variants)
    chances_V = best_chances(arms, rng, model=model, higher_is_better=higher_is_better, num_draws=num_draws)
    return floor + max(0.0, 1.0 - floor * num_variants) * chances_V


def best_chances(
    arms: Sequence[Arm],
    rng: np.random.Generator,
    *,
    model: Model = "mean",
    higher_is_better: bool = True,
    num_draws: int = NUM_DRAWS,
) -> np.ndarray:
    """The posterior probability of each variant that it is the best, float64 [V], by Monte Carlo: draws that tie are divided.

    `binary`: Beta(1 + total, 1 + units − total), from a uniform prior. `mean`: Student's t around the mean, which is the posterior of a
    normal mean with unknown variance from the reference prior 1/σ². Arguments as in `allocate`.
    """
    draws_RV = np.empty((num_draws, len(arms)))
    for v, arm in enumerate(arms):
        if model == "binary":
            draws_RV[:, v] = rng.beta(1.0 + max(arm.total, 0.0), 1.0 + max(arm.units - arm.total, 0.0), num_draws)
        else:
            error = math.sqrt(arm.variance / arm.units)
            draws_RV[:, v] = arm.mean + error * rng.standard_t(arm.units - 1.0, num_draws)
    if not higher_is_better:
        draws_RV = -draws_RV
    is_best_RV = draws_RV == draws_RV.max(axis=1, keepdims=True)
    chances_V: np.ndarray = (is_best_RV / is_best_RV.sum(axis=1, keepdims=True)).mean(axis=0)
    return chances_V


def weighted(assigned: Assigned) -> Weighted:
    """What all units would have had, by inverse propensities, normalised (Hájek).

    R = Σ w n / Σ w d with w = 1 / propensity. Since chances depend on the past alone, w (n − R d) are martingale differences but for a
    drift that all variants share, which cancels in `minus`; their squares give the error. As long as the floor keeps the weights
    bounded the estimate is about normal, however the shares reacted to what was seen.
    """
    weight_N, lower_N = 1.0 / assigned.propensity_N, assigned.lower()
    lower = float(weight_N @ lower_N)
    value = float(weight_N @ assigned.numerator_N) / lower
    deviation_N = weight_N * (assigned.numerator_N - value * lower_N)
    return Weighted(value, math.sqrt(float(deviation_N @ deviation_N)) / lower)


def stratified(variants: Sequence[Assigned]) -> tuple[list[Weighted], float]:
    """The same by strata, and which part of the units it rests on: within a period shares are fixed, so means are comparable there.

    Periods count as much as they have units. Errors come from within periods alone, so what changes from one to the next adds nothing:
    more exact than `weighted` where the base rate moves much. Periods in which a variant has fewer than two units say nothing, and are
    left out; where these are many, take `weighted`.

    Args:
        variants: all of the experiment, with `period_N`.

    Raises:
        ValueError: no period has two units of every variant.
    """
    periods_P = np.unique(np.concatenate([_periods(each) for each in variants]))
    places = [np.searchsorted(periods_P, _periods(each)) for each in variants]
    counts_VP = np.stack([np.bincount(place_N, minlength=len(periods_P)) for place_N in places])
    sizes_P = np.where((counts_VP >= 2).all(axis=0), counts_VP.sum(axis=0), 0)
    if not sizes_P.any():
        raise ValueError("no period has two units of every variant")
    found = []
    for each, place_N, count_P in zip(variants, places, counts_VP, strict=True):
        per_unit_P = sizes_P / np.maximum(count_P, 1)
        weight_N, lower_N = per_unit_P[place_N], each.lower()
        lower = float(weight_N @ lower_N)
        value = float(weight_N @ each.numerator_N) / lower
        deviation_N = each.numerator_N - value * lower_N
        mean_P = np.bincount(place_N, deviation_N, len(periods_P)) / np.maximum(count_P, 1)
        squares_P = np.bincount(place_N, (deviation_N - mean_P[place_N]) ** 2, len(periods_P))
        variance = float((per_unit_P**2 * squares_P * count_P / np.maximum(count_P - 1, 1)).sum())
        found.append(Weighted(value, math.sqrt(variance) / lower))
    return found, float(sizes_P.sum() / counts_VP.sum())


def arm(assigned: Assigned) -> Arm:
    """A variant's units added up for `allocate`, each weighted by one over its chance: shares must not follow the tide of days.

    Weighted units tell less than as many unweighted ones; `units` is how many would give the same standard error. Values of a quotient
    are linearised: what a unit has beyond its denominator's share, plus the quotient.
    """
    num_units = len(assigned.numerator_N)
    if num_units < 2:
        return Arm(num_units, float(assigned.numerator_N.sum()), float((assigned.numerator_N**2).sum()))
    estimate = weighted(assigned)
    share_N = 1.0 / assigned.propensity_N
    share_N = share_N / share_N.sum()
    lower_N = assigned.lower()
    deviation_N = (assigned.numerator_N - estimate.value * lower_N) / float(share_N @ lower_N)
    variance = float(share_N @ deviation_N**2)
    # All alike, chance shows in the weights alone (Kish's effective size).
    units = variance / estimate.error**2 if estimate.error > 0.0 else 1.0 / float(share_N @ share_N)
    return Arm(units, units * estimate.value, units * (variance + estimate.value**2))


def _periods(assigned: Assigned) -> np.ndarray:
    assert assigned.period_N is not None, "strata are periods"
    return assigned.period_N
