"""`irgan retrain` killed at each of its steps and started again, and how long a night takes that nobody disturbs.

`python -m tests.bench.retraining [--places 1] [--no-night]`: the first 6,000 ratings of MovieLens 100K, half in a file and half in the service's
store, once in SQLite and once in PostgreSQL; CF-NADE is among the rankers. The night that is timed has all of MovieLens 100K.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from app.store import Database, Event, insert_events
from tests.bench.trained import say, table
from tests.postgres import new_database, postgres_server
from tests.training.jobs.killed_cases import Case, Killer, killer_process
from tests.training.jobs.retraining import POPULARITY_AND_EASE, TINY_CF_NADE
from training.data import Interactions, load_dataset

RATINGS = 6_000
PLACES = 1
"""Kills in each step: the last is before its result is put in place."""
LENIENT = 'margin = 1.0\nleast_coverage = 0.0\nleast_novelty = 0.0\nmost_popular = 1.0\nagainst = "challenger"'
NIGHT = """
[data]
name = "movielens-100k"
sources = ["movielens-100k"]

[[rankers]]
name = "ease"

[[rankers]]
name = "vae"

[publish]
releases = "releases"

[run]
device = "cpu"
"""


@dataclass
class Outcome:
    """What became of a store's kills."""

    steps: int
    writes: int
    kills: int = 0
    others: int = 0
    """Runs after which something was published twice, a pointer was wrong or a byte was another."""


def kill_at_every_step(places: int = PLACES) -> dict[str, Outcome]:
    """Store → what became of the runs that were killed, each followed by one that nobody disturbed."""
    told = {}
    with _stores() as urls, killer_process() as killer, tempfile.TemporaryDirectory() as folder:
        for kind, url in urls.items():
            place = Path(folder) / kind.lower()
            place.mkdir()
            told[kind] = _killed(killer, place, url, places)
    return told


def _killed(killer: Killer, folder: Path, url: str, places: int) -> Outcome:
    file, stored = (_ratings().where(np.arange(RATINGS) % 2 == half) for half in range(2))
    _fill(url, stored)
    case = Case(
        killer,
        folder,
        interactions=file,
        data=f'[data.store]\nurl = "{url}"\ntypes = {{rating = "value"}}\n',
        named=POPULARITY_AND_EASE + TINY_CF_NADE,
        run="checkpoint_every = 1",
        gate=LENIENT,
        publish="refit = true",
    )
    steps = case.told["steps"]
    outcome = Outcome(len(steps), case.told["writes"])
    ends = [*steps, case.told["writes"]]  # after the last step the record is written
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        for kill in sorted({start + round((end - start) * part / places) for part in range(1, places + 1)}):
            outcome.kills += 1
            try:
                case.check(kill)
            except AssertionError as error:
                outcome.others += 1
                say(f"{url}: {error}")
        say(
            f"{url.partition(':')[0]}: step {number + 1} of {len(ends)}, {outcome.kills} kills, {outcome.others} with another end"
        )
    return outcome


def _ratings() -> Interactions:
    """The first ones."""
    data = load_dataset("movielens-100k").interactions
    assert data.times is not None
    return data.where(np.sort(np.argsort(data.times, kind="stable")[:RATINGS]))


def _fill(url: str, data: Interactions) -> None:
    assert data.ratings is not None and data.times is not None
    database = Database(url)
    rows = zip(data.user_rows.tolist(), data.item_rows.tolist(), data.ratings.tolist(), data.times.tolist(), strict=True)
    events = [
        Event(
            id=f"r{number}",
            type="rating",
            time=datetime.fromtimestamp(seconds, UTC),
            user=data.users.id(user),
            item=data.items.id(item),
            value=rating,
        )
        for number, (user, item, rating, seconds) in enumerate(rows)
    ]
    with database.begin() as connection:
        insert_events(connection, events)
    database.close()


@contextmanager
def _stores() -> Iterator[dict[str, str]]:
    with (
        tempfile.TemporaryDirectory(prefix="irgan-retraining-") as folder,
        postgres_server() as server,
        new_database(server) as postgresql,
    ):
        yield {"SQLite": f"sqlite:///{folder}/irgan.db", "PostgreSQL": postgresql}


def night() -> dict[str, Any]:
    """The record of a night that nobody disturbs, and `wall`, seconds from the command's start to its end."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "night.toml").write_text(NIGHT, encoding="utf-8")
        started = time.perf_counter()
        command = [Path(sys.executable).with_name("irgan"), "retrain", "night.toml", "--json"]
        done = subprocess.run(command, cwd=folder, env=os.environ, stdout=subprocess.PIPE, text=True, check=True)
        return {**json.loads(done.stdout), "wall": time.perf_counter() - started}


def retraining(places: int = PLACES, *, timed: bool = True) -> str:
    """The part of the results."""
    rows = [
        [kind, f"{found.steps}", f"{found.writes:,}", f"{found.kills}", f"{found.kills - found.others}", f"{found.others}"]
        for kind, found in kill_at_every_step(places).items()
    ]
    told = [
        f"`irgan retrain` with popularity, EASE and a small CF-NADE on {RATINGS:,} ratings of MovieLens 100K, half of them in a file and half in the store; "
        "what is chosen learns once more from everything and goes to the challenger. Killed (SIGKILL) "
        f"at {places} place(s) in each step, spread over its writes, the last just before its result is put in place; then started again. The same: "
        "each file of each release and each pointer, bit for bit, as of a run that nobody disturbs, and nothing published twice.",
        "",
        *table(["store", "steps", "writes", "killed", "the same release", "another"], rows),
    ]
    if timed:
        found = night()
        seconds = found["seconds"]
        trained = ", ".join(f"{name.removeprefix('train-')} {value:.0f}" for name, value in seconds.items() if "train-" in name)
        others = sum(value for name, value in seconds.items() if "train-" not in name)
        told += [
            "",
            f"A night that nobody disturbs, on MovieLens 100K with EASE, VAE and CF-NADE as they are by default: {found['wall']:.0f} s, of which training takes "
            f"{trained}, and all other steps together {others:.0f}.",
        ]
    return "\n".join(told)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--places", type=int, default=PLACES, help="kills in each step")
    parser.add_argument("--no-night", action="store_true", help="kills alone")
    options = parser.parse_args()
    print(retraining(options.places, timed=not options.no_night))


if __name__ == "__main__":
    main()
