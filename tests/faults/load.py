"""Clients that go on whatever happens, and remember what they were told: which events were acknowledged, and what else was answered."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, sleep

from sqlalchemy import select

from app.store import Database, EventLog
from app.store.tables import IMPRESSIONS

BATCH = 20
BODIES = {
    "/v1/search": '{"query": "item", "k": 3}',
    "/v1/recommendations": '{"requests": [{"user": "u1", "k": 3}, {"user": "u2", "k": 3}]}',
}
"""Of questions that are sent with one."""
WAIT_SECONDS = 0.02
"""Between two attempts of one client, as one would that heeds a Retry-After, but shorter."""


@dataclass(slots=True)
class Load:
    """What clients were told, all together.

    Attributes:
        port: of the service.
        acknowledged: ids of the events of requests that were answered with 200.
        given: ids of the answers to questions.
        statuses: how often each status was answered, by path; 0 where the connection was cut off.
        wrong: whatever should not have been: an answer without what it must have, or another answer to the same question.
        unsure: ids of events that were sent and not acknowledged.
    """

    port: int
    acknowledged: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)
    is_over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ranked: dict[str, object] = field(default_factory=dict)

    def count(self, path: str, status: int) -> int:
        """How often a path was answered so."""
        return self.statuses[path, status]

    def more(self, path: str, status: int, number: int = 3, *, seconds: float = 30) -> None:
        """Wait until a path was answered so many times more in this way."""
        wanted, until = self.count(path, status) + number, monotonic() + seconds
        while self.count(path, status) < wanted:
            assert monotonic() < until, (
                f"{path} is not answered with {status} any more: {dict(self.statuses)}, {self.wrong[:3]}"
            )
            sleep(0.01)

    def send_events(self, name: str) -> None:
        """Batch after batch; one that is not acknowledged is sent again."""
        number, pending = 0, []
        for connection in self._connections():
            if not pending:
                pending = [f"{name}-{number}-{place}" for place in range(BATCH)]
                number += 1
                self.unsure.update(pending)
            body = json.dumps({"events": [{"id": one, "type": "click", "item": "i1", "user": one} for one in pending]})
            answer = self._asked(connection, "/v1/events", body)
            if answer is None:
                continue
            status, told = answer
            if status == 200:
                if told["accepted"] + len(told["duplicates"]) != BATCH or told["rejected"]:
                    self.wrong.append(f"events: {told}")
                with self._lock:
                    self.acknowledged += pending
                    self.unsure.difference_update(pending)
                pending = []

    def ask(self, path: str) -> None:
        """The same question again and again, whose answer never changes."""
        for connection in self._connections():
            answer = self._asked(connection, path, BODIES.get(path))
            if answer is None:
                continue
            status, told = answer
            if status == 200 and "items" in told:
                with self._lock:
                    self.given.append(told["request_id"])
                    if told["items"] != self._ranked.setdefault(path, told["items"]):
                        self.wrong.append(f"{path}: {told}")

    def change_items(self, item: str) -> None:
        """The same item again and again."""
        for connection in self._connections():
            self._asked(connection, f"/v1/items/{item}", '{"title": "changed"}', "PUT")

    def _connections(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.is_over.is_set():
            yield connection
            self.is_over.wait(WAIT_SECONDS)
        connection.close()

    def _asked(
        self, connection: http.client.HTTPConnection, path: str, body: str | None = None, method: str = "POST"
    ) -> tuple[int, dict[str, object]] | None:
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            connection.request("GET" if body is None else method, path, body, headers)
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
            told = json.loads(content)
        except (OSError, http.client.HTTPException):
            connection.close()
            with self._lock:
                self.statuses[path, 0] += 1
            return None
        except Exception as error:
            self.wrong.append(f"{path}: {error!r}")
            return None
        if status == 503 and not answer.headers["retry-after"]:
            self.wrong.append(f"{path}: 503 without Retry-After")
        if status >= 400 and answer.headers["content-type"] != "application/problem+json":
            self.wrong.append(f"{path}: {status} {content!r}")
        with self._lock:
            self.statuses[path, status] += 1
        return status, told


@contextmanager
def under_load(
    port: int, paths: Sequence[str] = ("/v1/recommendations/u1?k=5", "/health/ready"), *, senders: int = 3, changers: int = 0
) -> Iterator[Load]:
    """Several clients at once, until the block ends; then nothing may have been wrong."""
    load = Load(port)
    threads = [threading.Thread(target=load.send_events, args=(f"s{number}",), daemon=True) for number in range(senders)]
    threads += [threading.Thread(target=load.ask, args=(path,), daemon=True) for path in paths]
    threads += [threading.Thread(target=load.change_items, args=(f"c{number}",), daemon=True) for number in range(changers)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.is_over.set()
        for thread in threads:
            thread.join(70)
    assert not any(thread.is_alive() for thread in threads), "a request was never answered"
    assert load.wrong == []


@dataclass(slots=True)
class Kept:
    """What a store has of what clients were told.

    Attributes:
        acknowledged: events of requests that were answered with 200.
        lost: of these, those that are not there.
        twice: events that are there more than once.
        unasked: events that are there and that nobody sent.
        shown: answers that were written down.
        shown_twice: of these, those more than once.
        shown_lost: answers given that were not written down.
    """

    acknowledged: int
    lost: int
    twice: int
    unasked: int
    shown: int
    shown_twice: int
    shown_lost: int


def kept(url: str, load: Load, others: str | None = None) -> Kept:
    """Compare a store with what clients were told.

    Args:
        url: the store.
        load: the clients.
        others: how the ids of events begin that somebody else sent.
    """
    database = Database(url)
    found: Counter[str] = Counter()
    for events in EventLog(database).pages():
        found.update(event.id for _, event in events)
    with database.read() as connection:
        shown = Counter(connection.execute(select(IMPRESSIONS.c.request_id)).scalars())
    database.close()
    return Kept(
        acknowledged=len(load.acknowledged),
        lost=sum(one not in found for one in load.acknowledged),
        twice=sum(count > 1 for count in found.values()),
        unasked=sum(
            others is None or not one.startswith(others) for one in found.keys() - set(load.acknowledged) - load.unsure
        ),
        shown=len(shown),
        shown_twice=sum(count > 1 for count in shown.values()),
        shown_lost=len(set(load.given) - shown.keys()),
    )


def assert_kept(url: str, load: Load, *, all_shown: bool = False, others: str | None = None) -> None:
    """Nothing acknowledged is lost, and nothing is there twice."""
    told = kept(url, load, others)
    assert told.acknowledged > 0
    assert (told.lost, told.twice, told.unasked, told.shown_twice) == (0, 0, 0, 0)
    if all_shown:
        assert told.shown_lost == 0 and told.shown >= len(load.given)
