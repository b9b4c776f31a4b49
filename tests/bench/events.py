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
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

from app.store import Database, Event, insert_events
from tests.app.killing import kill_under_load
from tests.app.process import serving
from tests.bench.calling import CONNECTIONS, Figures, call
from tests.postgres import new_database, postgres_server

BATCH, ROUNDS, SECONDS = 100, 5, 3.0
IN_TABLE = 1_000_000
KILLS = 100
BAD = ("lost", "twice", "damaged", "missing")
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
                told[f"{kind}, {place}"] = {
                    f"{field}{suffix}": round(factor * statistics.median(getattr(one, field) for one in figures), 2)
                    for suffix, figures in _figures(url, place, rounds, seconds).items()
                    for field, factor in (("rate", BATCH), ("p50", 1), ("p99", 1))
                }
    return {
        "batch": BATCH,
        "connections": CONNECTIONS,
        "rounds": rounds,
        "in_table": in_table,
        "stores": told,
        "targets_met": all(one["rate"] >= TARGET_RATE for one in told.values()),
    }


def kills(number: int) -> dict[str, Any]:
    """Of each store, what became of the events that a service was sent which was killed so many times."""
    told: dict[str, Any] = {}
    with stores() as urls:
        for kind, url in urls.items():
            with tempfile.TemporaryDirectory() as folder:
                told[kind] = asdict(kill_under_load(url, Path(folder), number))
    return {"stores": told, "targets_met": not any(one[bad] for one in told.values() for bad in BAD)}


def _figures(url: str, name: str, rounds: int, seconds: float) -> dict[str, list[Figures]]:
    """Over all connections, which keep the service busy, and over one alone."""
    figures: dict[str, list[Figures]] = {"": [], "_alone": []}
    with tempfile.TemporaryDirectory() as folder:
        releases = Path(folder) / "releases"
        releases.mkdir()
        with serving(releases, IRGAN_STORE=url) as (_, port):
            for number in range(rounds + 1):
                for suffix, told in figures.items():
                    connections = 1 if suffix else CONNECTIONS
                    batches = Batches(f"{name}{number}{suffix}")
                    times, wall = uvloop.run(call(port, batches, seconds, connections=connections))
                    if number:  # the first round warms up
                        told.append(Figures.of(times, wall))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    rates = commands.add_parser("rate", help="events a second, and times of a batch")
    rates.add_argument("--rounds", type=int, default=ROUNDS)
    rates.add_argument("--seconds", type=float, default=SECONDS, help="of each round")
    rates.add_argument("--in-table", type=int, default=IN_TABLE, help="events in the table that is not empty")
    killing = commands.add_parser("kills", help="what kills under load lose")
    killing.add_argument("--kills", type=int, default=KILLS, help="of each store's service")
    for command in (rates, killing):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.command == "kills":
        told = kills(options.kills)
    else:
        told = rate(rounds=options.rounds, seconds=options.seconds, in_table=options.in_table)
    if options.json:
        print(json.dumps(told))
    elif options.command == "kills":
        for name, row in told["stores"].items():
            print(f"{name}: " + ", ".join(f"{what.replace('_', ' ')} {count:,}" for what, count in row.items()))
    else:
        _print_rates(told)


def _print_rates(told: dict[str, Any]) -> None:
    print(
        f"one worker, {CONNECTIONS} connections, batches of {BATCH}, medians of {told['rounds']} rounds; filled: {told['in_table']:,} events"
    )
    print("alone: over one connection")
    print(f"{'store':<22}{'events/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'alone':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for name, row in told["stores"].items():
        print(
            f"{name:<22}{row['rate']:>10,.0f}{row['p50']:>9.1f}{row['p99']:>9.1f}"
            f"{row['rate_alone']:>10,.0f}{row['p50_alone']:>9.1f}{row['p99_alone']:>9.1f}"
        )


if __name__ == "__main__":
    main()
