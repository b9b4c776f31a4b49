"""What faults cost: damaged bundles refused, and acknowledged events lost.

`python -m tests.bench.faults [--rounds 20] [--mutations 5000] [--json]`: every damage to every file of every kind of bundle, and attacks and
random changes whose every hash is right; then a PostgreSQL server that is stopped again and again, and disks that fill up, under load.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from app.bundle import write_bundle
from app.releases import ReleaseStore
from tests.app.process import serving
from tests.conftest import make_draft
from tests.faults.attacks import ATTACKS, EVERYWHERE, HARMLESS, SURPRISE
from tests.faults.bundles import DAMAGES, KINDS, Loader, mutated, offer
from tests.faults.disk import SmallDisk, small_disk
from tests.faults.load import Kept, Load, kept, under_load
from tests.postgres import new_database, postgres_server, start, stop

ROUNDS, MUTATIONS = 20, 5000
EVENTS, RANKED, READY = "/v1/events", "/v1/recommendations/u1?k=5", "/health/ready"
SENDERS = 6
DISK_MEGABYTES = 4


def damages() -> dict[str, dict[str, tuple[int, int]]]:
    """Of each kind of bundle and each damage, how many bundles were offered and how many of these were refused."""
    told = {}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            told[kind] = {damage: (one.offered, one.refused) for damage, one in offer(kind, Path(folder)).items()}
    return told


def attacks(number: int) -> dict[str, dict[str, int]]:
    """Of attacks, and of random changes, what became of the process that was offered them."""
    told: dict[str, Counter[str]] = {"attacks": Counter(), "random changes": Counter()}
    Path(SURPRISE).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, _loading() as load:
        whole = {kind: KINDS[kind]("v1", Path(folder) / "whole" / kind) for kind in KINDS}
        for kind in KINDS:
            for name, attack in (EVERYWHERE | ATTACKS[kind]).items():
                answer = _loaded(whole[kind], Path(folder), load, attack)
                is_right = answer == "refused" or (answer == "answers" and name in HARMLESS)
                told["attacks"][answer if is_right else f"wrongly {answer}"] += 1
        rng = np.random.default_rng(2)
        for count in range(number):
            kind = list(KINDS)[count % len(KINDS)]
            told["random changes"][_loaded(whole[kind], Path(folder), load, lambda path: mutated(path, rng))] += 1
    told["attacks"]["ran code"] = int(Path(SURPRISE).exists())
    return {name: dict(counts) for name, counts in told.items()}


def _loaded(whole: Path, folder: Path, load: Callable[[Path], str], change: Callable[[Path], object]) -> str:
    changed = folder / "changed" / "v1"
    shutil.copytree(whole, changed)
    change(changed)
    answer = load(changed).split()[0]
    shutil.rmtree(changed.parent)
    return answer


@contextmanager
def _loading() -> Iterator[Callable[[Path], str]]:
    """What loads a bundle, in another process where the last one has ended."""
    loaders = [Loader.started()]

    def load(path: Path) -> str:
        answer = loaders[-1].load(path)
        if answer.startswith("ended"):
            loaders.append(Loader.started())
        return answer

    yield load
    for loader in loaders:
        loader.close()


def restarts(rounds: int) -> dict[str, Any]:
    """Events and answers over so many ends of their database, half of them as if it had been killed."""
    with _releases() as folder, postgres_server("fsync=on", "full_page_writes=on") as server, new_database(server) as url:
        with serving(folder, IRGAN_STORE=url, IRGAN_IMPRESSIONS="all") as (process, port):
            with under_load(port, (RANKED, READY), senders=SENDERS) as load:
                for count in range(rounds):
                    load.more(EVENTS, 200)
                    stop(server, "immediate" if count % 2 else "fast")
                    load.more(EVENTS, 503)
                    start(server)
                load.more(EVENTS, 200)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        return _told(kept(url, load), load, rounds)


def full_disks(rounds: int) -> dict[str, Any]:
    """The same over so many times that the disk of a store of SQLite was full: a small one, or where that cannot be, files that may not grow."""
    with _releases() as folder, _disk(folder) as disk:
        where = folder.parent if disk is None else disk.path
        within = () if disk is None else disk.within
        with serving(folder, within=within, IRGAN_STORE=f"sqlite:///{where}/irgan.db", IRGAN_IMPRESSIONS="all") as (
            process,
            port,
        ):
            with under_load(port, (RANKED, READY), senders=SENDERS) as load:
                for _ in range(rounds):
                    load.more(EVENTS, 200)
                    if disk is None:
                        size = max(path.stat().st_size for path in where.glob("irgan.db*")) + 50_000
                        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
                    else:
                        disk.fill()
                    load.more(EVENTS, 503)
                    if disk is None:
                        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                    else:
                        disk.clear()
                load.more(EVENTS, 200)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        copy = folder.parent / "irgan.db"
        if disk is not None:
            shutil.copy(disk.seen / "irgan.db", copy)
        return _told(kept(f"sqlite:///{copy}", load), load, rounds)


@contextmanager
def _disk(folder: Path) -> Iterator[SmallDisk | None]:
    import pytest  # noqa: PLC0415 - whose skipping says that there can be none

    try:
        with small_disk(folder.parent / "disk", DISK_MEGABYTES) as disk:
            yield disk
    except pytest.skip.Exception:
        yield None


@contextmanager
def _releases() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="irgan-faults-") as folder:
        store = ReleaseStore(Path(folder) / "releases")
        store.publish(write_bundle(make_draft(), Path(folder) / "drafts"), "champion")
        yield store.folder


def _told(found: Kept, load: Load, rounds: int) -> dict[str, Any]:
    refused = load.count(EVENTS, 503)
    others = sum(count for (path, status), count in load.statuses.items() if path != EVENTS and status != 200)
    return {"rounds": rounds, **asdict(found), "requests_refused": refused, "other_requests_failed": others}


def is_good(told: dict[str, Any]) -> bool:
    """Whether all that must be refused was, no process ended, and nothing acknowledged was lost."""
    all_refused = all(offered == refused for kind in told["damages"].values() for offered, refused in kind.values())
    attacked = all(
        count == 0 or name in {"refused", "answers"} for one in told["attacks"].values() for name, count in one.items()
    )
    kept_all = all(
        not one[bad]
        for one in told["stores"].values()
        for bad in ("lost", "twice", "unasked", "shown_twice", "other_requests_failed")
    )
    return all_refused and attacked and kept_all


def measure(*, rounds: int = ROUNDS, mutations: int = MUTATIONS) -> dict[str, Any]:
    """Everything."""
    logging.disable(logging.CRITICAL)  # each refusal says why
    try:
        told: dict[str, Any] = {"damages": damages(), "attacks": attacks(mutations)}
        told["stores"] = {"PostgreSQL stopped": restarts(rounds), "SQLite's disk full": full_disks(rounds)}
    finally:
        logging.disable(logging.NOTSET)
    return {**told, "targets_met": is_good(told)}


def lines(told: dict[str, Any]) -> list[str]:
    """Two tables in Markdown."""
    kinds = list(told["damages"])
    shown = [f"| damage to one file | {' | '.join(kinds)} | all |", f"|---{'|---:' * (len(kinds) + 1)}|"]
    for damage in DAMAGES:
        cells = [told["damages"][kind][damage] for kind in kinds]
        every = (sum(offered for offered, _ in cells), sum(refused for _, refused in cells))
        shown.append(f"| {damage} | {' | '.join(f'{refused} / {offered}' for offered, refused in (*cells, every))} |")
    cells = [tuple(sum(one[place] for one in told["damages"][kind].values()) for place in (0, 1)) for kind in kinds]
    every = (sum(offered for offered, _ in cells), sum(refused for _, refused in cells))
    shown += [f"| **all** | {' | '.join(f'{refused} / {offered}' for offered, refused in (*cells, every))} |", ""]
    for name, counts in told["attacks"].items():
        shown.append(
            f"With every hash right, {name}: {', '.join(f'{count:,} {answer}' for answer, count in sorted(counts.items()))}."
        )
    columns = {
        "rounds": "times",
        "acknowledged": "events acknowledged",
        "lost": "of these lost",
        "twice": "stored twice",
        "requests_refused": "requests for events refused",
        "other_requests_failed": "other requests failed",
        "shown": "answers written down",
        "shown_lost": "of all given not written down",
        "shown_twice": "written down twice",
    }
    shown += ["", f"| under load | {' | '.join(columns.values())} |", f"|---{'|---:' * len(columns)}|"]
    shown += [f"| {name} | {' | '.join(f'{one[column]:,}' for column in columns)} |" for name, one in told["stores"].items()]
    return shown


def report() -> str:
    """The part of `docs/results.md`."""
    return "\n".join(lines(measure()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="stops of the database, and full disks")
    parser.add_argument("--mutations", type=int, default=MUTATIONS, help="random changes with every hash right")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    stdout = os.dup(1)
    os.dup2(2, 1)  # FAISS tells on stdout what it does
    told = measure(rounds=options.rounds, mutations=options.mutations)
    with os.fdopen(stdout, "w") as file:
        print(json.dumps(told) if options.json else "\n".join(lines(told)), file=file)


if __name__ == "__main__":
    main()
