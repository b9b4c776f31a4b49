"""Small stores in which every figure can be counted by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import insert, update

from app.experiments.definition import Experiment
from app.store import Database, Event, ExperimentRecord, ExperimentRecords, Impression, insert_events, insert_impressions
from app.store.tables import EXPERIMENTS

START = datetime(2026, 11, 1, tzinfo=UTC)
"""Of every made-up experiment; times are hours after it."""


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def definition(**changes: Any) -> Experiment:
    """Variants `a` and `b` of one release each, by click-through."""
    given: dict[str, Any] = {
        "name": "test",
        "variants": [{"name": "a", "release": "popularity/v1"}, {"name": "b", "release": "irgan/v1"}],
    }
    return Experiment.model_validate(given | changes)


@dataclass
class Story:
    """What happened in an experiment, to be written into a store."""

    experiment: Experiment = field(default_factory=definition)
    ended: float | None = 48.0
    impressions: list[Impression] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def answer(self, unit: str, variant: str | None, hours: float, **changes: Any) -> str:
        """The service answered; gives the request id. Without a variant it is no part of the experiment."""
        name = changes.pop("request_id", f"r{len(self.impressions)}")
        fields: dict[str, Any] = {
            "request_id": name,
            "time": at(hours),
            "surface": self.experiment.surface,
            "user": unit if self.experiment.unit == "user" else None,
            "session": unit if self.experiment.unit == "session" else None,
            "release": "popularity/v1" if variant == "a" else "irgan/v1",
            "milliseconds": 2.0,
            "items": "[]",
        }
        if variant is not None:
            fields |= {"experiment": self.experiment.name, "unit": unit, "variant": variant, "propensity": 0.5, "revision": 2}
        self.impressions.append(Impression(**(fields | changes)))
        return name

    def event(self, type: str, hours: float, **fields: Any) -> None:  # noqa: A002 - as the event calls it
        """Somebody did something."""
        self.events.append(Event(id=fields.pop("id", f"e{len(self.events)}"), type=type, time=at(hours), **fields))

    def click(self, request_id: str, hours: float, item: str = "i", **fields: Any) -> None:
        """Somebody clicked on an answer; whose it is, the answer knows."""
        self.event("click", hours, request_id=request_id, item=item, **fields)

    def write(self, database: Database, events: Sequence[Event] | None = None) -> ExperimentRecord:
        """Have it all stored, the events in the order given."""
        with database.begin() as connection:
            keep(connection, self.experiment, ended=self.ended)
            insert_impressions(connection, self.impressions)
            insert_events(connection, self.events if events is None else events)
        record = ExperimentRecords(database).get(self.experiment.name)
        assert record is not None
        return record


def keep(connection: Any, experiment: Experiment, *, ended: float | None, changed: Mapping[str, Any] | None = None) -> None:
    """Store an experiment that started at `START`, and has ended unless `ended` is None."""
    row = {
        "name": experiment.name,
        "definition": experiment.model_dump_json(),
        "state": "running" if ended is None else "stopped",
        "created": at(-1),
        "started": START,
        "ended": None if ended is None else at(ended),
        "outcome": None,
        "revision": 2,
    }
    connection.execute(insert(EXPERIMENTS), [row])
    if changed:
        connection.execute(update(EXPERIMENTS).values(**changed))


def teams(kept: Mapping[str, Any]) -> str:
    return orjson.dumps(kept).decode()
