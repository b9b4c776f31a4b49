"""What the store of events stands: kills, and how many events a second one worker takes.

`python -m tests.bench.events rate [--json]` · `python -m tests.bench.events kills [--kills 100] [--json]`: each on SQLite and on a
PostgreSQL server of its own that syncs to the disk as by default.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from app.store import Database
from tests.app.process import serving
from tests.bench.calling import CONNECTIONS, Figures, call
from tests.postgres import new_database, postgres_server

BATCH, ROUNDS, SECONDS = 100, 5, 3.0
IN_TABLE = 1_000_000
TARGET_RATE = 5000.0
DURABLE = ("fsync=on", "full_page_writes=on", "shared_buffers=128MB")
"""PostgreSQL's defaults, where the tests have others."""


class Batches(Sequence[bytes]):
    """Requests of a batch of events each, no event twice.

    Args:
        name: of the run; the ids begin with it.
    """

    def __init__(self, name: str) -> None:
        events = ",".join(
            f'{{"id":"{name}-%b-{number}","type":"click","time":"2026-11-25T10:15:00.{number:03d}Z","user":"u{number * 37}","item":"i{number * 101}",'
            f'"request_id":"8f14e45fceea167a5a36dedd4bea{number:04d}","position":{number % 10 + 1}}}'
            for number in range(BATCH)
        )
        self._body = f'{{"events":[{events}]}}'.encode()

    def __len__(self) -> int:
        return 10**9 * CONNECTIONS

    def __getitem__(self, number: Any) -> Any:
        body = self._body % ((b"%d" % number,) * BATCH)
        head = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return head % len(body) + body


@contextmanager
def stores() -> Iterator[dict[str, str]]:
    """The address of an empty store of each kind."""
    with (
        tempfile.TemporaryDirectory(prefix="irgan-events-") as folder,
        postgres_server(*DURABLE) as server,
        new_database(server) as postgresql,
    ):
        yield {"SQLite": f"sqlite:///{folder}/irgan.db", "PostgreSQL": postgresql}


def fill(url: str, name: str, number: int) -> None:
    """So many events more in the table, at once."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    from app.store import Event, insert_events  # noqa: PLC0415

    database = Database(url)
    began = datetime(2026, 11, 1, tzinfo=UTC)
    for start in range(0, number, 10_000):
        events = [
            Event(
                id=f"{name}-{n * 7919 % number}",
                type="click",
                time=began + timedelta(seconds=n),
                user=f"u{n % 9973}",
                item=f"i{n % 1999}",
                request_id=f"8f14e45fceea167a5a36dedd{n:08d}",
                position=n % 10 + 1,
            )
            for n in range(start, start + 10_000)
        ]
        with database.begin() as connection:
            insert_events(connection, events)
    database.close()


def rate(*, rounds: int = ROUNDS, seconds: float = SECONDS, in_table: int = IN_TABLE) -> dict[str, Any]:
    """Of each store, empty and with many events in it: events a second, and times of a batch in milliseconds; medians over the rounds."""
    told: dict[str, Any] = {}
    with stores() as urls:
        for kind, url in urls.items():
            for place in ("empty", "filled"):
                if place == "filled":
                    fill(url, "f", in_table)
                figures = _figures(url, place, rounds, seconds)
                told[f"{kind}, {place}"] = {
                    "rate": round(BATCH * statistics.median(one.rate for one in figures)),
                    "p50": round(statistics.median(one.p50 for one in figures), 2),
                    "p99": round(statistics.median(one.p99 for one in figures), 2),
                }
    return {
        "batch": BATCH,
        "connections": CONNECTIONS,
        "rounds": rounds,
        "in_table": in_table,
        "stores": told,
        "targets_met": all(one["rate"] >= TARGET_RATE for one in told.values()),
    }


def _figures(url: str, name: str, rounds: int, seconds: float) -> list[Figures]:
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        releases = Path(folder) / "releases"
        releases.mkdir()
        with serving(releases, IRGAN_STORE=url) as (_, port):
            for number in range(rounds + 1):
                times, wall = uvloop.run(call(port, Batches(f"{name}{number}"), seconds))
                if number:  # the first round warms up
                    figures.append(Figures.of(times, wall))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    rates = commands.add_parser("rate", help="events a second, and times of a batch")
    rates.add_argument("--rounds", type=int, default=ROUNDS)
    rates.add_argument("--seconds", type=float, default=SECONDS, help="of each round")
    rates.add_argument("--in-table", type=int, default=IN_TABLE, help="events in the table that is not empty")
    for command in (rates,):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    told = rate(rounds=options.rounds, seconds=options.seconds, in_table=options.in_table)
    if options.json:
        print(json.dumps(told))
        return
    print(
        f"one worker, {CONNECTIONS} connections, batches of {BATCH}, medians of {told['rounds']} rounds; filled: {told['in_table']:,} events"
    )
    print(f"{'store':<22}{'events/s':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for name, row in told["stores"].items():
        print(f"{name:<22}{row['rate']:>10,}{row['p50']:>9.1f}{row['p99']:>9.1f}")


if __name__ == "__main__":
    main()
