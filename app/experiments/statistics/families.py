"""Several comparisons in one report: corrected p values, levels that hold together, and guardrails."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import tea_tasting
from tea_tasting.experiment import ExperimentResult

from app.experiments.statistics.results import Interval, as_json, number
from app.experiments.statistics.samples import Sample
from app.experiments.statistics.sequences import BURN_IN, PLANNED_UNITS, critical_value, walk

Key = TypeVar("Key", bound=Hashable)
State = Literal["violated", "kept", "not yet known"]


def holm(p_values: Mapping[Key, float | None]) -> dict[Key, float | None]:
    """Corrected p values, by Holm's method in tea-tasting; None (nothing could be said) stays None and does not count.

    The chance that any of the true null hypotheses has a corrected p below α is at most α, however the p values depend on each other;
    of always-valid ones, at any look.
    """
    known = {key: {"pvalue": value} for key, value in p_values.items() if value is not None}
    if not known:
        return dict(p_values)
    results = tea_tasting.adjust_fwer(ExperimentResult(known), arbitrary_dependence=True, method="bonferroni")
    (adjusted,) = results.values()
    return {key: None if value is None else float(adjusted[key]["pvalue_adj"]) for key, value in p_values.items()}


def simultaneous_level(level: float, num_comparisons: int) -> float:
    """The level of each of several intervals so that all hold together with `level`, by Bonferroni: 1 − (1 − level) / m."""
    return 1.0 - (1.0 - level) / max(num_comparisons, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What is known of a guardrail.

    Attributes:
        state: `violated` where the treatment is worse than tolerated, `kept` where it is not, both shown at the level.
        slack: how far the treatment is on the good side of what is tolerated, in the metric's own unit; negative on the bad side.
        interval: of it, valid at every look; None while nothing can be said.
        margin: what was tolerated, as a part of the control's value.
        level: of the interval.
        problem: why nothing can be said yet, in words.
    """

    state: State
    slack: float | None
    interval: Interval | None
    margin: float
    level: float
    problem: str | None

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return as_json(self)


def guardrail(
    looks: Sequence[tuple[Sample, Sample]],
    *,
    margin: float,
    better: Literal["higher", "lower"] = "higher",
    level: float = 0.95,
    planned_units: int = PLANNED_UNITS,
    burn_in: int = BURN_IN,
) -> Guarded:
    """Whether the treatment is worse than the control by more than a margin: a test of non-inferiority that may be looked at daily.

    With higher values better it is about treatment − (1 − margin) · control, with lower ones about (1 + margin) · control − treatment:
    kept where the confidence sequence of that lies above zero, violated where it lies below. (Both by the two-sided interval, so each
    of the two words is wrong in at most (1 − level) of experiments.)

    Args:
        looks: control and treatment at each look so far, as for `sequence`.
        margin: how much worse is tolerable, as a part of the control's absolute value.
        better: which direction is good.
        level: of the interval.
        planned_units: as for `sequence`.
        burn_in: as for `sequence`.
    """
    step = walk(looks, level=level, planned_units=planned_units, burn_in=burn_in)[-1]
    slack: float | None = None
    interval: Interval | None = None
    state: State = "not yet known"
    control, treatment = step.control.value, step.treatment.value
    if control is not None and treatment is not None:
        sign = 1.0 if better == "higher" else -1.0
        factor = 1.0 - sign * margin * (1.0 if control >= 0 else -1.0)
        slack = number(sign * (np.float64(treatment) - factor * np.float64(control)))
        if step.problem is None and slack is not None:
            reach = float(critical_value(step.time, level) * np.sqrt(step.contrast.variance(factor)))
            interval = Interval(slack - reach, slack + reach)
            state = "kept" if interval.low > 0 else "violated" if interval.high < 0 else state
    return Guarded(state=state, slack=slack, interval=interval, margin=margin, level=level, problem=step.problem)
