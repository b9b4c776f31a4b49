"""An experiment as the store has it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from app.experiments.assignment import Allocation
from app.experiments.definition import Experiment
from app.store import ExperimentRecord, State


@dataclass(frozen=True)
class KeptExperiment:
    """What the store says of one, understood.

    Attributes:
        record: of the store.
    """

    record: ExperimentRecord

    @property
    def name(self) -> str:
        """Its own."""
        return self.record.name

    @property
    def state(self) -> State:
        """Draft, running, stopped or concluded."""
        return self.record.state

    @cached_property
    def definition(self) -> Experiment:
        """What it is."""
        return Experiment.model_validate_json(self.record.definition)

    @property
    def allocated_in(self) -> int:
        """The revision of the allocation in force, 0 before the first start."""
        return self.record.allocated_in

    @cached_property
    def allocation(self) -> Allocation | None:
        """Who sees what, now or when it was last running; None before the first start."""
        return None if self.record.allocation is None else Allocation.from_json(self.record.allocation)

    def as_json(self) -> dict[str, Any]:
        """All there is to know, as JSON values."""
        record, allocation = self.record, self.allocation
        return {
            "name": record.name,
            "state": record.state,
            "created": record.created.isoformat(),
            "started": None if record.started is None else record.started.isoformat(),
            "ended": None if record.ended is None else record.ended.isoformat(),
            "outcome": None if record.outcome is None else orjson.loads(record.outcome),
            "revision": record.revision,
            "releases": {} if allocation is None else dict(allocation.releases),
            "shares": {} if allocation is None else allocation.shares,
            "definition": self.definition.model_dump(mode="json"),
        }
