"""What becomes of the service's memory under full load, while everything that can change does.

`python -m tests.bench.soak [--minutes 30] [--json]`: `wrk` asks as much as the service can answer; every half minute each slot gets another
release, items are changed and deleted, an experiment is started, moved, reported on and stopped. `memory` and `swaps` are parts of the page
of results.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np

from tests.app.process import serving
from tests.load.pressure import CONNECTIONS, Pressure, pressing
from tests.load.stage import SLOTS, VERSIONS, Stage, make_questions

MINUTES, NUM_ITEMS, DIM, NUM_USERS = 30.0, 20_000, 64, 2000
FIRST_SECONDS = 60.0
"""What grows until then is what a service needs."""
WINDOW_CYCLES = VERSIONS
"""Growth is from the mean over so many cycles after that to the mean over the last so many: how many releases are in memory at once differs
from cycle to cycle, and is the same again after these."""
TARGET_GROWTH = 0.05
_CYCLE_SECONDS = 30.0
_SAMPLE_SECONDS = 2.0
_NUM_CHANGED = 200
"""Items that are put, deleted and put again."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment; sizes in MiB.

    Attributes:
        seconds: since the load began.
        cycle: of changes.
        resident: all that is in memory, files that are mapped included.
        own: of it, what no file holds.
        descriptors, threads: open and alive.
        store: the store's files, the write-ahead log apart.
        log: the write-ahead log.
    """

    seconds: float
    cycle: int
    resident: float
    own: float
    descriptors: int
    threads: int
    store: float
    log: float


class Watch:
    """Samples a process every few seconds.

    Args:
        process: its id.
        changes: that are made meanwhile.
        store: its SQLite file.
    """

    def __init__(self, process: int, changes: Changes, store: Path) -> None:
        self._process = process
        self._changes = changes
        self._store = store
        self._started = monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples: list[Sample] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While the block runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_SAMPLE_SECONDS):
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        folder = Path(f"/proc/{self._process}")
        sizes = {
            name: int(size) / 1024
            for name, size in re.findall(r"^(\w+): +(\d+) kB", (folder / "smaps_rollup").read_text(), flags=re.MULTILINE)
        }
        log = self._store.with_name(f"{self._store.name}-wal")
        return Sample(
            seconds=monotonic() - self._started,
            cycle=self._changes.cycles,
            resident=sizes["Rss"],
            own=sizes["Anonymous"],
            descriptors=len(list((folder / "fd").iterdir())),
            threads=len(list((folder / "task").iterdir())),
            store=self._store.stat().st_size / 2**20 if self._store.exists() else 0.0,
            log=log.stat().st_size / 2**20 if log.exists() else 0.0,
        )


class Changes:
    """Everything that can change in a running service, once a cycle."""

    def __init__(self, stage: Stage, port: int) -> None:
        self._stage = stage
        self._port = port
        self.cycles = 0

    def cycle(self) -> None:
        """Each slot another release, items changed and deleted, an experiment from its start to its report and its end."""
        ends = monotonic() + _CYCLE_SECONDS
        self.cycles += 1
        for slot in SLOTS:
            self._stage.store.publish(self._stage.bundles[slot][self.cycles % VERSIONS], slot)
        for start in range(0, _NUM_CHANGED, 20):
            items = [
                {
                    "id": f"new{number}",
                    "title": f"New {number}",
                    "text": f"glacier cave {self.cycles}",
                    "metadata": {"year": 2000},
                }
                for number in range(start, start + 20)
            ]
            self.ask("PUT", "/v1/items", {"items": items})
        self.ask("DELETE", "/v1/items", {"ids": [f"new{number}" for number in range(0, _NUM_CHANGED, 4)]})
        self._experiment(ends)
        for path in ("/metrics", "/v1/releases", "/v1/experiments", "/health/ready"):
            self.ask("GET", path)
        sleep(max(0.0, ends - monotonic()))

    def _experiment(self, ends: float) -> None:
        names = self._stage.names("champion")
        if self.cycles == 1:
            variants = [
                {"name": name, "release": release} for name, release in zip(("control", "treatment"), names, strict=False)
            ]
            self.ask("POST", "/v1/experiments", {"name": "soak", "traffic": 0.5, "variants": variants})
        self.ask("POST", "/v1/experiments/soak/start")
        sleep(max(0.0, (ends - monotonic()) / 2))
        self.ask("PATCH", "/v1/experiments/soak", {"weights": {"control": 1.0, "treatment": 1.0 + self.cycles % 2}})
        self.ask("GET", "/v1/experiments/soak/report")
        self.ask("GET", "/v1/experiments/soak/report?format=html")
        self.ask("POST", "/v1/experiments/soak/stop")

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Over a connection of its own; it must be answered well."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=120)) as connection:
            connection.request(
                method, path, None if body is None else json.dumps(body), {"content-type": "application/json"} if body else {}
            )
            response = connection.getresponse()
            told = response.read()
        assert response.status in {200, 201}, (method, path, told)


@dataclass(slots=True)
class Soaked:
    """What came of it."""

    samples: list[Sample]
    pressure: Pressure
    cycles: int

    def growth(self, field: str) -> dict[str, float]:
        """What a size was after the first minute and at the end, the difference as a part, and its slope an hour after the first minute."""
        late = [sample for sample in self.samples if sample.seconds >= FIRST_SECONDS]
        first, last = late[0].cycle + 1, late[-1].cycle
        before = _mean(late, field, range(first, first + WINDOW_CYCLES))
        after = _mean(late, field, range(last - WINDOW_CYCLES + 1, last + 1))
        hours, sizes = [sample.seconds / 3600 for sample in late], [float(getattr(sample, field)) for sample in late]
        return {"before": before, "after": after, "growth": after / before - 1, "slope": float(np.polyfit(hours, sizes, 1)[0])}


def _mean(samples: Sequence[Sample], field: str, cycles: range) -> float:
    """Over all samples of some cycles, each cycle weighing the same."""
    return statistics.fmean(
        statistics.fmean(float(getattr(sample, field)) for sample in samples if sample.cycle == cycle) for cycle in cycles
    )


def soak(folder: Path, *, minutes: float = MINUTES, num_items: int = NUM_ITEMS, **environment: str) -> Soaked:
    """The service under load for so long.

    Args:
        folder: an empty one.
        minutes: of load.
        num_items: of each bundle.
        environment: of the service, besides.
    """
    stage = Stage(folder, num_items=num_items, dim=DIM, num_users=min(NUM_USERS, num_items))
    questions = make_questions(stage, 2000)
    with serving(stage.store.folder, **stage.environment, **environment) as (process, port):
        changes = Changes(stage, port)
        watch = Watch(process.pid, changes, folder / "irgan.db")
        started = monotonic()
        with watch.watching(), pressing(port, questions, folder) as pressure:
            while monotonic() - started < minutes * 60:
                changes.cycle()
    return Soaked(watch.samples, pressure, changes.cycles)


def memory() -> str:
    """Memory under load, as a part of the page of results."""
    from tests.bench.trained import table  # noqa: PLC0415 - brings training with it

    with tempfile.TemporaryDirectory() as folder:
        soaked = soak(Path(folder))
    shown = {
        "resident": "resident, MiB",
        "own": "of it in no file, MiB",
        "descriptors": "file descriptors",
        "threads": "threads",
    }
    rows = []
    for field, name in shown.items():
        one = soaked.growth(field)
        rows.append([name, f"{one['before']:.0f}", f"{one['after']:.0f}", f"{one['growth']:+.1%}", f"{one['slope']:+.1f}"])
    last = soaked.samples[-1]
    load = soaked.pressure
    told = (
        f"{load.requests:,} requests over {CONNECTIONS} connections in {load.seconds / 60:.0f} minutes, {load.failed} of them failed: "
        f"recommendations, similar items, searches, candidates to rerank, batches, events, in part of users never seen before; three slots, "
        f"bundles of {NUM_ITEMS:,} items or documents × {DIM} dimensions, seeds 0 to 3. Every {_CYCLE_SECONDS:.0f} seconds each slot got "
        f"another release, {_NUM_CHANGED} items were changed and a quarter of them deleted, and an experiment was started, moved, reported on "
        f"and stopped: {soaked.cycles} times. The store grew to {last.store:,.0f} MiB, its write-ahead log took {last.log:.0f} MiB. "
        f"Means over the {WINDOW_CYCLES} cycles that began after the first minute and over the last {WINDOW_CYCLES}, in which each release had its turn; slope by least "
        "squares after the first minute."
    )
    return "\n".join([told, "", *table(["what", "after the first minute", "at the end", "growth", "slope, an hour"], rows)])


def swaps() -> str:
    """Failed requests over ten swaps, as a part of the page of results."""
    from tests.bench.trained import table  # noqa: PLC0415 - brings training with it
    from tests.load.swaps import swap_under_load  # noqa: PLC0415 - only here

    with tempfile.TemporaryDirectory() as folder:
        outcome = swap_under_load(Path(folder), seconds=1, num_items=NUM_ITEMS)
    found, load = outcome.found, outcome.pressure
    assert load is not None
    rows = [
        ["moves of a slot", str(outcome.swaps)],
        ["requests answered", f"{outcome.requests:,}"],
        ["requests that failed", str(outcome.failed)],
        ["answers compared with what their release says", f"{sum(found.answers.values()):,}"],
        ["of them wrong", str(len(found.wrong))],
        ["events acknowledged", f"{len(found.acknowledged) + load.acknowledged:,}"],
        ["of them lost", str(outcome.lost_events)],
        ["variants' answers that the champion gave", f"{outcome.fallbacks:.0f}"],
    ]
    told = (
        f"`wrk` over {CONNECTIONS} connections ({load.requests / load.seconds:,.0f} requests/s, p50 {load.p50:.1f} ms, p99 {load.p99:.1f} ms), and two callers who compare every "
        f"answer; slots of recommenders, of searches and of rankers of candidates moved by publish, promote and rollback, by command and over "
        f"HTTP, an experiment among it whose challenger the slot leaves; bundles of {NUM_ITEMS:,} items × {DIM} dimensions, seeds 0 to 3."
    )
    return "\n".join([told, "", *table(["what", "number"], rows)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, every sample in it")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--items", type=int, default=NUM_ITEMS)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="in the service's environment")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(one.partition("=")[::2] for one in options.set)
        soaked = soak(Path(folder), minutes=options.minutes, num_items=options.items, **environment)
    told = {field.name: soaked.growth(field.name) for field in fields(Sample)[2:]}
    if options.json:
        samples = [asdict(sample) for sample in soaked.samples]
        print(json.dumps({"growth": told, "load": asdict(soaked.pressure), "samples": samples}))
        return
    print(f"{soaked.pressure}, {soaked.cycles} cycles")
    for name, one in told.items():
        print(f"{name:<12}{one['before']:>10.1f}{one['after']:>10.1f}{one['growth']:>+9.1%}{one['slope']:>+10.1f} an hour")
    for sample in soaked.samples[:: max(1, len(soaked.samples) // 30)]:
        print({name: round(value, 1) for name, value in asdict(sample).items()}, file=sys.stderr)


if __name__ == "__main__":
    main()
