"""The folder of runs: which one is at work, which was left unfinished, and what is kept of the old ones.

.lock                   held by the one process at work; the system lets go of it when that ends, however it ends
RUN/run.json            what the run is
RUN/steps/              results, see `training.jobs.retrain.steps`
RUN/snapshot/           the data as they were
RUN/candidates/         bundles, checkpoints and curves of the rankers that are judged
RUN/live/, RUN/refit/   likewise of what is trained in the live release's place, and of the one that then learns from everything
RUN/weights/            what trainings left that later ones may begin with; kept while the release is in a slot
RUN/release/            the bundle that is published
RUN/record.json         what came of it; a run without one is unfinished
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.bundle import new_folder, write_file
from app.bundle.writing import libraries
from training.errors import AnotherRun, InputError
from training.export import Stamp, commit_of_code

_RUN = "run.json"
_RECORD = "record.json"
_BULKY = ("snapshot", "candidates", "live", "refit", "release")
_WEIGHTS = "weights"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run.

    Attributes:
        path: its folder, called as the run is.
        started: when it was begun, which is what its releases go by.
        config: identity of what it was told.
        commit: of the code that began it.
        libraries: likewise.
    """

    path: Path
    started: datetime
    config: str
    commit: str | None
    libraries: dict[str, str]

    @property
    def name(self) -> str:
        """The run."""
        return self.path.name

    @property
    def stamp(self) -> Stamp:
        """What its bundles are made under."""
        return Stamp(self.started, self.commit)

    @property
    def record(self) -> dict[str, Any] | None:
        """What came of it; None while it is unfinished."""
        try:
            return dict(json.loads((self.path / _RECORD).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def finish(self, record: dict[str, Any]) -> None:
        """Write down what came of it."""
        write_file(self.path / _RECORD, json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False).encode())

    def tidy(self) -> None:
        """Remove what a process that was killed left half-written."""
        for path in sorted(self.path.rglob(".*.tmp")):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


class RunsFolder:
    """All runs of one job.

    Args:
        path: made by the first run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from running here meanwhile.

        Raises:
            AnotherRun: one is at work.
            InputError: it cannot be a folder.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(f"{self.path} is no folder; choose another run.folder") from error
        with (self.path / ".lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AnotherRun(
                    f"another retraining is at work in {self.path}; wait for it, or choose another run.folder"
                ) from error
            yield

    def runs(self) -> list[RunFolder]:
        """All runs, oldest first."""
        found = [_read(path.parent) for path in self.path.glob(f"*/{_RUN}") if not path.parent.name.startswith(".")]
        return sorted(found, key=lambda run: (run.started, run.name))

    def begin(self, config: str) -> RunFolder:
        """A new run; only under the lock."""
        for abandoned in self.path.glob(".*.tmp"):  # by a process that was killed: the lock is ours
            shutil.rmtree(abandoned, ignore_errors=True)
        started = now()
        name = f"{started:%Y%m%dt%H%M%S.%fz}-{config[:8]}"
        taken = {run.name for run in self.runs()}
        number, fresh = 1, name
        while fresh in taken:
            number += 1
            fresh = f"{name}-{number}"
        told = {"started": started.isoformat(), "config": config, "commit": commit_of_code(), "libraries": libraries()}
        with new_folder(self.path / fresh) as folder:
            (folder / _RUN).write_text(json.dumps(told, indent=1), encoding="utf-8")
        return _read(self.path / fresh)

    def prune(self, keep: int, *, in_use: Callable[[], Collection[str]] = tuple) -> None:
        """Remove the bulk of all but the latest finished runs; their records and results stay, and the weights behind releases in use.

        Args:
            keep: so many runs stay as they are.
            in_use: the releases that slots point to; asked only where some old run has weights.
        """
        finished = [(run, record) for run in self.runs() if (record := run.record) is not None]
        used: Collection[str] | None = None
        for run, record in finished[:-keep]:
            for name in _BULKY:
                shutil.rmtree(run.path / name, ignore_errors=True)
            if (run.path / _WEIGHTS).is_dir():
                used = in_use() if used is None else used
                if record.get("release", {}).get("release") not in used:
                    shutil.rmtree(run.path / _WEIGHTS, ignore_errors=True)


def _read(path: Path) -> RunFolder:
    told = json.loads((path / _RUN).read_text(encoding="utf-8"))
    return RunFolder(path, datetime.fromisoformat(told["started"]), told["config"], told["commit"], told["libraries"])


def now() -> datetime:
    """The time, or what SOURCE_DATE_EPOCH says it is (https://reproducible-builds.org/specs/source-date-epoch/)."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.now(UTC) if given is None else datetime.fromtimestamp(int(given), UTC)
