"""A service under full load while its slots are moved ten times, in every way there is.

`wrk` asks as much as the service can answer; beside it a few callers compare every answer with what the release that it names would say.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic
from typing import Any

from app.store import Database, EventLog
from tests.app.process import irgan, serving
from tests.load.callers import Callers, Expected, Found, History
from tests.load.pressure import Pressure, is_there, pressing
from tests.load.stage import NUM_EVENTS, SLOTS, SlotName, Stage, make_questions

SWAPS = 10
"""In one round."""
_ROUND_SECONDS = 40.0
"""That a round takes, about, on two cores."""


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    found: Found
    pressure: Pressure | None
    """None where `wrk` is not installed."""
    swaps: int = 0
    followed: dict[str, list[float]] = field(default_factory=dict)
    """By the way in which a slot was moved, the seconds until every caller had been answered by the new release."""
    counted_swaps: int = 0
    """By the service's own metric."""
    lost_events: int = 0
    """Acknowledged, and not in the store afterwards."""
    stored_twice: int = 0
    problems: dict[str, float] = field(default_factory=dict)
    """By the service's own metric."""
    fallbacks: float = 0.0
    """Answers of the champion in a variant's place."""
    returncode: int | None = None
    log: str = ""
    """Lines of the service's log that are warnings or errors."""

    @property
    def requests(self) -> int:
        """Answered well."""
        return sum(self.found.answers.values()) + (
            0 if self.pressure is None else self.pressure.requests - self.pressure.status
        )

    @property
    def failed(self) -> int:
        """Requests that were not answered, or not well."""
        return len(self.found.failed) + (0 if self.pressure is None else self.pressure.failed)


