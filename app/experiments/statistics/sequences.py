"""Intervals that hold however often one looks: asymptotic confidence sequences in closed form.

An interval of the fixed horizon holds the truth in 95 of 100 experiments that are looked at once. A confidence sequence holds it, in 95
of 100 experiments, at *every* look at the same time, so that looking daily and stopping when the difference is clear is honest. The
price is width: about one and a half times, at the planned number of units.

The boundary is Robbins' normal mixture as Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024, "Time-uniform central limit theory and
asymptotic confidence sequences") use it: at time t, in units of the standard error,

    c(t)² = (1 + 1/(t ρ²)) · (ln(1 + t ρ²) − 2 ln α),

narrowest at the planned time through ρ. See `docs/statistics.md` for what is guaranteed and what is not.

Shapes: T looks; `…` any axes in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import lambertw

from app.experiments.statistics.moments import Contrast
from app.experiments.statistics.results import Estimate, Interval, as_json, compared, gaps, number
from app.experiments.statistics.samples import Sample

PLANNED_UNITS = 10_000
"""Of all compared variants together; where nothing was planned."""
BURN_IN = 100
"""Units of each variant before an interval is stated, by `Moments.telling`: what is asymptotic needs some to begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What can be said at one look, whatever was looked at before.

    Attributes:
        control, treatment: the estimates, after CUPED where the time before is known.
        absolute: treatment − control.
        interval: of it; None during the burn-in.
        relative: the same as a part of the control's value; None where that is not positive.
        relative_interval: of it, by Fieller's method; it holds 0 exactly when the other one does. None during the burn-in and as long
            as the control's value could be zero.
        p_value: always valid, of no difference at any look so far: the chance that it ever gets as small, were there none, is at most
            itself. 1 during the burn-in.
        level: of the intervals.
        problem: why nothing can be said yet, in words.
    """

    control: Estimate
    treatment: Estimate
    absolute: float | None
    interval: Interval | None
    relative: float | None
    relative_interval: Interval | None
    p_value: float
    level: float
    problem: str | None

    @property
    def is_significant(self) -> bool:
        """Whether a difference was shown at this look or at one before."""
        return self.p_value < 1.0 - self.level

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return as_json(self)


def sequence(
    looks: Sequence[tuple[Sample, Sample]],
    *,
    level: float = 0.95,
    planned_units: int = PLANNED_UNITS,
    burn_in: int = BURN_IN,
) -> list[Look]:
    """Compare two variants at every look, with intervals that hold at all of them together.

    Args:
        looks: control and treatment as they were known at each look, oldest first: all units so far with all that they did so far.
        level: the share of experiments in which *no* interval of the sequence misses.
        planned_units: of both variants together, where the interval shall be narrowest. Chosen before the start and never changed
            after; a wrong one costs width (tenfold too low 7%, too high 26%), no validity.
        burn_in: units of each variant, by `Moments.telling`, before something is said.
    """
    results: list[Look] = []
    p_value = 1.0
    for step in walk(looks, level=level, planned_units=planned_units, burn_in=burn_in):
        absolute, relative = gaps(step.control.value, step.treatment.value)
        interval = relative_interval = None
        if step.problem is None:
            assert absolute is not None
            reach = float(critical_value(step.time, level))
            error = float(np.sqrt(step.contrast.variance()))
            interval = Interval(absolute - reach * error, absolute + reach * error)
            relative_interval = fieller(step.contrast, reach)
            p_value = min(p_value, float(p_values(absolute / error, step.time)))
        results.append(
            Look(
                control=step.control,
                treatment=step.treatment,
                absolute=absolute,
                interval=interval,
                relative=relative,
                relative_interval=relative_interval,
                p_value=p_value,
                level=level,
                problem=step.problem,
            )
        )
    return results


def look(
    control: Sample,
    treatment: Sample,
    *,
    level: float = 0.95,
    planned_units: int = PLANNED_UNITS,
    burn_in: int = BURN_IN,
) -> Look:
    """The first look of a sequence, or any look at units whose outcomes are final; see `sequence`."""
    return sequence([(control, treatment)], level=level, planned_units=planned_units, burn_in=burn_in)[0]


@dataclass(frozen=True, slots=True)
class Step:
    """A look before anything is concluded from it.

    Attributes:
        control, treatment: the estimates.
        contrast: what is between them, with cautious variances.
        time: t ρ², how much is known as a part of what is planned; 0 while nothing can be said.
        problem: why nothing can be said yet.
    """

    control: Estimate
    treatment: Estimate
    contrast: Contrast
    time: float
    problem: str | None


def walk(looks: Sequence[tuple[Sample, Sample]], *, level: float, planned_units: int, burn_in: int) -> list[Step]:
    """All looks with their time; see `elapsed`."""
    steps = []
    for control, treatment in looks:
        first, second, found, why = compared(control, treatment)
        fewest = min(control.num_units, treatment.num_units)
        if why is None and not found.telling >= burn_in:
            told = f"{fewest} units" if fewest < burn_in else f"as much to divide by as {found.telling:.0f} equal units"
            why = f"the smaller variant has {told}; from {burn_in} on something can be said"
        steps.append(Step(first, second, found.cautious(), 0.0, why))
    times = elapsed(
        np.array([float(step.contrast.control_units + step.contrast.treatment_units) for step in steps]),
        np.array([float(step.contrast.spread) for step in steps]),
        np.array([step.problem is None for step in steps], dtype=bool),
    )
    scale = best_scale(1.0 - level) / planned_units
    return [replace(step, time=scale * float(time)) for step, time in zip(steps, times, strict=True)]


def elapsed(units_T: np.ndarray, spread_T: np.ndarray, usable_T: np.ndarray) -> np.ndarray:
    """How far a sequence has come at each look, in units, float64 [..., T]; 0 before the first usable look.

    With outcomes that are final once a unit is counted, it is the number of units. Where they grow (people come back), the sum over
    the same units still moves as if there were more of them: then it is how far that sum's variance has come since the first look.
    This is what the supermartingale behind the boundary counts.

    Args:
        units_T: of both variants at each look.
        spread_T: `Contrast.spread` at each look.
        usable_T: whether something can be said there.
    """
    if not usable_T.any():
        return np.zeros(np.shape(usable_T))
    first = np.argmax(usable_T, axis=-1)[..., None]
    safe_T = np.where(usable_T, spread_T, 1.0)
    start = np.take_along_axis(units_T / safe_T, first, axis=-1)
    return np.maximum.accumulate(np.where(usable_T, safe_T * start, 0.0), axis=-1)


def best_scale(alpha: float) -> float:
    """The t ρ² at which the boundary is narrowest: −W₋₁(−α²/e) − 1, with Lambert's W (Howard et al. 2021, Waudby-Smith et al. 2024)."""
    return float(-lambertw(-(alpha**2) / np.e, -1).real - 1.0)


