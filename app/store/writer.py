"""One thread that writes what many requests want written, in as few transactions as there is time for."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic, perf_counter
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from app.errors import ServiceError
from app.store.database import Database
from app.store.errors import StoreBusy, StoreUnusable
from app.telemetry import current, span

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_AT_ONCE = 2000
"""Rows in one transaction, or few more, so that nobody waits for long behind a crowd."""
_WAITING = 20_000
"""Rows that may wait: seconds of work. More are refused at once, since nobody would wait for their turn."""


class _Job(Generic[Result]):
    def __init__(self, work: Callable[[Connection], Result], size: int) -> None:
        self.work = work
        self.size = size
        self.asked_by = current()
        self.future: Future[Result] = Future()
        self.result: Any = None


class Writer:
    """Groups writes: a job that comes while others are being written is written with all those that came meanwhile.

    A disk takes as long to make one transaction durable as a hundred jobs' worth of them, so each request waits for about two of these
    times, however many requests there are. The thread begins with the first job.

    Args:
        database: what to write to.
        linger: how long, in seconds, what is handed to `soon` may wait for company.
    """

    def __init__(self, database: Database, *, linger: float = 0.1) -> None:
        self._database = database
        self._linger = linger
        self._jobs: deque[_Job[Any]] = deque()
        self._soon: list[_Job[Any]] = []
        self._soon_at = 0.0
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.is_failing = False
        """Whether the store could not be written when it was tried last."""
        self.num_waiting = 0
        """Rows that wait for their turn."""
        self.num_transactions = 0
        """Transactions that ended well."""
        self.num_failures = 0
        """Transactions that did not."""
        self.seconds = 0.0
        """That those which ended well took, all together."""

    def submit(self, work: Callable[[Connection], Result], *, size: int = 1) -> Future[Result]:
        """Have something written; it is durable when the future is done.

        Args:
            work: executes statements on the connection it is given; it may be called again where another job of the same transaction
                failed. It is not called at all where the future is cancelled before its turn.
            size: how many rows it writes, about.

        Returns:
            What `work` returned, or the error that it, or the database, raised.

        Raises:
            StoreBusy: too much is waiting to be written, or the writer is closed.
        """
        job = _Job(work, size)
        with self._condition:
            if self.num_waiting and self.num_waiting + size > _WAITING:
                raise StoreBusy(f"{self.num_waiting} rows wait for the store already; try again in a moment")
            self._start()
            self._jobs.append(job)
            self.num_waiting += size
            self._condition.notify()
        return job.future

    def soon(self, work: Callable[[Connection], Result], *, within: float | None = None) -> Future[Result]:
        """Have something written with the next transaction, or after a moment; nobody waits for it.

        Args:
            work: as of `submit`.
            within: that moment, in seconds, if another than the writer's.

        Raises:
            StoreBusy: the writer is closed.
        """
        job = _Job(work, 0)
        due = monotonic() + (self._linger if within is None else within)
        with self._condition:
            self._start()
            if not self._soon or due < self._soon_at:
                self._soon_at = due
                self._condition.notify()
            self._soon.append(job)
        return job.future

    def close(self) -> None:
        """Write what is waiting, then end; nothing can be submitted any more."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        if self._is_closed:
            raise StoreBusy("the service is ending; send this again to the next one")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while jobs := self._next():
            # Whoever gave up waiting cancelled; from here on nobody can.
            self._write([job for job in jobs if job.future.set_running_or_notify_cancel()])

    def _next(self) -> list[_Job[Any]]:
        """The jobs of the next transaction; none when there is nothing left to do, ever."""
        with self._condition:
            while not self._jobs and not self._is_closed:
                wait = None
                if self._soon:
                    wait = self._soon_at - monotonic()
                    if wait <= 0:
                        break
                self._condition.wait(wait)
            jobs, self._soon = self._soon, []
            size = 0
            while self._jobs and size < _AT_ONCE:
                job = self._jobs.popleft()
                size += job.size
                jobs.append(job)
            self.num_waiting -= size
            return jobs

    def _write(self, jobs: list[_Job[Any]]) -> None:
        """Write jobs, all in one transaction but those that fail."""
        while jobs:
            job = None
            started = perf_counter()
            try:
                links = [job.asked_by for job in jobs]
                with span("store transaction", links=links, jobs=len(jobs)), self._database.begin() as connection:
                    for job in jobs:
                        job.result = job.work(connection)
                    job = None
            except BaseException as error:  # the thread must go on, whatever it was
                # Where the store itself fails, it fails for all. A job that fails must not harm the others.
                failed = jobs if job is None else [job]
                jobs = [one for one in jobs if one not in failed]
                self.num_failures += 1
                self._tell(error)
                for one in failed:
                    one.future.set_exception(error)
            else:
                self.num_transactions += 1
                self.seconds += perf_counter() - started
                if self.is_failing:
                    self.is_failing = False
                    logger.info("the store can be written again")
                for one in jobs:
                    one.future.set_result(one.result)
                return

    def _tell(self, error: BaseException) -> None:
        """Say once what is wrong, not at each of the attempts that follow."""
        if isinstance(error, StoreUnusable):
            if not self.is_failing:
                logger.warning("the store cannot be written: %s", error)
            self.is_failing = True
        elif not isinstance(error, ServiceError):
            logger.error("a write failed", exc_info=error)
