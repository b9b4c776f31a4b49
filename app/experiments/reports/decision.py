"""The decision in one sentence, by rule; the rule stands in `docs/reports.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.experiments.definition import Experiment
from app.experiments.reports.figures import Comparison, Decision, MetricFigures, SampleRatio
from app.experiments.reports.words import amount, count, number, part, span


def decide(
    experiment: Experiment,
    metrics: Sequence[MetricFigures],
    ratio: SampleRatio | None,
    *,
    units: int,
    days: float,
    red: Sequence[str] = (),
) -> Decision:
    """What follows from the figures.

    Args:
        experiment: its definition.
        metrics: the primary one first.
        ratio: of the units, if they see one variant each.
        units: that take part.
        days: that the experiment has run.
        red: names of other checks of its health that are bad.
    """
    found = _decided(experiment, metrics, ratio, units, days)
    if not red:
        return found
    return replace(found, sentence=f"{found.sentence} Its health is red, so look at that first: {', '.join(red)}.")


def _decided(
    experiment: Experiment, metrics: Sequence[MetricFigures], ratio: SampleRatio | None, units: int, days: float
) -> Decision:
    if ratio is not None and ratio.is_red:
        return Decision(status="unusable", winner=None, sentence=_unusable(experiment, ratio))
    primary = metrics[0].comparisons
    better = sorted((one for one in primary if one.verdict == "better"), key=_gain, reverse=metrics[0].better == "higher")
    if better:
        return Decision(status="better", winner=better[0].variant, sentence=_better(experiment, metrics, better))
    if all(one.verdict == "worse" for one in primary):
        return Decision(status="worse", winner=primary[0].control, sentence=_worse(experiment, metrics))
    undecided = [one for one in primary if one.verdict == "undecided"]
    early = [one for one in primary if one.verdict == "too early"]
    if early and not undecided:
        return Decision(status="too early", winner=None, sentence=f"Too early to say: {early[0].problem}.")
    if undecided:
        told = "; ".join(_undecided(experiment, one, units, days) for one in undecided)
        sentence = f"Undecided: after {count(units, experiment.unit)} {told}{_guardrails(metrics, primary)}"
        return Decision(status="undecided", winner=None, sentence=sentence)
    return Decision(status="no difference that matters", winner=None, sentence=_same(experiment, primary, metrics))


def _unusable(experiment: Experiment, ratio: SampleRatio) -> str:
    observed = " : ".join(f"{units:,}" for units in ratio.observed.values())
    weights = [variant.weight for variant in experiment.variants]
    total, expected = sum(weights), sum(ratio.expected.values())
    as_defined = all(
        abs(due / expected - weight / total) < 1e-3 for due, weight in zip(ratio.expected.values(), weights, strict=True)
    )
    planned = " : ".join(f"{weight:g}" for weight in weights)
    if not as_defined:
        planned = " : ".join(f"{due:,.0f}" for due in ratio.expected.values())
    least = min(ratio.p_value, ratio.always_valid_p_value)
    told = "p < .001" if least < 0.001 else f"p = {least:.3f}"
    return f"Do not use these figures: {experiment.unit}s are split {observed} where {planned} was planned ({told})."


def _better(experiment: Experiment, metrics: Sequence[MetricFigures], better: Sequence[Comparison]) -> str:
    best = better[0]
    said = f"{best.variant} is better than {best.control} on {best.metric}: {difference(best)}"
    around = best.relative_interval
    if around is not None and max(map(abs, around)) < experiment.minimum_effect:
        said += f", which is less than the {part(experiment.minimum_effect)} that matter"
    others = [one.variant for one in better[1:]]
    if others:
        said += f" ({', '.join(others)} {'is' if len(others) == 1 else 'are'} better than {best.control} too)"
    return f"{said}{_guardrails(metrics, [best])}"


def _worse(experiment: Experiment, metrics: Sequence[MetricFigures]) -> str:
    told = "; ".join(f"{one.variant} {difference(one)}" for one in metrics[0].comparisons)
    return (
        f"{experiment.control.name}, the control, is better than the rest on {metrics[0].name}: {told}."
        if len(metrics[0].comparisons) > 1
        else f"{experiment.control.name}, the control, is better on {metrics[0].name}: {told}."
    )


def _same(experiment: Experiment, primary: Sequence[Comparison], metrics: Sequence[MetricFigures]) -> str:
    told = "; ".join(f"{one.variant} {difference(one)}" for one in primary)
    within = part(experiment.minimum_effect)
    verb = "is" if len(primary) == 1 else "are"
    if any(one.verdict == "worse" for one in primary):
        return f"No variant is better than {primary[0].control} on {primary[0].metric}: {told}{_guardrails(metrics, primary)}"
    return f"No difference that matters: on {primary[0].metric} {told} {verb} within {within} of {primary[0].control}{_guardrails(metrics, primary)}"


def _undecided(experiment: Experiment, one: Comparison, units: int, days: float) -> str:
    around = one.relative_interval or one.interval
    assert around is not None
    low, high = (part(end, signed=True) if one.relative_interval else number(end, signed=True) for end in around)
    said = f"the difference of {one.variant} to {one.control} on {one.metric} is between {low} and {high}"
    if one.units_needed:
        needed = one.units_needed * _share_of_all(experiment, one)
        said += f"; about {count(_round(needed), experiment.unit, more=True)}"
        if units and days > 0:
            left = needed / (units / days)
            said += f" ({_days(left)})"
        said += f" are needed to see {part(experiment.minimum_effect)}"
    return said


def _share_of_all(experiment: Experiment, one: Comparison) -> float:
    """How many units of all variants come with one of the two that are compared."""
    weights = {variant.name: variant.weight for variant in experiment.variants}
    return sum(weights.values()) / (weights[one.variant] + weights[one.control])


def _guardrails(metrics: Sequence[MetricFigures], chosen: Sequence[Comparison]) -> str:
    """What is to be said of them, and the full stop."""
    names = {one.variant for one in chosen}
    of_them = [one for metric in metrics for one in metric.comparisons if one.guardrail is not None and one.variant in names]
    violated = [one for one in of_them if one.guardrail is not None and one.guardrail.state == "violated"]
    unknown = [one for one in of_them if one.guardrail is not None and one.guardrail.state == "not yet known"]
    said = ""
    if violated:
        told = ", ".join(
            f"{one.metric}{_whose(one, chosen)} got worse: {difference(one)}, with {part(one.guardrail.margin)} tolerable"
            for one in violated
            if one.guardrail is not None
        )
        said += f", but guardrail {told}"
    if unknown:
        told = " and ".join(
            f"{one.metric}{_whose(one, chosen)} stays within {part(one.guardrail.margin)}"
            for one in unknown
            if one.guardrail is not None
        )
        said += f"; whether {told} is not known yet"
    return f"{said}."


def _whose(one: Comparison, chosen: Sequence[Comparison]) -> str:
    return f" of {one.variant}" if len(chosen) > 1 else ""


def difference(one: Comparison) -> str:
    """A difference with its interval, relative to the control where it can be."""
    if one.relative is not None and one.relative_interval is not None:
        return f"{part(one.relative, signed=True)} {span(one.relative_interval, in_parts=True)}"
    if one.absolute is None:
        return "unknown"
    around = f" {span(one.interval, in_parts=False)}" if one.interval is not None else ""
    return f"{amount(one.absolute)}{around}"


def _gain(one: Comparison) -> float:
    return one.absolute or 0.0


def _round(units: float) -> int:
    """To two digits: it is a guess."""
    return int(float(f"{units:.2g}")) if units >= 10 else max(1, round(units))


def _days(days: float) -> str:
    if days < 1:
        return "less than a day"
    rounded = _round(days)
    return f"{rounded:,} day{'s' if rounded != 1 else ''} at the pace so far"
