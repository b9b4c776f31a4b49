"""What the service answered, and which units have seen which variant."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError

from app.store.bulk import BulkInsert
from app.store.errors import StoreBusy, StoreUnusable
from app.store.tables import ASSIGNMENTS, ID_LENGTH, IMPRESSIONS, microseconds
from app.store.writer import Writer

logger = logging.getLogger(__name__)

_AT_ONCE = 1000
"""Impressions in one transaction at most."""
_KEPT = 64 * 2**20
"""Characters of impressions that are kept while the store cannot be written; beyond, the oldest are given up."""
_BESIDE_ITEMS = 500
"""Characters of an impression beside its items and teams, about."""
_RETRY_SECONDS = 1.0
_KNOWN = 200_000
"""Units that are remembered to have an assignment in the store, at most: asking the store for each of them costs more than their answers."""


@dataclass(slots=True, kw_only=True)
class Impression:
    """An answer that was given. It is not changed; what keeps others from being changed would cost each answer a microsecond.

    Attributes:
        request_id: of the answer.
        time: when.
        surface: which kind of question.
        user, session: who asked, where known.
        experiment: that it is part of, if any; of the others below, what the answer has in it.
        unit: the user or session that was assigned.
        variant: what the unit was assigned to.
        propensity: the chance with which it would be assigned so now. Of a unit that keeps a variant which it got when shares were others, it
            may be another than the chance that it had; that one stands with its assignment.
        is_override: whether somebody chose the variant, so that nothing of it counts.
        revision: of the allocation that assigned.
        release: what really answered.
        fallback: `champion` where the variant's release failed, `popularity` where nothing was known to rank by.
        milliseconds: that the answer took; of one among several questions, its part of their time.
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


