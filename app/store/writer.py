"""One thread that writes what many requests want written, in as few transactions as there is time for."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from app.store.database import Database
from app.store.errors import StoreBusy, StoreUnusable

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_AT_ONCE = 100
"""Jobs in one transaction at most, so that nobody waits for long behind a crowd."""
_WAITING = 1000
"""Jobs that may wait; more are refused at once, since nobody would wait for their turn."""


class _Job(Generic[Result]):
    def __init__(self, work: Callable[[Connection], Result]) -> None:
        self.work = work
        self.future: Future[Result] = Future()
        self.result: Any = None


class Writer:
    """Groups writes: a job that comes while others are being written is written with all those that came meanwhile.

    A disk takes as long to make one transaction durable as a hundred jobs' worth of them, so each request waits for about two of these
    times, however many requests there are.

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

    def submit(self, work: Callable[[Connection], Result]) -> Future[Result]:
        """Have something written; it is durable when the future is done.

        Args:
            work: executes statements on the connection it is given; it may be called again where another job of the same transaction
                failed.

        Returns:
            What `work` returned, or the error that it, or the database, raised.

        Raises:
            StoreBusy: too much is waiting to be written.
        """
        job = _Job(work)
        with self._condition:
            if len(self._jobs) >= _WAITING:
                raise StoreBusy(f"{_WAITING} writes wait for the store already; try again in a moment")
            self._start()
            self._jobs.append(job)
            self._condition.notify()
        return job.future

    def soon(self, work: Callable[[Connection], Result]) -> Future[Result]:
        """Have something written with the next transaction, or after a moment; nobody waits for it."""
        job = _Job(work)
        with self._condition:
            self._start()
            if not self._soon:
                self._soon_at = monotonic() + self._linger
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
            self._write(jobs)

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
            jobs = [self._jobs.popleft() for _ in range(min(_AT_ONCE, len(self._jobs)))]
            jobs += self._soon
            self._soon = []
            return jobs

    def _write(self, jobs: list[_Job[Any]]) -> None:
        try:
            with self._database.begin() as connection:
                for job in jobs:
                    job.result = job.work(connection)
        except Exception as error:
            if len(jobs) == 1:
                if not isinstance(error, StoreUnusable):
                    logger.exception("a write failed")
                jobs[0].future.set_exception(error)
            else:  # one of them may be to blame, and the others must not suffer
                for job in jobs:
                    self._write([job])
        else:
            for job in jobs:
                job.future.set_result(job.result)
