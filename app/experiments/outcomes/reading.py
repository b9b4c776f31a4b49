"""From the store to columns: who took part, what was answered, what people did; names become row numbers on the way.

Shapes: N units, A answers, E events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, case, literal_column, null, or_, select, type_coerce

from app.experiments.definition import Experiment
from app.store.tables import ASSIGNMENTS, EVENTS, IMPRESSIONS

_ROWS = 10_000
"""Fetched at once: what is being fetched stands in memory as Python objects, what was fetched as numbers."""
FALLBACKS = ("champion", "popularity")
"""What may answer in place of a variant's release."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Period:
    """When things count, in microseconds since 1970.

    Attributes:
        before: from when on the time before the experiment is looked at.
        start: the experiment's.
        end: the experiment's, or now.
        last: until when an event counts that follows one of the experiment's answers; not before `end`.
    """

    before: int
    start: int
    end: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """Who takes part.

    Attributes:
        names: N ids.
        variant_N: row of the variant in the definition; -1 where the unit sees all of them mixed.
        propensity_N: the chance with which the unit got it.
        revision_N: of the allocation that assigned it.
        exposed_N: when it first got an answer of the experiment, microseconds.
    """

    names: pd.Index
    variant_N: np.ndarray
    propensity_N: np.ndarray
    revision_N: np.ndarray
    exposed_N: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What was answered: in the experiment, and on its surface in the time before.

    Attributes:
        names: A request ids.
        unit_A: row of the unit; -1 where it takes no part.
        time_A: microseconds.
        milliseconds_A: that the answer took.
        session_A: number of its session; -1 where there is none.
        is_before_A: whether it is of the time before.
        is_override_A: whether somebody chose the variant.
        variant_A: row of the variant that answered; -1 where there is none.
        fallback_A: row in `FALLBACKS`; -1 where the variant's own release answered.
        teams, items: of experiments that mix answers, A texts of what credits clicks, None where nothing was mixed, and of the items.
    """

    names: pd.Index
    unit_A: np.ndarray
    time_A: np.ndarray
    milliseconds_A: np.ndarray
    session_A: np.ndarray
    is_before_A: np.ndarray
    is_override_A: np.ndarray
    variant_A: np.ndarray
    fallback_A: np.ndarray
    teams: np.ndarray | None
    items: np.ndarray | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Events:
    """What people did, by when they did it.

    Attributes:
        types: names of the types that were looked for.
        type_E: row of the type.
        unit_E: row of the unit; -1 where it takes no part or nobody knows whose it is.
        is_lost_E: whether it says neither whose it is nor which answer it follows. One that follows an answer outside of the experiment,
            which need not be written down, says enough.
        time_E: microseconds.
        answer_E: row of the answer that it follows; -1 where it names none, -2 where it names one that is none of `Answers`.
        item_E, session_E: numbers of the item and of the session; -1 where there is none.
        value_E: NaN where there is none.
        items: names of the items by their numbers.
    """

    types: Sequence[str]
    type_E: np.ndarray
    unit_E: np.ndarray
    is_lost_E: np.ndarray
    time_E: np.ndarray
    answer_E: np.ndarray
    item_E: np.ndarray
    session_E: np.ndarray
    value_E: np.ndarray
    items: np.ndarray


def read_units(connection: Connection, experiment: Experiment, until: int) -> Units:
    """Everybody who was assigned by then; who has an override takes no part."""
    table = ASSIGNMENTS.c
    columns = (table.unit, table.variant, table.propensity, table.revision, _plain(table.time))
    found = _table(connection, select(*columns).where(table.experiment == experiment.name, table.time <= _bound(until)))
    names, variants, propensity_N, revision_N, exposed_N = found
    counts = ~pd.Series(names).isin(list(experiment.overrides)).to_numpy(dtype=bool)
    order = np.argsort(exposed_N[counts].astype(np.int64), kind="stable")
    kept = np.flatnonzero(counts)[order]
    return Units(
        names=pd.Index(names[kept], dtype=object),
        variant_N=_rows(pd.Index([variant.name for variant in experiment.variants], dtype=object), variants[kept]),
        propensity_N=propensity_N[kept].astype(np.float64),
        revision_N=revision_N[kept].astype(np.int64),
        exposed_N=exposed_N[kept].astype(np.int64),
    )


def read_answers(connection: Connection, experiment: Experiment, units: Units, period: Period) -> Answers:
    """The experiment's answers until its end, and those on its surface in the time before, whatever ranker made them."""
    table = IMPRESSIONS.c
    own = and_(table.experiment == experiment.name, _between(table.time, period.start, period.end))
    before = and_(table.surface == experiment.surface, _between(table.time, period.before, period.start - 1))
    asking = table.user if experiment.unit == "user" else table.session
    mixed: list[ColumnElement[Any]] = [table.teams, table["items"]] if experiment.kind == "interleaving" else []
    is_own = and_(table.experiment == experiment.name, table.time >= _bound(period.start))
    columns: list[ColumnElement[Any]] = [
        *(table.request_id, _plain(table.time), table.milliseconds, _sessions(experiment, table.session), table.is_override),
        _numbered(table.variant, [variant.name for variant in experiment.variants]),
        _numbered(table.fallback, FALLBACKS),
        *(case((is_own, table.unit), else_=asking), case((is_own, literal_column("1")), else_=literal_column("0")), *mixed),
    ]
    session_of = _Alike()
    parts: list[tuple[np.ndarray, ...]] = []
    for names, time, milliseconds, session, is_override, variant, fallback, asker, is_own_one, *texts in _parts(
        connection, select(*columns).where(or_(own, before))
    ):
        time_A, is_own_A = time.astype(np.int64), is_own_one.astype(bool)
        parts.append(
            (
                names,
                _rows(units.names, asker),
                time_A,
                milliseconds.astype(np.float64),
                session_of(session),
                ~is_own_A,
                is_own_A & is_override.astype(bool),
                variant.astype(np.int64),
                fallback.astype(np.int64),
                *texts,
            )
        )
    numbers, flags, objects = np.empty(0, np.int64), np.empty(0, bool), np.empty(0, object)
    empty = (objects, numbers, numbers, np.empty(0), objects, flags, flags, numbers, numbers, *[objects] * len(mixed))
    together = [np.concatenate(columns) for columns in zip(*(parts or [empty]), strict=True)]
    return Answers(
        names=pd.Index(together[0], dtype=object),
        unit_A=together[1],
        time_A=together[2],
        milliseconds_A=together[3],
        session_A=together[4],
        is_before_A=together[5],
        is_override_A=together[6],
        variant_A=together[7],
        fallback_A=together[8],
        teams=together[9] if mixed else None,
        items=together[10] if mixed else None,
    )


