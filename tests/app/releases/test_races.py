"""Slots that move while others move them, look at them, prune beside them, or are killed between the two files of a change."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from app.bundle import BundleNotFound, read_manifest, write_bundle
from app.releases import ReleaseStore, prune, store
from tests.conftest import make_draft

VERSIONS = ("v1", "v2", "v3", "v4")


@pytest.fixture
def releases(tmp_path) -> ReleaseStore:
    made = ReleaseStore(tmp_path / "releases")
    for version in VERSIONS:
        made.publish(write_bundle(make_draft(version=version), tmp_path / "drafts"), "champion", by="setup")
    return made


def _promote(folder: Path, version: str, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    for _ in range(5):
        ReleaseStore(folder).promote(f"sample/{version}", "champion", by=version)
        ReleaseStore(folder).rollback("champion", by=version)


def test_many_processes_that_promote_and_roll_back_leave_one_history_without_gaps(releases):
    """The pointer is the last line, and no release stands twice in a row: each change began where the one before ended."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    processes = [context.Process(target=_promote, args=(releases.folder, version, start)) for version in ("v1", "v2")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    history = releases.history("champion")
    told = [change.release for change in history]
    assert releases.current("champion") == told[-1]
    assert all(one != other for one, other in itertools.pairwise(told))
    assert {change.by for change in history} == {"setup", "v1", "v2"}
    assert all(change.action != "found" for change in history)


def test_a_history_that_is_read_while_the_slot_moves_twice_is_read_again(releases, monkeypatch):
    """What was read of the pointer and of the history would not belong together, as if somebody had written the pointer by hand."""
    written = ReleaseStore._written
    moves = ["sample/v2", "sample/v1"]

    def moving(self: ReleaseStore, slot: str):
        if self is releases:
            while moves:
                ReleaseStore(self.folder).promote(moves.pop(), slot, by="somebody")
        return written(self, slot)

    monkeypatch.setattr(ReleaseStore, "_written", moving)
    told = [(change.action, change.release) for change in releases.history("champion")]
    assert told[-3:] == [("publish", "sample/v4"), ("promote", "sample/v1"), ("promote", "sample/v2")]


def _publish_and_be_killed(folder: Path, bundle: Path, moment: str) -> None:
    copyfile, write_file, copied = shutil.copyfile, store.write_file, []

    def copying(source: Path, target: Path) -> None:
        if moment == "copying" and len(copied) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        copied.append(copyfile(source, target))

    def writing(path: Path, content: bytes) -> None:
        if path.parent.name == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        write_file(path, content)

    store.shutil.copyfile, store.write_file = copying, writing  # type: ignore[assignment]
    ReleaseStore(folder).publish(bundle, "champion")


def test_a_publication_killed_anywhere_leaves_the_slot_its_history_and_the_lock_to_others(releases, tmp_path):
    """By SIGKILL, in a process of its own: while it copies, before it writes the history, and before it moves the pointer."""
    bundle = write_bundle(make_draft(version="v5"), tmp_path / "drafts")
    before = releases.history("champion")
    context = multiprocessing.get_context("spawn")
    for moment in ("copying", "history", "slots"):
        process = context.Process(target=_publish_and_be_killed, args=(releases.folder, bundle, moment))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert releases.current("champion") == "sample/v4" and releases.history("champion") == before
        leftovers = [*releases.folder.glob("bundles/*/.*.tmp")]
        assert len(leftovers) == (1 if moment == "copying" else 0)
        prune(releases, 9)
        assert not [*releases.folder.rglob("*.tmp")]
    assert ReleaseStore(releases.folder, patience=0.0).publish(bundle, "champion") == "sample/v5"
    assert [change.release for change in releases.history("champion")][-2:] == ["sample/v4", "sample/v5"]


@pytest.mark.parametrize("act", ["promote", "rollback", "publish"])
def test_killed_between_the_history_and_the_pointer_nothing_has_happened(releases, tmp_path, monkeypatch, act):
    """The line does not count, and the next change takes its place."""
    before = releases.history("champion")
    write_file = store.write_file

    def killed(path: Path, content: bytes) -> None:
        if path.parent.name == "slots":
            raise KeyboardInterrupt
        write_file(path, content)

    def change() -> str:
        if act == "promote":
            return releases.promote("sample/v3", "champion", by="somebody")
        if act == "rollback":
            return releases.rollback("champion", by="somebody")
        return releases.publish(tmp_path / "drafts" / "sample" / "v1", "champion", by="somebody")

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_file", killed)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                change()
    assert releases.current("champion") == "sample/v4" and releases.history("champion") == before
    assert [manifest.version for manifest in prune(releases, 0)] == ["v1", "v2"]  # v3 is what a rollback goes to
    assert change() == releases.current("champion")
    assert [change.by for change in releases.history("champion")][-2:] == ["setup", "somebody"]
    assert releases.history("champion")[:-1] == before


def test_a_reader_sees_whole_pointers_to_releases_that_are_there_and_histories_that_fit(releases, tmp_path):
    """While one thread moves the slot and another deletes what is old.

    A release may go between the look at its slot and the look into its folder, but only if the slot has moved meanwhile.
    """
    stop = threading.Event()
    failures: list[str] = []

    def move() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            version = f"n{number}"
            releases.publish(write_bundle(make_draft(version=version), tmp_path / "more"), "champion")

    def clean() -> None:
        while not stop.is_set():
            prune(ReleaseStore(releases.folder), 1)

    def guarded(work) -> None:
        try:
            work()
        except Exception as error:
            failures.append(repr(error))
            stop.set()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (move, clean)]
    for thread in threads:
        thread.start()
    seen = set()
    while len(seen) < 8 and not stop.is_set():
        release = releases.current("champion")
        assert release is not None
        try:
            assert read_manifest(releases.path(release)).release == release
        except BundleNotFound:
            assert releases.current("champion") != release
        assert all(change.action == "publish" for change in releases.history("champion"))
        seen.add(release)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    prune(releases, 1)
    assert len(releases.published()) == 2  # what answers, and what a rollback goes to
