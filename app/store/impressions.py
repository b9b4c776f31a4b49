"""What the service answered, and which units have seen which variant."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.dialects import postgresql, sqlite

from app.store.tables import ASSIGNMENTS, IMPRESSIONS
from app.store.writer import Writer

logger = logging.getLogger(__name__)

_KEPT = 100_000
"""Impressions kept while the store cannot be written; beyond, the oldest are given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impression:
    """An answer that was given.

    Attributes:
        request_id: of the answer.
        time: when.
        surface: which kind of question.
        user, session: who asked, where known.
        experiment: that it is part of, if any; of the others below, what the answer has in it.
        unit: the user or session that was assigned.
        variant: what the unit was assigned to.
        propensity: the chance with which it was.
        is_override: whether somebody chose the variant, so that nothing of it counts.
        revision: of the allocation that assigned.
        release: what really answered.
        fallback: `champion` where the variant's release failed, `popularity` where nothing was known to rank by.
        milliseconds: that the answer took.
        items: JSON list of their ids, best first.
        teams: JSON of what credits clicks, where answers were mixed.
    """

    request_id: str
    time: datetime
    surface: str
    user: str | None
    session: str | None
    experiment: str | None = None
    unit: str | None = None
    variant: str | None = None
    propensity: float | None = None
    is_override: bool = False
    revision: int | None = None
    release: str
    fallback: str | None = None
    milliseconds: float
    items: str
    teams: str | None = None


_FIELDS = tuple(field for field in Impression.__dataclass_fields__ if field != "revision")


class ImpressionLog:
    """Writes impressions a moment after they were given, many at once: no answer waits for it.

    The first impression of a unit in an experiment is its exposure, and written down as its assignment too.

    Args:
        writer: what writes.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: list[Impression] = []
        self._lock = threading.Lock()
        self._is_asked = False
        self.num_lost = 0

    def record(self, impression: Impression) -> None:
        """Have it written soon."""
        with self._lock:
            self._waiting.append(impression)
            asked, self._is_asked = self._is_asked, True
        if not asked:
            self._writer.soon(self._write_waiting).add_done_callback(self._seen)

    def flush(self) -> None:
        """Have what waits written, and return when it is.

        Raises:
            StoreUnusable: it cannot be.
        """
        self._writer.submit(self._write_waiting).result()

    def _write_waiting(self, connection: Connection) -> list[Impression]:
        with self._lock:
            taken, self._waiting, self._is_asked = self._waiting, [], False
        try:
            insert_impressions(connection, taken)
        except BaseException:
            with self._lock:
                self._waiting[:0] = taken
            raise
        return taken

    def _seen(self, done: Future[list[Impression]]) -> None:
        """What could not be written is tried again with the next impression; when too much waits, the oldest go."""
        error = done.exception()
        if error is None:
            return
        with self._lock:
            self._is_asked = False
            beyond = len(self._waiting) - _KEPT
            if beyond > 0:
                del self._waiting[:beyond]
                self.num_lost += beyond
        logger.warning("impressions wait to be written: %s", error)


def insert_impressions(connection: Connection, impressions: Sequence[Impression]) -> None:
    """Write impressions down, and the assignments that they are the first of."""
    if not impressions:
        return
    rows: list[dict[str, Any]] = [{field: getattr(one, field) for field in _FIELDS} for one in impressions]
    connection.execute(insert(IMPRESSIONS), rows)
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for one in impressions:
        if one.experiment is not None and one.unit is not None and not one.is_override:
            row = {field: getattr(one, field) for field in ("experiment", "unit", "variant", "propensity", "revision", "time")}
            first.setdefault((one.experiment, one.unit), row)
    if first:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(ASSIGNMENTS).on_conflict_do_nothing(), list(first.values()))
