"""From outcomes to comparisons: every metric, every treatment against the control, at every look.

Shapes: N units, V variants, T looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np

from app.experiments.definition import Experiment
from app.experiments.metrics import Metric
from app.experiments.outcomes import Measured, Outcomes
from app.experiments.reports.figures import Comparison, Guarded, MetricFigures, Pair, Point, Role, Verdict
from app.experiments.reports.needed import units_needed
from app.experiments.statistics import (
    PLANNED_UNITS,
    Difference,
    Interval,
    Look,
    Sample,
    difference,
    guardrail,
    holm,
    sequence,
    simultaneous_level,
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A metric and what it is asked for; `margin` is a guardrail's."""

    metric: Metric
    role: Role
    margin: float | None = None


_CELLS = 6_000_000
"""Units × looks that are held at once."""
_FEWEST_LOOKS, _MOST_LOOKS = 5, 30


def looks_of(outcomes: Outcomes) -> list[datetime]:
    """When to look: often enough for a plot, and no more often than memory allows."""
    affordable = _CELLS // max(len(outcomes.units.names), 1)
    return outcomes.looks(max(_FEWEST_LOOKS, min(_MOST_LOOKS, affordable)))


def compare_variants(outcomes: Outcomes, shares_N: np.ndarray, looks: Sequence[datetime]) -> list[MetricFigures]:
    """All metrics of the definition.

    Args:
        outcomes: of an experiment whose units see one variant each.
        shares_N: the chance with which each unit got its variant.
        looks: ascending; the last is what the figures are of.
    """
    experiment = outcomes.experiment
    asked = [
        _Asked(experiment.primary, "primary"),
        *(_Asked(metric, "secondary") for metric in experiment.secondary),
        *(_Asked(guarded.metric, "guardrail", guarded.margin) for guarded in experiment.guardrails),
    ]
    weights_N = _weights(outcomes, shares_N)
    found = [_metric(outcomes, weights_N, looks, one) for one in asked]
    return _corrected(found, experiment)


def _weights(outcomes: Outcomes, shares_N: np.ndarray) -> np.ndarray | None:
    """One over the chance of each unit's variant; None where it was the same for all units of a variant, so that weights change nothing.

    Where shares changed along the way, variants have more of their units from some days than from others, and a plain mean would
    compare days. Weighted, all variants speak for the same mixture of days.
    """
    variant_N = outcomes.units.variant_N
    is_constant = all(np.ptp(shares_N[variant_N == variant]) < 1e-9 for variant in np.unique(variant_N).tolist())
    return None if is_constant else 1.0 / shares_N


def _samples(measured: Measured, variant_N: np.ndarray, weights_N: np.ndarray | None, num_variants: int) -> list[Sample]:
    """The metric of each variant, from those that take part by then."""
    arrays: dict[str, np.ndarray | None] = {
        name: getattr(measured, name) for name in ("numerator_N", "denominator_N", "before_numerator_N", "before_denominator_N")
    }
    if weights_N is not None:
        ones_N = np.ones(len(weights_N))
        if arrays["denominator_N"] is None:
            arrays["denominator_N"] = ones_N
        if arrays["before_numerator_N"] is not None and arrays["before_denominator_N"] is None:
            arrays["before_denominator_N"] = ones_N
        arrays = {name: None if values is None else values * weights_N for name, values in arrays.items()}
    samples = []
    for variant in range(num_variants):
        is_own_N = measured.is_in_N & (variant_N == variant)
        own: dict[str, Any] = {name: None if values is None else values[is_own_N] for name, values in arrays.items()}
        samples.append(Sample(**own))
    return samples


def _metric(outcomes: Outcomes, weights_N: np.ndarray | None, looks: Sequence[datetime], asked: _Asked) -> MetricFigures:
    experiment = outcomes.experiment
    names = [variant.name for variant in experiment.variants]
    metric = asked.metric
    measured = list(outcomes.measured(metric, looks))
    by_look = [_samples(one, outcomes.units.variant_N, weights_N, len(names)) for one in measured]
    plain = [_plain(sample) for sample in _samples(measured[-1], outcomes.units.variant_N, None, len(names))]
    is_primary = asked.role == "primary"
    level = simultaneous_level(experiment.level, len(names) - 1) if is_primary else experiment.level
    comparisons = [
        _comparison(experiment, asked, [(samples[0], samples[row]) for samples in by_look], looks, level=level, name=name)
        for row, name in enumerate(names)
        if row
    ]
    return MetricFigures(
        name=metric.name,
        role=asked.role,
        better=metric.better,
        meaning=meaning(metric, experiment.unit),
        values={name: value for name, (value, _, _) in zip(names, plain, strict=True)},
        errors={name: error for name, (_, error, _) in zip(names, plain, strict=True)},
        totals={name: total for name, (_, _, total) in zip(names, plain, strict=True)},
        comparisons=comparisons,
    )