def swap_under_load(
    folder: Path, *, seconds: float = _ROUND_SECONDS, num_items: int = 20_000, url: str | None = None
) -> Outcome:
    """Move slots round after round, ten times in each, under full load.

    Args:
        folder: an empty one.
        seconds: rounds begin within; one at least.
        num_items: of each bundle.
        url: of the store; by default a file of SQLite.
    """
    stage = Stage(folder, num_items=num_items, dim=64, num_users=min(2000, num_items))
    questions = make_questions(stage, 400)
    expected = Expected(questions, stage.releases(), {slot: stage.names(slot) for slot in SLOTS})
    url = url or f"sqlite:///{folder / 'irgan.db'}"
    log = folder / "service.log"
    with (
        log.open("w") as stderr,
        serving(stage.store.folder, stderr=stderr, IRGAN_STORE=url, **stage.environment) as (process, port),
    ):
        histories = {slot: History(stage.names(slot)[0]) for slot in SLOTS}
        play = _Play(stage, port, Callers(port, questions, expected, histories), histories)
        play.callers.start()
        try:
            for slot in SLOTS:
                play.callers.seconds_until(slot, stage.names(slot)[0])
            started = monotonic()
            with pressing(port, questions, folder) if is_there() else _alone() as pressure:
                while not play.swaps or monotonic() - started < seconds:
                    play.round(play.swaps // SWAPS)
        finally:
            found = play.callers.stop()
        metrics = _metrics(port)
        process.send_signal(signal.SIGTERM)
        returncode = process.wait(30)
    outcome = Outcome(found, pressure, play.swaps, play.followed, returncode=returncode)
    outcome.counted_swaps = int(metrics["irgan_release_swaps_total"]) - len(SLOTS)
    outcome.problems = {name: value for name, value in metrics.items() if name.startswith("irgan_problems_total") and value}
    outcome.fallbacks = sum(
        value for name, value in metrics.items() if name.startswith("irgan_fallbacks_total") and "champion" in name
    )
    outcome.log = "\n".join(
        line for line in log.read_text().splitlines() if " INFO " not in line and "there are no API keys" not in line
    )
    _count_events(url, outcome)
    return outcome


class _Play:
    def __init__(self, stage: Stage, port: int, callers: Callers, histories: dict[SlotName, History]) -> None:
        self.stage, self.callers = stage, callers
        self._port, self._histories = port, histories
        self.swaps = 0
        self.followed: dict[str, list[float]] = {}

    def round(self, number: int) -> None:
        """Ten moves, after which the slots are where they were."""
        v1, v2, v3, v4 = self.stage.names("champion")
        d1, d2, *_ = self.stage.names("search")
        r1, r2, *_ = self.stage.names("rerank")
        self._by_command("publish", self._bundle("champion", 1), "champion", v2)
        self._by_command("publish", self._bundle("search", 1), "search", d2)
        self._by_command("publish", self._bundle("rerank", 1), "rerank", r2)
        self.stage.store.publish(self._bundle("champion", 2), "challenger")
        self._over_http("promote", "champion", v3, {"release": "challenger"})
        self._over_http("rollback", "champion", v2, {})
        with self._experiment(f"leaving-{number}", {"control": v1, "treatment": v2}):
            # The challenger is what the slot leaves, so that from now on it must be held beside it.
            self._by_command("promote", v3, "champion", v3)
            self.callers.seconds_until_variants(["control", "treatment"])
            self._by_command("publish", self._bundle("champion", 3), "champion", v4)
            self.callers.seconds_until_variants(["control", "treatment"])
        self._over_http("rollback", "search", d1, {})
        self._over_http("promote", "rerank", r1, {"release": r1})
        self._by_command("rollback", None, "champion", v1, "--to", v1)
        assert self.swaps % SWAPS == 0

    def _bundle(self, slot: SlotName, number: int) -> Path:
        return self.stage.bundles[slot][number]

    def _by_command(self, command: str, what: str | Path | None, slot: SlotName, release: str, *options: str) -> None:
        option = "--to" if command == "promote" else "--slot"
        arguments = [command, *([] if what is None else [what]), option, slot, "--releases", self.stage.store.folder, *options]

        def move() -> None:
            done = irgan(*arguments)
            assert done.returncode == 0, done.stderr

        self._moved(f"irgan {command}", slot, release, move)

    def _over_http(self, action: str, slot: SlotName, release: str, body: dict[str, str]) -> None:
        self._moved(f"HTTP {action}", slot, release, lambda: self.ask("POST", f"/v1/releases/{slot}/{action}", body))

    def _moved(self, way: str, slot: SlotName, release: str, move: Callable[[], Any]) -> None:
        self._histories[slot].next(release)
        move()
        self.followed.setdefault(way, []).append(self.callers.seconds_until(slot, release))
        self.swaps += 1

    @contextmanager
    def _experiment(self, name: str, releases: dict[str, str]) -> Iterator[None]:
        """An experiment that half of the users take part in, so that the slot's own release goes on answering others."""
        variants = [{"name": variant, "release": release} for variant, release in releases.items()]
        self.callers.variants = releases
        self.ask("POST", "/v1/experiments", {"name": name, "traffic": 0.5, "variants": variants})
        self.ask("POST", f"/v1/experiments/{name}/start")
        self.callers.seconds_until_variants(list(releases))
        yield
        self.ask("POST", f"/v1/experiments/{name}/stop")

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Over a connection of its own."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {} if body is None else {"content-type": "application/json"})
            response = connection.getresponse()
            told = response.read()
        assert response.status in {200, 201}, told
        return json.loads(told)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    yield None


def _metrics(port: int) -> dict[str, float]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def _count_events(url: str, outcome: Outcome) -> None:
    database = Database(url)
    stored: Counter[str] = Counter()
    for events in EventLog(database).pages():
        stored.update(event.id for _, event in events)
    database.close()
    outcome.stored_twice = sum(count > 1 for count in stored.values())
    outcome.lost_events = sum(event not in stored for event in outcome.found.acknowledged)
    if outcome.pressure is not None:
        # What was sent last may be stored without having been acknowledged, but a request's events are all there or none.
        of_request = Counter(event.rpartition("-")[0] for event in stored if event.startswith("wrk-"))
        outcome.lost_events += sum(NUM_EVENTS - count for count in of_request.values())
        outcome.lost_events += max(0, outcome.pressure.acknowledged - of_request.total())
