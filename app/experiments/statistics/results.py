"""What comparisons say: numbers, intervals, and why there is none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from app.experiments.statistics.moments import Contrast, contrast
from app.experiments.statistics.samples import Sample

_HUGE = 1e60
"""Squares of squares of larger numbers leave what floating point can hold."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's value in one variant.

    Attributes:
        value: None where there is nothing to compute it from.
        error: its standard error; None where a single unit or none is there.
        units: how many it comes from.
    """

    value: float | None
    error: float | None
    units: int


def as_json(result: Any) -> dict[str, Any]:
    """A result's fields; intervals as two numbers."""
    return {
        name: [value["low"], value["high"]] if isinstance(value, dict) and "low" in value else value
        for name, value in asdict(result).items()
    }


def compared(control: Sample, treatment: Sample) -> tuple[Estimate, Estimate, Contrast, str | None]:
    """Both estimates, what is between them, and why nothing can be said of the difference, if so."""
    found = contrast(control.moments, treatment.moments)
    estimates = [
        Estimate(number(value), number(error), sample.num_units)
        for value, error, sample in (
            (found.control, found.control_error, control),
            (found.treatment, found.treatment_error, treatment),
        )
    ]
    return estimates[0], estimates[1], found, problem(control, treatment, found)


def problem(control: Sample, treatment: Sample, found: Contrast) -> str | None:
    """Why nothing can be said of the difference; None where something can."""
    for name, sample in (("control", control), ("treatment", treatment)):
        if sample.num_units < 2:
            return f"the {name} has {'one unit' if sample.num_units else 'no units'}; it takes two of each variant to see how they differ"
    for name, sample in (("control", control), ("treatment", treatment)):
        if not sample.moments.mean_4[1] > 0:
            return f"the {name} has nothing to divide by yet: its denominators are all zero"
    numbers = np.abs([found.control, found.treatment, found.unadjusted_variance, found.variance(), found.size])
    if not (numbers < _HUGE).all():
        return "the values are too large to compute with"
    if found.variance() < 1.0 / _HUGE:
        return "all units have the same value in either variant"
    return None


def gaps(control: float | None, treatment: float | None) -> tuple[float | None, float | None]:
    """Treatment − control, and the same as a part of the control; None where there is no such number or the control is not positive."""
    if control is None or treatment is None:
        return None, None
    with np.errstate(all="ignore"):
        absolute = np.float64(treatment) - np.float64(control)
        return number(absolute), number(absolute / control) if control > 0 else None


def number(value: Any) -> float | None:
    """A float, or None where it is none."""
    return float(value) if np.isfinite(value) else None