def _plain(sample: Sample) -> tuple[float | None, float | None, Pair]:
    """A variant's own value, its standard error by the delta method, and both sums."""
    num_units = sample.num_units
    below_N = np.ones(num_units) if sample.denominator_N is None else sample.denominator_N
    above, below = float(sample.numerator_N.sum()), float(below_N.sum())
    if below <= 0:
        return None, None, [above, below]
    value = above / below
    error = None
    if num_units > 1:
        deviations_N = sample.numerator_N - value * below_N
        error = float(np.sqrt((deviations_N**2).sum() * num_units / (num_units - 1)) / below)
    return value, error, [above, below]


def _comparison(
    experiment: Experiment,
    asked: _Asked,
    pairs: Sequence[tuple[Sample, Sample]],
    looks: Sequence[datetime],
    *,
    level: float,
    name: str,
) -> Comparison:
    metric = asked.metric
    planned = experiment.planned_units_of_two or PLANNED_UNITS
    found = sequence(pairs, level=level, planned_units=planned)
    fixed = [difference(control, treatment, level=level) for control, treatment in pairs]
    last, last_fixed = found[-1], fixed[-1]
    is_relative, reduction = last.relative is not None, last_fixed.variance_reduction
    state = None
    if asked.margin is not None:
        told = guardrail(pairs, margin=asked.margin, better=metric.better, level=level, planned_units=planned)
        state = Guarded(state=told.state, margin=asked.margin)
    return Comparison(
        metric=metric.name,
        role=asked.role,
        variant=name,
        control=experiment.control.name,
        verdict=verdict(last, metric.better, experiment.minimum_effect),
        control_value=last.control.value,
        value=last.treatment.value,
        absolute=last.absolute,
        interval=_pair(last.interval),
        relative=last.relative,
        relative_interval=_pair(last.relative_interval),
        p_value=last.p_value,
        level=level,
        fixed_interval=_pair(last_fixed.interval),
        fixed_relative_interval=_pair(last_fixed.relative_interval),
        fixed_p_value=None if last_fixed.p_value is None else float(last_fixed.p_value),
        variance_reduction=None if reduction is None else float(reduction),
        guardrail=state,
        units_needed=units_needed(last, level, experiment.minimum_effect, experiment.power, planned_units=planned),
        problem=last.problem,
        in_points="relative" if is_relative else "absolute",
        points=[
            _point(look, at_once, time, is_relative=is_relative)
            for look, at_once, time in zip(found, fixed, looks, strict=True)
        ],
    )


def _point(look: Look, at_once: Difference, time: datetime, *, is_relative: bool) -> Point:
    return Point(
        time=time.isoformat(),
        units=look.control.units + look.treatment.units,
        value=look.relative if is_relative else look.absolute,
        interval=_pair(look.relative_interval if is_relative else look.interval),
        fixed=_pair(at_once.relative_interval if is_relative else at_once.interval),
    )


def verdict(look: Look, better: Literal["higher", "lower"], minimum_effect: float) -> Verdict:
    """What the confidence sequence says now: it lies on one side of zero, or within the smallest difference that matters, or neither."""
    if look.problem is not None or look.interval is None:
        return "too early"
    sign = 1 if better == "higher" else -1
    if look.interval.low > 0 or look.interval.high < 0:
        return "better" if (look.interval.low > 0) == (sign > 0) else "worse"
    around = look.relative_interval
    if around is not None and -minimum_effect < around.low and around.high < minimum_effect:
        return "no difference that matters"
    return "undecided"


def _corrected(metrics: Sequence[MetricFigures], experiment: Experiment) -> list[MetricFigures]:
    """Secondary metrics are many, and one of many differs by chance: Holm's correction has the last word on them."""
    p_values: dict[tuple[str, str], float | None] = {
        (metric.name, one.variant): one.p_value
        for metric in metrics
        if metric.role == "secondary"
        for one in metric.comparisons
    }
    corrected = holm(p_values)
    alpha = 1.0 - experiment.level
    found = []
    for metric in metrics:
        comparisons = []
        for one in metric.comparisons:
            p_holm = corrected.get((metric.name, one.variant))
            is_shown = p_holm is None or p_holm < alpha or one.verdict not in {"better", "worse"}
            comparisons.append(replace(one, p_holm=p_holm, verdict=one.verdict if is_shown else "undecided"))
        found.append(replace(metric, comparisons=comparisons))
    return found


def meaning(metric: Metric, unit: str) -> str:
    """A metric in words."""
    what = "answer" if metric.event == "impression" else metric.event
    per = {"unit": unit, "impression": "answer", "event": what, "session": "session"}[metric.per]
    if metric.of == "any":
        return f"{unit}s with any {what}" if metric.per == "unit" else f"{per}s with any {what}"
    if metric.of == "count":
        return f"{what}s per {per}"
    return f"{'milliseconds' if metric.event == 'impression' else f'value of {what}s'} per {per}"


def _pair(interval: Interval | None) -> Pair | None:
    return (
        None if interval is None else [float(interval.low), float(interval.high)]
    )  # of tea-tasting they are a kind of their own