def read_events(
    connection: Connection, experiment: Experiment, units: Units, answers: Answers, *, types: Sequence[str], period: Period
) -> Events:
    """Events of some types from the time before on, until the last that can count."""
    table = EVENTS.c
    # Where a caller's clock is ahead, the time at which its event arrived is nearer to the truth.
    in_time = and_(
        table.time >= _bound(period.before), or_(table.time <= _bound(period.last), table.received <= _bound(period.last))
    )
    own = table.user if experiment.unit == "user" else table.session
    columns = (
        _numbered(table.type, types),
        _plain(table.time),
        _plain(table.received),
        own,
        table.request_id,
        table.item,
        _sessions(experiment, table.session),
        table.value,
    )
    wanted = select(*columns).where(table.type.in_(list(types)), in_time)
    item_of, session_of = _Alike(), _Alike()
    parts: list[tuple[np.ndarray, ...]] = []
    for kind, time, received, owner, request, item, session, value in _parts(connection, wanted):
        answer_E = np.where(_is_there(request), _rows(answers.names, request), -1)
        answer_E[(answer_E < 0) & _is_there(request)] = -2
        time_E = np.minimum(time.astype(np.int64), received.astype(np.int64))
        unit_E = _rows(units.names, owner)
        follows = answer_E >= 0
        has_owner = _is_there(owner)
        unit_E[follows & ~has_owner] = answers.unit_A[answer_E[follows & ~has_owner]]
        # Nobody can follow an answer before it was given, whatever the clocks say.
        time_E[follows] = np.maximum(time_E[follows], answers.time_A[answer_E[follows]])
        parts.append(
            (
                kind.astype(np.int64),
                time_E,
                unit_E,
                ~has_owner & (answer_E == -1),
                answer_E,
                item_of(item),
                session_of(session),
                value.astype(np.float64),
            )
        )
    empty = (*(np.empty(0, np.int64),) * 3, np.empty(0, bool), np.empty(0, np.int64), *(np.empty(0, object),) * 2, np.empty(0))
    type_E, time_E, unit_E, is_lost_E, answer_E, item, session, value_E = (
        np.concatenate(columns) for columns in zip(*(parts or [empty]), strict=True)
    )
    parts.clear()  # what they hold stands there a second time now
    item_E, items = pd.factorize(item)
    order = np.lexsort((unit_E, type_E, time_E))
    return Events(
        types=list(types),
        type_E=type_E[order],
        unit_E=unit_E[order],
        is_lost_E=is_lost_E[order],
        time_E=time_E[order],
        answer_E=answer_E[order],
        item_E=item_E[order].astype(np.int64),
        session_E=session[order],
        value_E=value_E[order],
        items=np.asarray(items, dtype=object),
    )


