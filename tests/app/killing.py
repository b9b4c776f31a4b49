"""The service under load, killed at random moments: what became of the events that it was sent."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from app.store import Database, EventLog
from tests.app.process import serving

CALLERS, BATCH = 6, 50
LONGEST = 0.5
"""Seconds that the service lives at most once the first events were acknowledged."""


@dataclass(slots=True)
class Outcome:
    """What was counted after the last kill."""

    kills: int = 0
    acknowledged: int = 0
    """Events of requests that were answered with 200."""
    stored: int = 0
    lost: int = 0
    """Acknowledged, and not in the store."""
    twice: int = 0
    """More than once in the store."""
    damaged: int = 0
    """In the store, but not as they were sent."""
    retried: int = 0
    """Events of requests that a kill cut off, which were all sent again."""
    were_stored: int = 0
    """Of these, those that had been stored: the service was killed between the two."""
    missing: int = 0
    """Of these, those that were not in the store once that had been acknowledged."""
    unsure: int = 0
    """Sent, but neither acknowledged nor sent again since the last kill."""


@dataclass(slots=True)
class _Caller:
    """Sends batch after batch over one connection; what was not acknowledged is sent again to the next service."""

    name: str
    number: int = 0
    pending: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    were_stored: int = 0
    errors: list[Exception] = field(default_factory=list)

    def call(self, port: int, first: threading.Event) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            while True:
                again = bool(self.pending)
                if not again:
                    self.pending = [f"{self.name}-{self.number}-{place}" for place in range(BATCH)]
                    self.number += 1
                connection.request(
                    "POST",
                    "/v1/events",
                    json.dumps({"events": list(map(_event, self.pending))}),
                    {"content-type": "application/json"},
                )
                answer = connection.getresponse()
                told = json.loads(answer.read())
                assert answer.status == 200, told
                assert told["accepted"] + len(told["duplicates"]) == BATCH
                if again:
                    self.retried += self.pending
                    self.were_stored += len(told["duplicates"])
                else:
                    assert told["duplicates"] == []
                self.acknowledged += self.pending
                self.pending = []
                first.set()
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            pass  # killed
        except Exception as error:
            self.errors.append(error)
        finally:
            connection.close()


def _event(name: str) -> dict[str, object]:
    return {"id": name, "type": "click", "user": f"u{name}", "item": "i", "time": "2026-11-25T10:15:00Z", "value": len(name)}


def kill_under_load(url: str, folder: Path, kills: int, *, seed: int = 0) -> Outcome:
    """Start the service, let several callers send events, kill it at a random moment; and so on.

    Args:
        url: the store.
        folder: an empty one, for the releases.
        kills: how many.
        seed: of the moments.
    """
    rng = random.Random(seed)
    (folder / "releases").mkdir()
    callers = [_Caller(f"{seed}-{number}") for number in range(CALLERS)]
    for _ in range(kills):
        with serving(folder / "releases", IRGAN_STORE=url) as (process, port):
            first = threading.Event()
            threads = [threading.Thread(target=caller.call, args=(port, first)) for caller in callers]
            for thread in threads:
                thread.start()
            assert first.wait(60), "nothing was acknowledged"
            sleep(rng.uniform(0, LONGEST))
            process.kill()
            for thread in threads:
                thread.join()
        for caller in callers:
            for error in caller.errors:
                raise error
    return _counted(url, callers, kills)


def _counted(url: str, callers: list[_Caller], kills: int) -> Outcome:
    database = Database(url)
    found: Counter[str] = Counter()
    damaged = 0
    for events in EventLog(database).pages():
        found.update(event.id for _, event in events)
        damaged += sum(event.user != f"u{event.id}" or event.value != len(event.id) for _, event in events)
    database.close()
    acknowledged = [name for caller in callers for name in caller.acknowledged]
    retried = [name for caller in callers for name in caller.retried]
    return Outcome(
        kills=kills,
        acknowledged=len(acknowledged),
        stored=found.total(),
        lost=sum(name not in found for name in acknowledged),
        twice=sum(count > 1 for count in found.values()),
        damaged=damaged,
        retried=len(retried),
        were_stored=sum(caller.were_stored for caller in callers),
        missing=sum(found[name] != 1 for name in retried),
        unsure=sum(len(caller.pending) for caller in callers),
    )
