"""What can be measured of a variant: a number per unit, or a ratio of two, from impressions and events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Of = Literal["count", "any", "value"]
"""How many there were; 1 if there was any; or the sum of their values."""
Per = Literal["unit", "impression", "event", "session"]
"""What a metric is a mean over. Everything but `unit` makes it a ratio, analysed with units all the same."""


class Metric(BaseModel):
    """A number that experiments are judged by.

    The mean over units of what each has, or, per anything else than a unit, the quotient of two sums: over an event's own kind for
    `event` (the mean rating), over answers for `impression` (click-through), over a unit's distinct sessions for `session`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,49}$")
    """How reports call it."""
    event: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$")
    """The type of the events that are counted; `impression` stands for the service's own answers, whose value is their time in milliseconds."""
    of: Of = "count"
    """How many, whether any, or the sum of their values."""
    per: Per = "unit"
    """What it is a mean over."""
    better: Literal["higher", "lower"] = "higher"
    """Which direction is good."""

    @property
    def is_ratio(self) -> bool:
        """Whether its denominator differs between units."""
        return self.per != "unit"

    @property
    def is_binary(self) -> bool:
        """Whether every unit has 0 or 1."""
        return self.of == "any" and self.per == "unit"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="click-through", event="click", of="count", per="impression"),
        Metric(name="conversion", event="conversion", of="any", per="unit"),
        Metric(name="mean-rating", event="rating", of="value", per="event"),
        Metric(name="session-value", event="conversion", of="value", per="session"),
        Metric(name="latency", event="impression", of="value", per="impression", better="lower"),
    )
}
"""Those that can be named without saying what they are."""


def _named(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in METRICS:
        raise ValueError(
            f"no metric {value!r} by that name; there are {', '.join(METRICS)}, or describe one: name, event, of, per, better"
        )
    return METRICS[value]


_AsGiven = Annotated[str, Field(json_schema_extra={"enum": list(METRICS)})] | Metric

NamedMetric = Annotated[Metric, BeforeValidator(_named, json_schema_input_type=_AsGiven)]
"""A metric by its name, or described."""