def number_sessions(answers_sessions: np.ndarray, events_sessions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same number for the same session in both; -1 where there is none."""
    numbers = pd.factorize(np.concatenate([answers_sessions, events_sessions]))[0].astype(np.int64)
    return numbers[: len(answers_sessions)], numbers[len(answers_sessions) :]


def _plain(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A time as the number that is kept."""
    return type_coerce(column, BigInteger)


def _numbered(column: ColumnElement[Any], names: Sequence[str]) -> ColumnElement[Any]:
    """Where a column's text stands among some names, -1 where it does not: the driver would make an object of each row's."""
    places: dict[str, ColumnElement[Any]] = {name: literal_column(str(place)) for place, name in enumerate(names)}
    return case(places, value=column, else_=literal_column("-1")) if places else literal_column("-1")


def _sessions(experiment: Experiment, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The sessions, where a metric of the experiment asks for them; they take a fifth of the time of reading."""
    return column if any(metric.per == "session" for metric in experiment.metrics) else null()


def _bound(microseconds: int) -> Any:
    """A number to compare a time with."""
    return type_coerce(microseconds, BigInteger)


def _between(column: ColumnElement[Any], first: int, last: int) -> ColumnElement[bool]:
    return and_(column >= _bound(first), column <= _bound(last))


def _parts(connection: Connection, wanted: Select[Any]) -> Iterator[list[np.ndarray]]:
    """Columns of some thousand rows at a time, as objects."""
    found = connection.execute(wanted)
    cursor: Any = found.cursor  # the driver's own: SQLAlchemy's rows would take twice as long again
    while rows := cursor.fetchmany(_ROWS):
        columns = []
        for values in zip(*rows, strict=True):
            column = np.empty(len(values), dtype=object)
            column[:] = values
            columns.append(column)
        yield columns
    found.close()


def _table(connection: Connection, wanted: Select[Any]) -> list[np.ndarray]:
    parts = list(_parts(connection, wanted))
    if not parts:
        return [np.empty(0, dtype=object) for _ in wanted.selected_columns]
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


class _Alike:
    """Lets equal texts be one object, part after part: the driver makes a new one of each, and many rows name few items."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def __call__(self, texts: np.ndarray) -> np.ndarray:
        known = self._known
        same = np.empty(len(texts), dtype=object)
        same[:] = [known.setdefault(text, text) for text in texts]
        return same


def _rows(index: pd.Index, names: np.ndarray) -> np.ndarray:
    """Where names stand in an index, -1 where they don't."""
    rows: np.ndarray = index.get_indexer(pd.Index(names, dtype=object)).astype(np.int64)
    return rows


def _is_there(values: np.ndarray) -> np.ndarray:
    return ~pd.isna(values)
