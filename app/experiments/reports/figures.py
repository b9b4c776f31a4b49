"""What a report holds: values of JSON and nothing else, so that a page, a terminal and a program show the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["better", "worse", "no difference that matters", "undecided", "too early"]
Status = Literal["unusable", "too early", "better", "worse", "no difference that matters", "undecided"]
Role = Literal["primary", "secondary", "guardrail"]
State = Literal["good", "warning", "bad"]
Pair = list[float]
"""Low and high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A comparison as it was at one look.

    Attributes:
        time: when, ISO 8601.
        units: of both variants together.
        value: the difference.
        interval: of the confidence sequence.
        fixed: of the fixed horizon, for contrast.
    """

    time: str
    units: int
    value: float | None
    interval: Pair | None
    fixed: Pair | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What is known of a guardrail: `kept`, `violated`, `not yet known`; `margin` is what is tolerable, as a part of the control's value."""

    state: str
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A treatment against the control, on one metric.

    Attributes:
        metric: its name; `preference` where answers were mixed.
        role: primary, secondary, guardrail.
        variant: the treatment.
        control: the control.
        verdict: what can be said; in the metric's good direction.
        control_value, value: of the metric, after CUPED where there was a time before.
        absolute: value − control_value.
        interval: of it, from the confidence sequence: it holds however often one looks.
        relative, relative_interval: the same as parts of the control's value; None where that is not positive.
        p_value: always valid.
        p_holm: after Holm's correction, of secondary metrics over all of them and all treatments.
        level: of the intervals.
        fixed_interval, fixed_relative_interval, fixed_p_value: what holds for one look that was planned beforehand.
        variance_reduction: the part of the variance that CUPED took away; None without a time before.
        guardrail: of a guardrail.
        units_needed: more units, in all, until the minimum effect would probably be seen; None where that cannot be reckoned.
        problem: why nothing can be said yet.
        in_points: `relative` or `absolute`, what the points are.
        points: the comparison at each look.
    """

    metric: str
    role: Role
    variant: str
    control: str
    verdict: Verdict
    control_value: float | None
    value: float | None
    absolute: float | None
    interval: Pair | None
    relative: float | None
    relative_interval: Pair | None
    p_value: float
    p_holm: float | None = None
    level: float
    fixed_interval: Pair | None
    fixed_relative_interval: Pair | None
    fixed_p_value: float | None
    variance_reduction: float | None
    guardrail: Guarded | None = None
    units_needed: int | None = None
    problem: str | None
    in_points: Literal["relative", "absolute"]
    points: list[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFigures:
    """A metric of every variant, as it was seen: without CUPED.

    Attributes:
        name: its own.
        role: primary, secondary, guardrail.
        better: higher or lower.
        meaning: in words.
        values: by variant; None where there is nothing to divide by.
        errors: standard errors.
        totals: numerator and denominator over all units.
        comparisons: every treatment against the control.
    """

    name: str
    role: Role
    better: str
    meaning: str
    values: dict[str, float | None]
    errors: dict[str, float | None]
    totals: dict[str, Pair]
    comparisons: list[Comparison]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFigures:
    """A variant: what it is, how many saw it, how it did.

    Attributes:
        name: its own.
        release: NAME/VERSION that answers, or the definition's words before the start.
        ranker: what kind of ranker it is; None where unknown.
        is_control: whether the others are compared with it.
        share: of the units, planned.
        units: that take part.
        answers: that count.
        fallbacks: answers that another release gave because the variant's had failed.
        popular: answers from popularity, because nothing was known of who asked.
        median_milliseconds, slow_milliseconds: that answers took; the median, and what 95 of 100 stay below.
    """

    name: str
    release: str
    ranker: str | None
    is_control: bool
    share: float
    units: int
    answers: int
    fallbacks: int
    popular: int
    median_milliseconds: float | None
    slow_milliseconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatio:
    """Whether each variant got the units it should have.

    Attributes:
        observed, expected: units by variant.
        p_value: of this look; `always_valid_p_value` may be looked at whenever one likes.
        is_red: whether the figures must not be used.
    """

    observed: dict[str, int]
    expected: dict[str, float]
    p_value: float
    always_valid_p_value: float
    is_red: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that could be wrong with the experiment, and whether it is."""

    name: str
    state: State
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows.

    Attributes:
        status: what kind of decision.
        winner: the variant to take, if one is named.
        sentence: for people.
    """

    status: Status
    winner: str | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that was done to the experiment."""

    time: str
    action: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsPoint:
    """How many units each variant had at a time."""

    time: str
    units: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An experiment as it stands.

    Attributes:
        name, kind, surface, unit, state: of the experiment.
        started, ended: when, ISO 8601; `ended` is None while it runs.
        as_of: until when things count.
        decision: what follows.
        variants: the control first.
        metrics: the primary one first.
        sample_ratio: None where every unit sees all variants.
        checks: of its health.
        units: of each variant over time.
        definition: of the experiment.
        changes: what was done to it, oldest first.
    """

    name: str
    kind: str
    surface: str
    unit: str
    state: str
    started: str
    ended: str | None
    as_of: str
    decision: Decision
    variants: list[VariantFigures]
    metrics: list[MetricFigures]
    sample_ratio: SampleRatio | None
    checks: list[Check]
    units: list[UnitsPoint]
    definition: dict[str, Any]
    changes: list[Change] = field(default_factory=list)

    @property
    def primary(self) -> MetricFigures:
        """What decides."""
        return self.metrics[0]

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)
