"""Counts, means and covariances of what units have, and what follows from them: estimates and their variances, with CUPED.

Every metric is a quotient of two means over units; a plain mean has the denominator 1. All of it is closed form over any axes in
front, so that one comparison and thousands of simulated ones run through the same lines.

Shapes: N units; 4 the columns numerator, denominator, and the same two of the time before; `…` any axes in front.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

_ROUNDING = 1e-24
"""A variance below this part of the squares that it is made of is zero, but for the last bits."""
_LEFT_OVER = 1e-12
"""Likewise, of what CUPED leaves of a variance."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What estimates and their variances are computed from.

    Attributes:
        units: how many, float64 [...].
        mean_4: float64 [..., 4].
        cov_44: sample covariances (over n − 1), float64 [..., 4, 4].
    """

    units: np.ndarray
    mean_4: np.ndarray
    cov_44: np.ndarray

    @classmethod
    def of(cls, columns_N4: np.ndarray) -> Moments:
        """Of the units' own values, float64 [N, 4]; zeros where there are too few units."""
        num_units = len(columns_N4)
        with np.errstate(over="ignore", invalid="ignore"):
            mean_4 = columns_N4.mean(axis=0) if num_units else np.zeros(4)
            centred_N4 = columns_N4 - mean_4
            cov_44 = centred_N4.T @ centred_N4 / max(num_units - 1, 1)
        return cls(np.array(float(num_units)), mean_4, cov_44)

    @property
    def telling(self) -> np.ndarray:
        """How many units with equal denominators would tell as much, (Σ d)² / Σ d² (Kish 1965), float64 [...]; NaN where nothing does.

        Of users who have rated nothing a mean rating knows nothing, and where a few units weigh as much as all the rest, they are few.
        """
        with np.errstate(all="ignore"):
            square = self.mean_4[..., 1] ** 2
            telling: np.ndarray = self.units * square / (square + self.cov_44[..., 1, 1] * (self.units - 1) / self.units)
        return telling

    def __add__(self, other: Moments) -> Moments:
        """Of both together."""
        units = self.units + other.units
        mean_4 = (self.units[..., None] * self.mean_4 + other.units[..., None] * other.mean_4) / units[..., None]
        gap_4 = self.mean_4 - other.mean_4
        between_44 = gap_4[..., :, None] * gap_4[..., None, :] * (self.units * other.units / units)[..., None, None]
        within_44 = self.cov_44 * (self.units - 1)[..., None, None] + other.cov_44 * (other.units - 1)[..., None, None]
        return Moments(units, mean_4, (within_44 + between_44) / (units - 1)[..., None, None])


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """Control and treatment side by side, all float64 [...]; NaN where there is nothing to compute from.

    Attributes:
        control, treatment: the estimates, adjusted by the time before where that is known.
        control_variance, treatment_variance: of the estimates, by the delta method with units as the unit.
        control_error, treatment_error: standard errors of the two by themselves; with CUPED they are more than the roots of the
            variances, which leave out what both share: the mean of the time before.
        theta: CUPED's coefficient, 0 where the time before is unknown or the same for all.
        unadjusted_variance: of the difference, had the time before not been used.
        size: harmonic sum of both variants' total denominators (units, for a plain mean).
        control_units, treatment_units: how many there are.
        telling: of the variant with the fewest, see `Moments.telling`.
    """

    control: np.ndarray
    treatment: np.ndarray
    control_variance: np.ndarray
    treatment_variance: np.ndarray
    control_error: np.ndarray
    treatment_error: np.ndarray
    theta: np.ndarray
    unadjusted_variance: np.ndarray
    size: np.ndarray
    control_units: np.ndarray
    treatment_units: np.ndarray
    telling: np.ndarray

    def variance(self, factor: float = 1.0) -> np.ndarray:
        """Of treatment − factor · control."""
        variance: np.ndarray = self.treatment_variance + factor**2 * self.control_variance
        return variance

    def cautious(self) -> Contrast:
        """The same with both variances as if units of both variants spread alike, where that makes the difference less certain.

        A small variant in which the rare things have not happened yet has next to no variance, and a sequence that starts early would
        take that for certainty. With variants of one size both ways are the same.
        """
        with np.errstate(all="ignore"):
            units = self.control_units + self.treatment_units
            spreads = self.control_variance * self.control_units, self.treatment_variance * self.treatment_units
            pooled = ((self.control_units - 1) * spreads[0] + (self.treatment_units - 1) * spreads[1]) / (units - 2)
            alike = pooled * (1 / self.control_units + 1 / self.treatment_units) > self.variance()
            return replace(
                self,
                control_variance=np.where(alike, pooled / self.control_units, self.control_variance),
                treatment_variance=np.where(alike, pooled / self.treatment_units, self.treatment_variance),
            )

    @property
    def spread(self) -> np.ndarray:
        """Variance of the difference of sums, Σ (n − R d), instead of quotients; it grows with every unit and everything they do."""
        with np.errstate(all="ignore"):
            spread: np.ndarray = self.size**2 * self.variance()
        return spread