class ImpressionLog:
    """Writes impressions a moment after they were given, many at once: no answer waits for it.

    The first impression of a unit in an experiment is its exposure, and written down as its assignment too. What cannot be written is kept
    and tried again, until it is too much.

    Args:
        writer: what writes.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._waiting: deque[Impression] = deque()
        self._size = 0
        self._at_once = _AT_ONCE
        self._is_asked = False
        self._known: set[tuple[str, str]] = set()
        self._num_recorded = 0
        self._watched: list[Impression] | None = None
        self.num_waiting = 0
        """Impressions that are not yet written."""
        self.num_lost = 0
        """Impressions given up."""

    def record(self, impression: Impression) -> None:
        """Have it written soon."""
        with self._lock:
            self._waiting.append(impression)
            if self._watched is not None:
                self._watched.append(impression)
            self._num_recorded += 1
            self.num_waiting += 1
            self._size += _size(impression)
            while self._size > _KEPT and self._waiting:
                self._forget([self._waiting.popleft()])
                self.num_lost += 1
            asked, self._is_asked = self._is_asked, True
        if not asked:
            self._ask()

    @contextmanager
    def watching(self) -> Iterator[Sequence[Impression]]:
        """What is recorded meanwhile, as it comes; one may watch at a time."""
        seen: list[Impression] = []
        self._watched = seen
        try:
            yield seen
        finally:
            self._watched = None

    def flush(self) -> None:
        """Have what waits written, and return when it is, whatever is recorded meanwhile.

        Raises:
            StoreUnusable: it cannot be.
        """
        recorded = self._num_recorded
        while self._num_recorded - self.num_waiting < recorded:
            attempt = _Attempt(self, is_asked=False)
            # Of no size, so that it has its turn however much waits: at the end there is no other.
            self._writer.submit(attempt.write, size=0).add_done_callback(attempt.end)
            attempt.has_ended.wait()
            if isinstance(attempt.error, StoreUnusable) and not _is_refusal(attempt.error):
                raise attempt.error

    def close(self) -> None:
        """Have what waits written, or give it up where that fails; before the writer is closed."""
        try:
            self.flush()
        except StoreUnusable as error:
            with self._lock:
                lost = list(self._waiting)
                self._waiting.clear()
                self._forget(lost)
                self.num_lost += len(lost)
            logger.error("%d impressions are lost: %s", len(lost), error)

    def take(self) -> list[Impression]:
        """Those that are to be written next; `give_back` tells what became of them."""
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(self._at_once, len(self._waiting)))]

    @property
    def known(self) -> Set[tuple[str, str]]:
        """Experiments and units whose assignments are in the store."""
        return self._known

    def remember(self, assigned: Set[tuple[str, str]]) -> None:
        """Know of more of them."""
        if len(self._known) > _KNOWN:
            self._known.clear()
        self._known |= assigned

    def give_back(self, taken: list[Impression], error: BaseException | None, *, was_asked: bool) -> None:
        """Forget what was written, and keep what was not.

        Where the database refuses the rows themselves, smaller and smaller parts are tried, so that the one that is to blame goes alone.
        """
        refused = error is not None and _is_refusal(error)
        with self._lock:
            if error is None:
                self._forget(taken)
                self._at_once = min(_AT_ONCE, 2 * self._at_once)
            elif refused and len(taken) == 1:
                self._forget(taken)
                self.num_lost += 1
                logger.error("an impression cannot be written and is lost: %s", error)
            else:
                self._waiting.extendleft(reversed(taken))
                if refused:
                    self._at_once = max(1, len(taken) // 2)
            if was_asked:
                self._is_asked = False
            ask = bool(self._waiting) and not self._is_asked
            self._is_asked |= ask
            within = 0.0 if len(self._waiting) >= self._at_once else None
        if ask:
            self._ask(within=within if error is None or refused else _RETRY_SECONDS)

    def _ask(self, *, within: float | None = None) -> None:
        attempt = _Attempt(self, is_asked=True)
        try:
            self._writer.soon(attempt.write, within=within).add_done_callback(attempt.end)
        except StoreBusy:  # the service is ending, and `close` has the last word
            self._is_asked = False

    def _forget(self, impressions: Sequence[Impression]) -> None:
        self.num_waiting -= len(impressions)
        self._size -= sum(map(_size, impressions))


class _Attempt:
    """Writes some of what waits, and the same again where it is called again."""

    def __init__(self, log: ImpressionLog, *, is_asked: bool) -> None:
        self._log = log
        self._is_asked = is_asked
        self._taken: list[Impression] = []
        self._assigned: Set[tuple[str, str]] = frozenset()
        self.has_ended = threading.Event()
        self.error: BaseException | None = None

    def write(self, connection: Connection) -> None:
        if not self._taken:
            self._taken = self._log.take()
        self._assigned = insert_impressions(connection, self._taken, self._log.known)

    def end(self, done: Future[None]) -> None:
        self.error = done.exception()
        if self.error is None:
            self._log.remember(self._assigned)
        self._log.give_back(self._taken, self.error, was_asked=self._is_asked)
        self.has_ended.set()


def _is_refusal(error: BaseException) -> bool:
    """Whether it is the rows that cannot be written, not the store that cannot be written to."""
    cause = error.__cause__
    if isinstance(cause, InterfaceError):
        return not cause.connection_invalidated
    return isinstance(cause, DataError | IntegrityError) or not isinstance(error, StoreUnusable)


def _size(impression: Impression) -> int:
    return len(impression.items) + len(impression.teams or "") + _BESIDE_ITEMS


_insert = BulkInsert(IMPRESSIONS, [field for field in Impression.__dataclass_fields__ if field != "revision"])
_insert_assignments = BulkInsert(ASSIGNMENTS, ["experiment", "unit", "variant", "propensity", "revision", "time"])


def insert_impressions(
    connection: Connection, impressions: Sequence[Impression], known: Set[tuple[str, str]] = frozenset()
) -> Set[tuple[str, str]]:
    """Write impressions down, and the assignments that they are the first of.

    Args:
        connection: of a transaction that writes.
        impressions: in their order.
        known: experiments and units whose assignments are there.

    Returns:
        Experiments and units whose assignments are there now, the known ones left out.
    """
    rows = []
    firsts: dict[tuple[str, str], tuple[Any, ...]] = {}
    for one in impressions:
        time, user, session, unit = microseconds(one.time), _text(one.user), _text(one.session), _text(one.unit)
        rows.append(
            (
                one.request_id,
                time,
                one.surface,
                user,
                session,
                one.experiment,
                unit,
                one.variant,
                one.propensity,
                one.is_override,
                one.release,
                one.fallback,
                one.milliseconds,
                one.items,
                one.teams,
            )
        )
        if one.experiment is not None and unit is not None and not one.is_override:
            key = one.experiment, unit
            if key not in known and key not in firsts:
                firsts[key] = (*key, one.variant, one.propensity, one.revision, time)
    _insert(connection, rows)
    _insert_assignments(connection, list(firsts.values()))
    return firsts.keys()


def _text(text: str | None) -> str | None:
    """An id as it can be stored: whatever somebody puts into a path must not keep others' impressions from being written."""
    if text is None or (len(text) <= ID_LENGTH and "\x00" not in text):
        return text
    return text.replace("\x00", "\ufffd")[:ID_LENGTH]
