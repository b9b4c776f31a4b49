"""What people did: impressions, clicks, ratings, conversions and whatever else a product reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from app.store.bulk import BulkInsert
from app.store.database import Database
from app.store.tables import EVENTS, microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that somebody did.

    Attributes:
        id: the caller's; of two events with one id the first counts.
        type: `click`, `rating`, `conversion`, … in lower case.
        time: when it happened, with its time zone.
        user, session: whose it is, where known.
        item: what it is about.
        request_id: of the answer that it follows.
        value: a rating, an amount, a duration.
        position: of the item in what was shown, from 1.
        properties: JSON text of anything else.
    """

    id: str
    type: str
    time: datetime
    user: str | None = None
    session: str | None = None
    item: str | None = None
    request_id: str | None = None
    value: float | None = None
    position: int | None = None
    properties: str | None = None


_FIELDS = tuple(Event.__dataclass_fields__)
_insert = BulkInsert(EVENTS, ["received", *_FIELDS], key="id")


def insert_events(connection: Connection, events: Sequence[Event]) -> list[str]:
    """Write down the events that are new, in their order.

    Returns:
        The ids of the others, which are there already or stand earlier in `events`.
    """
    received = microseconds(datetime.now(UTC))
    rows: dict[str, tuple[Any, ...]] = {}
    for event in events:
        if event.id not in rows:
            rows[event.id] = (
                received,
                event.id,
                event.type,
                microseconds(event.time),
                event.user,
                event.session,
                event.item,
                event.request_id,
                event.value,
                event.position,
                event.properties,
            )
    there = _insert(connection, list(rows.values()))
    if not there and len(rows) == len(events):
        return []
    new = rows.keys() - there
    duplicates = []
    for event in events:
        if event.id in new:
            new.remove(event.id)
        else:
            duplicates.append(event.id)
    return duplicates


class EventLog:
    """All events, read in the order in which they were written.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, number: int, *, limit: int = 100_000) -> Iterator[tuple[int, Event]]:
        """The events with a greater number, in their order; none is missed by asking on from the last number.

        Args:
            number: 0 for all.
            limit: how many at most.

        Raises:
            StoreUnusable: they cannot be read.
        """
        if not self._database.is_there:
            return
        columns = [EVENTS.c.number, *(EVENTS.c[field] for field in _FIELDS)]
        wanted = select(*columns).where(EVENTS.c.number > number).order_by(EVENTS.c.number).limit(limit)
        with self._database.read() as connection:
            found = connection.execute(wanted).all()
        for row in found:
            yield row[0], Event(**dict(zip(_FIELDS, row[1:], strict=True)))

    def pages(self, number: int = 0, *, limit: int = 100_000) -> Iterator[list[tuple[int, Event]]]:
        """The same to the last, so many at a time: no page is empty, and memory holds one.

        Args:
            number: 0 for all.
            limit: how many events a page has at most.

        Raises:
            StoreUnusable: they cannot be read.
        """
        while page := list(self.since(number, limit=limit)):
            yield page
            number = page[-1][0]
