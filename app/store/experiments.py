"""Experiments as they are kept: definitions, states, allocations, and who changed what when."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from app.store.database import Database
from app.store.errors import NameTaken
from app.store.tables import ALLOCATIONS, ASSIGNMENTS, EXPERIMENT_CHANGES, EXPERIMENTS, IMPRESSIONS

State = Literal["draft", "running", "stopped", "concluded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRecord:
    """An experiment as it is kept.

    Attributes:
        name: its own.
        definition: JSON of `app.experiments.Experiment`.
        state: draft, running, stopped, concluded.
        created, started, ended: when; started for the first time, ended for the last.
        outcome: JSON of what was concluded.
        revision: grows with every change.
        allocated_in: the revision of the allocation in force, or of the last that was; 0 before the first start.
        allocation: that allocation, JSON: which positions of the hash belong to which variant.
    """

    name: str
    definition: str
    state: State
    created: datetime
    started: datetime | None
    ended: datetime | None
    outcome: str | None
    revision: int
    allocated_in: int
    allocation: str | None


@dataclass(frozen=True, slots=True)
class ExperimentChange:
    """Something that happened to an experiment."""

    number: int
    experiment: str
    time: datetime
    action: str
    detail: Mapping[str, Any]


class ExperimentRecords:
    """All experiments; every change is one transaction.

    Args:
        database: where they are kept.
        by: who changes them, for the history; None where nobody in particular does.
    """

    def __init__(self, database: Database, *, by: str | None = None) -> None:
        self.database = database
        self._by = by

    def last_change(self) -> int:
        """The number of the last change, 0 before the first: whoever follows the experiments reads them again when it has grown."""
        if not self.database.is_there:
            return 0
        with self.database.read() as connection:
            return connection.execute(select(func.max(EXPERIMENT_CHANGES.c.number))).scalar() or 0

    def all(self) -> list[ExperimentRecord]:
        """All of them, by name."""
        if not self.database.is_there:
            return []
        with self.database.read() as connection:
            return _records(connection)

    def changed_since(self, number: int) -> list[ExperimentRecord]:
        """Those that have changes with a greater number, by name, as they are now."""
        if not self.database.is_there:
            return []
        table = EXPERIMENT_CHANGES.c
        changed = EXPERIMENTS.c.name.in_(select(table.experiment).where(table.number > number))
        with self.database.read() as connection:
            return _records(connection, changed)

    def get(self, name: str) -> ExperimentRecord | None:
        """One of them."""
        if "\x00" in name or not self.database.is_there:  # PostgreSQL would take no such text to look for
            return None
        with self.database.read() as connection:
            found = _records(connection, EXPERIMENTS.c.name == name)
        return found[0] if found else None

    def allocations(self, name: str) -> dict[int, str]:
        """All that one has ever had, JSON by revision, oldest first."""
        if not self.database.is_there:
            return {}
        table = ALLOCATIONS.c
        wanted = select(table.revision, table.content).where(table.experiment == name).order_by(table.revision)
        with self.database.read() as connection:
            return {row.revision: row.content for row in connection.execute(wanted)}

    def changes(self, name: str) -> list[ExperimentChange]:
        """What happened to one, oldest first."""
        if not self.database.is_there:
            return []
        table = EXPERIMENT_CHANGES.c
        wanted = select(EXPERIMENT_CHANGES).where(table.experiment == name).order_by(table.number)
        with self.database.read() as connection:
            found = connection.execute(wanted).all()
        return [ExperimentChange(row.number, row.experiment, row.time, row.action, orjson.loads(row.detail)) for row in found]

    def allocated_at(self, name: str) -> datetime | None:
        """When the allocation in force was made, or was last found to be right as it is; None before the first start.

        Raises:
            StoreUnusable: it cannot be read.
        """
        if not self.database.is_there:
            return None
        changes = EXPERIMENT_CHANGES.c
        is_own = (changes.experiment == name) & (changes.action == "reallocate")
        made = select(func.max(ALLOCATIONS.c.time)).where(ALLOCATIONS.c.experiment == name)
        with self.database.read() as connection:
            times = [connection.execute(wanted).scalar() for wanted in (made, select(func.max(changes.time)).where(is_own))]
        return max((time for time in times if time is not None), default=None)

    @contextmanager
    def exposures(
        self, name: str, *, variants: Collection[str], before: int, since: int | None = None
    ) -> Iterator[tuple[int, Iterator[tuple[str, str, float, int]]]]:
        """Unit, variant, propensity and revision of those who took part before an allocation; from one state of the store.

        Args:
            name: of the experiment.
            variants: that the units have seen.
            before: the revision of that allocation.
            since: leaves out who was there when it was given.

        Returns:
            A number that tells what is there now, for `since`; and the exposures.

        Raises:
            StoreUnusable: they cannot be read.
        """
        table, shown = ASSIGNMENTS.c, IMPRESSIONS.c
        wanted = select(table.unit, table.variant, table.propensity, table.revision)
        wanted = wanted.where(table.experiment == name, table.revision < before, table.variant.in_(list(variants)))
        if since is not None:
            # Who is assigned has an impression of the same transaction. What is new of these SQLite finds by its number, unless it could go
            # by the experiment, of which there is more.
            is_own = func.coalesce(shown.experiment, "") == name
            wanted = wanted.where(table.unit.in_(select(shown.unit).where(shown.number > since, is_own)))
        with self.database.read() as connection:
            last: int = connection.execute(select(func.max(shown.number))).scalar() or 0
            found = connection.execution_options(yield_per=1000).execute(wanted)
            yield last, iter(found)

    def create(self, connection: Connection, name: str, definition: str) -> None:
        """Add a draft.

        Raises:
            NameTaken: there is an experiment by that name.
        """
        if _records(connection, EXPERIMENTS.c.name == name):
            raise NameTaken(f"there is an experiment {name!r} already; choose another name")
        now = datetime.now(UTC)
        row = {"name": name, "definition": definition, "state": "draft", "created": now, "revision": 1}
        connection.execute(insert(EXPERIMENTS), [row])
        self._note(connection, name, now, "create", {})

    def change(
        self,
        connection: Connection,
        record: ExperimentRecord,
        action: str,
        *,
        allocation: str | None = None,
        detail: Mapping[str, Any] | None = None,
        **changed: Any,
    ) -> None:
        """Change columns of an experiment that was read in the same transaction.

        Args:
            connection: of a transaction that writes; `in_transaction` reads with it.
            record: as it is.
            action: for the history, a word.
            allocation: the new one, JSON, under the new revision.
            detail: for the history.
            changed: by column.
        """
        now, revision = datetime.now(UTC), record.revision + 1
        statement = update(EXPERIMENTS).where(EXPERIMENTS.c.name == record.name).values(revision=revision, **changed)
        connection.execute(statement)
        if allocation is not None:
            row = {"experiment": record.name, "revision": revision, "time": now, "content": allocation}
            connection.execute(insert(ALLOCATIONS), [row])
        self._note(connection, record.name, now, action, detail or {})

    def _note(self, connection: Connection, name: str, time: datetime, action: str, detail: Mapping[str, Any]) -> None:
        told = dict(detail) if self._by is None else {**detail, "by": self._by}
        row = {"experiment": name, "time": time, "action": action, "detail": orjson.dumps(told).decode()}
        connection.execute(insert(EXPERIMENT_CHANGES), [row])

    @staticmethod
    def in_transaction(connection: Connection, *states: State, name: str | None = None) -> list[ExperimentRecord]:
        """Those in one of these states, and the one by the name, as a transaction sees them."""
        return _records(connection, or_(EXPERIMENTS.c.state.in_(states), EXPERIMENTS.c.name == name))


def _records(connection: Connection, which: ColumnElement[bool] | None = None) -> list[ExperimentRecord]:
    others = ALLOCATIONS.alias()
    last = (
        select(func.max(others.c.revision))
        .where(others.c.experiment == EXPERIMENTS.c.name)
        .correlate(EXPERIMENTS)
        .scalar_subquery()
    )
    own = and_(ALLOCATIONS.c.experiment == EXPERIMENTS.c.name, ALLOCATIONS.c.revision == last)
    allocated_in = func.coalesce(ALLOCATIONS.c.revision, 0).label("allocated_in")
    wanted = select(EXPERIMENTS, allocated_in, ALLOCATIONS.c.content.label("allocation"))
    wanted = wanted.select_from(EXPERIMENTS.outerjoin(ALLOCATIONS, own)).order_by(EXPERIMENTS.c.name)
    found = connection.execute(wanted if which is None else wanted.where(which))
    return [ExperimentRecord(**row._mapping) for row in found]
