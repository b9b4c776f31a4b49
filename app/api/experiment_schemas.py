"""What is said of experiments, as the OpenAPI document describes it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.api.schemas import Strict, some_of
from app.experiments.definition import Experiment
from app.store import State

DEFINITION: dict[str, Any] = {
    "name": "history-or-popular",
    "variants": [
        {"name": "control", "release": "champion"},
        {"name": "treatment", "release": "irgan-history/2026-11-25"},
    ],
    "unit": "user",
    "traffic": 0.5,
    "primary": "click-through",
    "secondary": ["conversion"],
    "guardrails": [{"metric": "latency", "margin": 0.1}],
    "minimum_effect": 0.05,
}


class Nothing(Strict):
    """An empty body, or a URL without parameters."""


class ExperimentChanges(Strict):
    """What is to be another from now on; what is not named stays."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"weights": {"treatment": 3}, "traffic": 0.8}],
            **some_of("weights", "traffic", "overrides"),
        }
    )

    weights: dict[str, Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]] | None = None
    """By variant. No more units change theirs than the shares differ by, and none of those that have seen one."""
    traffic: Annotated[float, Field(gt=0, le=1)] | None = None
    """The part of the layer's units that takes part."""
    overrides: dict[str, str | None] | None = None
    """By unit, the variant it sees whatever its assignment, or null to forget the unit; other units' overrides stay."""

    @model_validator(mode="after")
    def _changes_something(self) -> ExperimentChanges:
        if self.weights is None and self.traffic is None and self.overrides is None:
            raise ValueError("nothing is changed; give weights, traffic or overrides")
        return self


class Conclusion(Strict):
    """What an experiment ends with."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"winner": "treatment", "reason": "click-through is 7% higher, the guardrails hold"}]}
    )

    winner: str | None = None
    """A variant, or null where none won."""
    reason: str = Field(min_length=1, max_length=10_000)
    """Why, for whoever reads it later."""


class Outcome(BaseModel):
    """What an experiment ended with."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    winner: str | None
    reason: str
    time: datetime
    report: dict[str, Any] | None = None
    """What the report said then, without what changes over time; null where none could be made."""


class ExperimentState(BaseModel):
    """An experiment as it is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    state: State
    created: datetime
    started: datetime | None
    """For the first time."""
    ended: datetime | None
    """When it was stopped or concluded."""
    outcome: Outcome | None
    revision: int
    """Grows with every change."""
    releases: dict[str, str]
    """By variant, what ranks; empty before the first start."""
    shares: dict[str, float]
    """By variant, the part of the experiment's units; empty before the first start, and where every answer mixes all variants."""
    definition: Experiment


class ExperimentList(BaseModel):
    """All experiments, by name."""

    experiments: list[ExperimentState]