def critical_value(time: float | np.ndarray, level: float) -> Any:
    """How many standard errors an interval reaches to each side, c(t); `time` is t ρ²."""
    return np.sqrt((1.0 + 1.0 / time) * (np.log1p(time) - 2.0 * np.log(1.0 - level)))


def p_values(z: float | np.ndarray, time: float | np.ndarray) -> Any:
    """1 over the mixture's likelihood ratio, at most 1; below α exactly where |z| > c(t)."""
    log_ratio = 0.5 * np.square(z) * time / (1.0 + time) - 0.5 * np.log1p(time)
    return np.exp(-np.maximum(log_ratio, 0.0))


def fieller(found: Contrast, reach: float) -> Interval | None:
    """All r for which treatment − (1 + r) · control is within reach of zero; None where that is no interval of finite length."""
    control, treatment = float(found.control), float(found.treatment)
    slack_control = reach**2 * float(found.control_variance)
    slack_treatment = reach**2 * float(found.treatment_variance)
    leading = control**2 - slack_control
    if control <= 0 or leading <= 0:
        return None
    root = np.sqrt(max(slack_treatment * leading + slack_control * treatment**2, 0.0))
    low, high = (number((treatment * control + sign * root) / leading - 1.0) for sign in (-1.0, 1.0))
    return Interval(low, high) if low is not None and high is not None else None
