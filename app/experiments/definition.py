"""What an experiment is: which rankers, for whom, and by what it is judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.experiments.metrics import METRICS, Metric, NamedMetric
from app.numbers import whole

Kind = Literal["ab", "interleaving", "bandit"]
"""Each unit sees one ranker; each answer mixes all rankers; or each unit sees one, and the better ones get more units."""
Surface = Literal["recommendations", "similar", "search", "rerank"]
"""Which questions it is about."""
Unit = Literal["user", "session"]
Interleaver = Literal["team-draft", "balanced", "optimised"]

MOST_VARIANTS = 20
INTERLEAVED = "interleaved"
"""What the variant of an answer is called that mixes all of them."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Variant(_Frozen):
    """One of the rankers."""

    name: Name
    """How answers and reports call it."""
    release: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}(/[a-z0-9][a-z0-9._-]{0,99})?$")
    """A published release NAME/VERSION, or a slot, of which the release at the start counts."""
    weight: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False)
    """Its part of the experiment's units, relative to the others'."""


class Guardrail(_Frozen):
    """A metric that must not get worse."""

    metric: NamedMetric
    """What is watched."""
    margin: float = Field(default=0.01, ge=0, lt=1)
    """How much worse than the control is tolerable, as a part of the control's value."""


class Bandit(_Frozen):
    """How traffic moves to the better variants."""

    floor: float = Field(default=0.05, gt=0, lt=0.5)
    """The smallest part of the units that a variant keeps."""
    minutes: float = Field(default=60.0, ge=0.05, le=10_080)
    """Between two reallocations."""


class Experiment(_Frozen):
    """A comparison of rankers on live traffic."""

    name: Name
    kind: Kind = "ab"
    """Whether each unit sees one ranker (`ab`, `bandit`) or all of them mixed (`interleaving`)."""
    surface: Surface = "recommendations"
    """Which questions it is about."""
    variants: list[Variant] = Field(min_length=2, max_length=MOST_VARIANTS)
    """The first is the control."""
    unit: Unit = "user"
    """What is assigned: a user, or a session (requests then name one)."""
    traffic: float = Field(default=1.0, gt=0, le=1)
    """The part of the units that takes part."""
    layer: Name | None = None
    """Experiments of one layer never share a unit; by default the surface is the layer, for an answer can have but one ranking."""
    salt: str | None = Field(default=None, min_length=1, max_length=100)
    """What makes the assignment independent of other experiments'; by default the name."""
    primary: NamedMetric = METRICS["click-through"]
    """What decides."""
    secondary: list[NamedMetric] = Field(default=[], max_length=20)
    """What is reported as well."""
    guardrails: list[Guardrail] = Field(default=[], max_length=20)
    """What must not get worse."""
    minimum_effect: float = Field(default=0.02, gt=0, lt=10)
    """The smallest difference worth knowing of, as a part of the control's value; what the sample size is planned for."""
    level: float = Field(default=0.95, ge=0.5, lt=1)
    """Of the intervals; 1 minus it is the chance of calling a difference that is not there."""
    power: float = Field(default=0.8, gt=0, lt=1)
    """The chance of finding the minimum effect, if it is there, with the planned number of units."""
    planned_units: Annotated[int, Field(ge=100, le=10**10), BeforeValidator(whole)] | None = None
    """Units, of all variants together, at which the always-valid intervals are narrowest; `irgan experiment plan` names the number. It is
    fixed with the definition: choosing it by the figures would make them dishonest. By default 10,000, where answers are mixed 1,000."""
    interleaver: Interleaver = "team-draft"
    """How answers are mixed, where they are; more than two rankers take `team-draft`."""
    bandit: Bandit = Bandit()
    """For the kind `bandit`."""
    overrides: dict[str, str] = Field(default={}, max_length=10_000)
    """Units that see a variant whatever their assignment, for trying it; their answers and events do not count."""

    @model_validator(mode="after")
    def _fits_together(self) -> Experiment:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError(f"variants need names of their own; found {', '.join(names)}")
        least = min(self.variants, key=lambda variant: variant.weight)
        if least.weight * 1e6 < sum(variant.weight for variant in self.variants):
            raise ValueError(f"the weight of {least.name} gives it less than one unit in a million; leave it out")
        wrong = sorted({variant for variant in self.overrides.values() if variant not in names})
        if wrong:
            raise ValueError(f"overrides name {', '.join(wrong)}; the variants are {', '.join(names)}")
        metrics = [metric.name for metric in self.metrics]
        if len(set(metrics)) < len(metrics):
            raise ValueError(f"each metric can stand once among primary, secondary and guardrails; found {', '.join(metrics)}")
        if self.kind == "interleaving" and INTERLEAVED in names:
            raise ValueError(f"no variant can be called {INTERLEAVED}: so the answers are called that mix all of them")
        if self.kind == "interleaving" and self.metrics != [METRICS["click-through"]]:
            raise ValueError(
                "mixed answers are judged by the preference that clicks show; leave out primary, secondary and guardrails"
            )
        if self.kind == "interleaving" and self.surface == "similar":
            raise ValueError("interleaving mixes recommendations, search or rerank; found the surface similar")
        if self.kind == "interleaving" and len(names) > 2 and self.interleaver != "team-draft":
            raise ValueError(f"{self.interleaver} mixes two rankers; for {len(names)} take team-draft")
        if self.kind == "bandit" and self.bandit.floor * len(names) > 1:
            raise ValueError(f"a floor of {self.bandit.floor:g} for each of {len(names)} variants is more than there is")
        return self

    @property
    def planned_units_of_two(self) -> int | None:
        """Of the planned units those of the control and one treatment, reckoned as if all variants were equally large."""
        return None if self.planned_units is None else max(100, 2 * self.planned_units // len(self.variants))

    @property
    def control(self) -> Variant:
        """What the others are compared with."""
        return self.variants[0]

    @property
    def metrics(self) -> list[Metric]:
        """All of them: the primary one, the secondary ones, the guardrails'."""
        return [self.primary, *self.secondary, *(guardrail.metric for guardrail in self.guardrails)]

    @property
    def in_layer(self) -> str:
        """The layer it is in."""
        return self.layer or self.surface
