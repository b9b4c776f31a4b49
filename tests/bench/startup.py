"""How long a service takes from its start until it is ready, and commands from theirs to their end.

`python -m tests.bench.startup [--json]`: bundles of 20,000 items and of 20,000 documents, a store that is up to date, files that the
machine has read before, and a new process each time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from app.bundle import write_bundle, write_search
from app.releases import ReleaseStore
from app.store import Database
from tests.app.process import irgan, serving
from tests.bench.service import make_bundle
from tests.conftest import make_search_draft

STARTS = 10
NUM_ITEMS, DIM = 20_000, 64
NUM_WORDS, WORDS_EACH = 30_000, 80
TARGET_SECONDS = 2.0
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "irgan --help": ("--help",),
    "irgan --version": ("--version",),
    "irgan releases": ("releases",),
}


def make_documents(number: int = NUM_ITEMS, *, seed: int = 0) -> list[str]:
    """Made-up texts: few of the words are frequent, as in any language."""
    rng = np.random.default_rng(seed)
    words = np.array([f"w{number}" for number in range(NUM_WORDS)])
    shares = 1.0 / np.arange(1, NUM_WORDS + 1)
    chosen = rng.choice(words, size=(number, WORDS_EACH), p=shares / shares.sum())
    return [" ".join(text) for text in chosen]


def publish(folder: Path) -> dict[str, Path]:
    """A folder of releases for each kind of bundle, with one in its champion slot."""
    recommender = write_bundle(make_bundle(), folder / "drafts")
    draft = make_search_draft(make_documents(), dim=DIM)
    search = write_search(replace(draft, name="documents"), folder / "drafts")
    found = {}
    for name, bundle in (("recommender", recommender), ("search", search)):
        found[name] = folder / name / "releases"
        ReleaseStore(found[name]).publish(bundle, "champion")
    return found


def start(releases: Path) -> dict[str, float]:
    """Seconds from a service's start until it is ready, its CPU seconds until then, and its resident MiB."""
    started = perf_counter()
    with serving(releases) as (process, port):
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/health/ready")
        status = connection.getresponse().status
        seconds = perf_counter() - started
        assert status == 200
        told = {"seconds": seconds, "cpu": _cpu_seconds(process.pid), "resident": _resident(process.pid)}
        connection.close()
    return told


def measure(*, starts: int = STARTS) -> dict[str, Any]:
    """Medians and extremes over several starts, and of the commands."""
    with tempfile.TemporaryDirectory() as folder:
        found = publish(Path(folder))
        services = {}
        for name, releases in found.items():
            with Database(f"sqlite:///{releases.parent / 'irgan.db'}").begin():
                pass  # made and brought up to date: a store that is in use
            services[name] = _over([start(releases) for _ in range(starts + 1)][1:])  # the first one warms up
            services[name]["bundle"] = sum(file.stat().st_size for file in releases.rglob("*") if file.is_file()) / 2**20
        releases = found["recommender"]
        commands = {
            name: _over([_command(*arguments, releases=releases) for _ in range(starts + 1)][1:])
            for name, arguments in _COMMANDS.items()
        }
    return {
        "items": NUM_ITEMS,
        "dimensions": DIM,
        "starts": starts,
        "services": services,
        "commands": commands,
        "targets_met": all(one["seconds"] <= TARGET_SECONDS for one in services.values()),
    }


def startup() -> str:
    """Start to ready, as a part of the page of results."""
    from tests.bench.trained import table  # noqa: PLC0415 - brings training with it

    found = measure()
    rows = [
        [
            f"`irgan serve`, {name}, {one['bundle']:.0f} MiB",
            *(f"{one[field]:.2f}" for field in ("seconds", "seconds_least", "seconds_most", "cpu")),
            f"{one['resident']:.0f}",
        ]
        for name, one in found["services"].items()
    ]
    rows += [
        [f"`{name}`", *(f"{one[field]:.2f}" for field in ("seconds", "seconds_least", "seconds_most", "cpu")), "—"]
        for name, one in found["commands"].items()
    ]
    told = (
        f"From the start of the process to the first 200 of `/health/ready`, or to the command's end: medians of {found['starts']} starts. "
        f"A recommender of {found['items']:,} items × {found['dimensions']} dimensions with 2,000 users, and as many documents of "
        f"{WORDS_EACH} words; seed 0; files in the page cache, SQLite, one thread."
    )
    head = ["what", "seconds", "least", "most", "CPU seconds", "resident, MiB"]
    return "\n".join([told, "", *table(head, rows)])


def _command(*arguments: str, releases: Path) -> dict[str, float]:
    before, started = os.times(), perf_counter()
    done = irgan(*arguments, IRGAN_RELEASES=str(releases), IRGAN_STORE=f"sqlite:///{releases.parent / 'irgan.db'}")
    seconds, after = perf_counter() - started, os.times()
    assert done.returncode == 0, done.stderr
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": seconds, "cpu": cpu}


def _over(told: list[dict[str, float]]) -> dict[str, float]:
    summaries: Mapping[str, Callable[[list[float]], float]] = {"": statistics.median, "_least": min, "_most": max}
    return {
        f"{field}{suffix}": summarise([one[field] for one in told])
        for field in told[0]
        for suffix, summarise in summaries.items()
    }


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--starts", type=int, default=STARTS)
    options = parser.parse_args()
    told = measure(starts=options.starts)
    if options.json:
        print(json.dumps(told))
        return
    print(f"{NUM_ITEMS:,} items × {DIM} dimensions, medians of {told['starts']} starts, Python {sys.version.split()[0]}")
    for name, one in (told["services"] | told["commands"]).items():
        print(
            f"{name:<18}{one['seconds']:>7.2f} s ({one['seconds_least']:.2f} to {one['seconds_most']:.2f}), {one['cpu']:.2f} s of CPU"
        )


if __name__ == "__main__":
    main()
