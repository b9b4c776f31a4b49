"""Whether a retraining that was killed ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.bundle import read_bundle, write_bundle
from app.releases import ReleaseStore
from tests.conftest import make_draft
from tests.training.jobs.retraining import write_job

ROOT = Path(__file__).parents[3]


class Killer:
    """A process that runs and kills retrainings, see `tests.training.jobs.killing`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, folder: Path, kill_before: int = 0) -> dict[str, Any]:
        """One run in a folder."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{folder} {kill_before}\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told


def published(folder: Path) -> dict[str, str]:
    """Every file of every release and every pointer, by its hash; what begins with a dot is nobody's."""
    releases = folder / "releases"
    paths = [path for part in ("bundles", "slots") for path in (releases / part).rglob("*") if path.is_file()]
    visible = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(releases).parts)]
    return {str(path.relative_to(releases)): hashlib.sha256(path.read_bytes()).hexdigest() for path in visible}


def assert_servable(folder: Path, before: str) -> None:
    """Whatever the pointers say can be served, and the champion is who it was."""
    store = ReleaseStore(folder / "releases")
    slots = store.slots()
    assert slots["champion"] == before or slots["champion"] == slots.get("challenger")
    for release in slots.values():
        read_bundle(store.path(release))


class Case:
    """A folder with data, a live release and a configuration, to be copied for every run; and what an undisturbed run makes of it."""

    def __init__(self, killer: Killer, folder: Path, prepare: Callable[[Path], object] | None = None, **job: Any) -> None:
        self.template, self.killer, self._number = folder / "template", killer, 0
        self.template.mkdir()
        write_job(self.template, **job)
        store = ReleaseStore(self.template / "releases")
        self.champion = store.publish(write_bundle(make_draft(), folder / "drafts"), "champion")
        if prepare is not None:
            prepare(self.template)
            self.champion = store.slots()["champion"]
        undisturbed = self.copy()
        self.told = killer.run(undisturbed)
        assert self.told["code"] == 0
        self.expected = published(undisturbed)
        assert prepare is not None or len(store.slots()) == 1
        assert "slots/challenger" in self.expected

    def copy(self) -> Path:
        self._number += 1
        return Path(shutil.copytree(self.template, self.template.with_name(f"run{self._number}")))

    def check(self, *kills: int) -> None:
        """Kill a run, and the one that goes on, …, and see that the last one ends as if nothing had been."""
        folder = self.copy()
        for kill in kills:
            told = self.killer.run(folder, kill)
            assert told["code"] in {-signal.SIGKILL, 0}, f"killed before write {kill}"  # 0: fewer writes were left
            assert_servable(folder, self.champion)
        if told["code"]:
            assert self.killer.run(folder)["code"] == 0, f"killed before write {kills}"
        assert published(folder) == self.expected, f"killed before write {kills}"
        self._check_history(folder, kills)
        shutil.rmtree(folder)

    def _check_history(self, folder: Path, kills: tuple[int, ...]) -> None:
        """Nothing was published twice."""
        for slot, pointer in ReleaseStore(folder / "releases").slots().items():
            history = [change.release for change in ReleaseStore(folder / "releases").history(slot)]
            first = [change.release for change in ReleaseStore(self.template / "releases").history(slot)]
            assert history == first + [pointer] * (pointer not in first), f"killed before write {kills}"


@contextmanager
def killer_process() -> Iterator[Killer]:
    """The process, with a clock that stands still."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.jobs.killing"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as process:
        yield Killer(process)
        assert process.stdin is not None
        process.stdin.close()
