"""Whether a treatment differs from the control, seen once, at the planned end: intervals and p of the fixed horizon.

They hold for one look that was planned beforehand. Whoever looks daily and stops at a nice figure wants `sequences`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tea_tasting.aggr import Aggregates
from tea_tasting.metrics import Mean, RatioOfMeans
from tea_tasting.metrics.mean import MeanResult

from app.experiments.statistics.moments import Contrast
from app.experiments.statistics.results import Estimate, Interval, as_json, compared, gaps, number
from app.experiments.statistics.samples import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Treatment against control on one metric.

    Attributes:
        control, treatment: the estimates, after CUPED where the time before is known.
        absolute: treatment − control.
        interval: of it.
        relative: the same as a part of the control's value; None where that is not positive.
        relative_interval: of it, by the logarithm of the quotient; None where a value is not positive.
        p_value: two-sided, Welch's t.
        level: of the intervals.
        variance_reduction: the part of the difference's variance that CUPED took away; None where no time before is known.
        problem: why nothing can be said, in words; the intervals and p are None then.
    """

    control: Estimate
    treatment: Estimate
    absolute: float | None
    interval: Interval | None
    relative: float | None
    relative_interval: Interval | None
    p_value: float | None
    level: float
    variance_reduction: float | None
    problem: str | None

    @property
    def is_significant(self) -> bool:
        """Whether p is below 1 − level."""
        return self.p_value is not None and self.p_value < 1.0 - self.level

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return as_json(self)


def difference(control: Sample, treatment: Sample, *, level: float = 0.95) -> Difference:
    """Compare two variants at the planned end of an experiment, by tea-tasting.

    Means by Welch's t-test, quotients by the delta method with units as the unit (Deng, Knoblich, Lu 2018), both adjusted by the time
    before where both samples know one (CUPED; Deng, Xu, Kohavi, Walker 2013).

    Args:
        control: what the treatment is compared with.
        treatment: of the same metric.
        level: of the intervals.
    """
    first, second, found, why = compared(control, treatment)
    absolute, relative = gaps(first.value, second.value)
    interval = relative_interval = p_value = reduction = None
    if why is None:
        assert first.value is not None and second.value is not None
        analysed = _analysed(control, treatment, found, level)
        interval = Interval(float(analysed.effect_size_ci_lower), float(analysed.effect_size_ci_upper))
        p_value = float(analysed.pvalue)
        ends = number(analysed.rel_effect_size_ci_lower), number(analysed.rel_effect_size_ci_upper)
        if first.value > 0 and second.value > 0 and ends[0] is not None and ends[1] is not None:
            relative_interval = Interval(ends[0], ends[1])
        if control.has_before and treatment.has_before:
            with np.errstate(divide="ignore"):  # where units differ between variants alone, CUPED adds to a variance of zero
                reduction = number(1.0 - found.variance() / found.unadjusted_variance)
    return Difference(
        control=first,
        treatment=second,
        absolute=absolute,
        interval=interval,
        relative=relative,
        relative_interval=relative_interval,
        p_value=p_value,
        level=level,
        variance_reduction=reduction,
        problem=why,
    )


def _analysed(control: Sample, treatment: Sample, found: Contrast, level: float) -> MeanResult:
    has_before = found.theta != 0
    options = {"alternative": "two-sided", "confidence_level": level, "equal_var": False, "use_t": True}
    metric = RatioOfMeans(
        numer="numerator",
        denom="denominator" if control.is_ratio else None,
        numer_covariate="before_numerator" if has_before else None,
        denom_covariate="before_denominator" if has_before and control.before_denominator_N is not None else None,
        **options,
    )
    try:
        return metric.analyze_aggregates(control.aggregates, treatment.aggregates)
    except (OverflowError, ValueError):
        # The relative interval of a value next to zero has no floating-point number, and a time before that explains all may leave a
        # variance below zero: then the linearised values are given, without anything to be relative to.
        absolute = float(found.treatment - found.control)
        sides = ((control, 0.0, found.control_variance), (treatment, absolute, found.treatment_variance))
        plain = [
            Aggregates(count_=side.num_units, mean_={"value": mean}, var_={"value": float(variance) * side.num_units})
            for side, mean, variance in sides
        ]
        return Mean("value", **options).analyze_aggregates(*plain)