def contrast(control: Moments, treatment: Moments) -> Contrast:
    """Estimates and variances of two variants.

    The delta method linearises a quotient R = mean(n) / mean(d): a unit counts (n − R d) / mean(d). CUPED (Deng et al. 2013) subtracts
    θ times what the unit's time before deviates, with θ from both variants together, as `tea_tasting.RatioOfMeans` does.
    """
    with np.errstate(all="ignore"):
        pooled = control + treatment
        before_variance = _product(pooled, 2, 2)
        has_before = (before_variance > 0) & (control.mean_4[..., 3] > 0) & (treatment.mean_4[..., 3] > 0)
        theta = np.where(has_before, _product(pooled, 0, 2) / np.where(has_before, before_variance, 1.0), 0.0)
        gap = np.where(has_before, _ratio(treatment, 2) - _ratio(control, 2), 0.0)
        weights = [each.units * each.mean_4[..., 3] for each in (control, treatment)]
        shares = [np.where(has_before, weight / (weights[0] + weights[1]), 0.0) for weight in weights]
        first = _adjusted(control, theta, has_before, shares[1])
        second = _adjusted(treatment, theta, has_before, shares[0])
        totals = [each.units * each.mean_4[..., 1] for each in (control, treatment)]
        return Contrast(
            control=_ratio(control, 0) + theta * shares[1] * gap,
            treatment=_ratio(treatment, 0) - theta * shares[0] * gap,
            control_variance=first[0],
            treatment_variance=second[0],
            control_error=np.sqrt(first[1] + (theta * shares[1]) ** 2 * second[2]),
            treatment_error=np.sqrt(second[1] + (theta * shares[0]) ** 2 * first[2]),
            theta=theta,
            unadjusted_variance=first[3] + second[3],
            size=totals[0] * totals[1] / (totals[0] + totals[1]),
            control_units=control.units,
            treatment_units=treatment.units,
            telling=np.minimum(control.telling, treatment.telling),
        )


def history(moments: Moments) -> tuple[float, float, float]:
    """Of one sample: the value, the standard deviation of its linearised values, and their correlation with the time before; 0 if unknown."""
    with np.errstate(all="ignore"):
        variance, before_variance, cov = (_product(moments, *pair) for pair in ((0, 0), (2, 2), (0, 2)))
        correlation = np.where((variance > 0) & (before_variance > 0), cov / np.sqrt(variance * before_variance), 0.0)
    return float(_ratio(moments, 0)), float(np.sqrt(variance)), float(correlation)


def _adjusted(moments: Moments, theta: np.ndarray, has_before: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, ...]:
    """Variances of one side's mean: after CUPED; of its own part in the adjusted value; of its time before; and without CUPED."""
    units = np.where(moments.units > 1, moments.units, np.nan)
    plain = _product(moments, 0, 0) / units
    before = np.where(has_before, _product(moments, 2, 2), 0.0) / units
    cov = np.where(has_before, _product(moments, 0, 2), 0.0) / units
    whole, part = (plain + weight**2 * before - 2.0 * weight * cov for weight in (theta, theta * share))
    whole, part = (np.where(each <= _LEFT_OVER * plain, 0.0, each) for each in (whole, part))
    return whole, part, before, plain


def _ratio(moments: Moments, column: int) -> np.ndarray:
    """Quotient of a column's mean and the next one's; NaN where there is nothing to divide by."""
    below = moments.mean_4[..., column + 1]
    quotient: np.ndarray = moments.mean_4[..., column] / np.where(below > 0, below, np.nan)
    return quotient


def _product(moments: Moments, left: int, right: int) -> np.ndarray:
    """Covariance of two linearised quotients, whose numerators are the columns `left` and `right`; 0 where it is only rounding."""
    mean_4, cov_44 = moments.mean_4, moments.cov_44
    left_ratio, right_ratio = _ratio(moments, left), _ratio(moments, right)
    product = (
        cov_44[..., left, right]
        - right_ratio * cov_44[..., left, right + 1]
        - left_ratio * cov_44[..., left + 1, right]
        + left_ratio * right_ratio * cov_44[..., left + 1, right + 1]
    ) / (mean_4[..., left + 1] * mean_4[..., right + 1])
    if left == right:
        squares = (cov_44[..., left, left] + mean_4[..., left] ** 2) / mean_4[..., left + 1] ** 2
        squares = squares + left_ratio**2 * (cov_44[..., left + 1, left + 1] / mean_4[..., left + 1] ** 2)
        product = np.where(product <= _ROUNDING * squares, 0.0, product)
    value: np.ndarray = product
    return value
