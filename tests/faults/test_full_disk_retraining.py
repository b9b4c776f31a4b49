"""A retraining whose disk fills up: it ends with a reason, publishes nothing half, and goes on once there is room."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.bundle import read_bundle
from app.releases import ReleaseStore
from tests.app.process import irgan
from tests.faults.disk import small_disk
from tests.training.jobs.retraining import write_job


@pytest.mark.soak
@pytest.mark.parametrize("room", [0, 48, 160])
def test_a_retraining_on_a_full_disk(tmp_path: Path, room: int) -> None:
    """So many KiB are left when it begins: too few for the snapshot, for what is learned, for the bundle, or for its publication."""
    write_job(tmp_path)
    with small_disk(tmp_path / "disk", 8) as disk:
        for name in ("mine.csv", "config.toml"):
            shutil.copy(tmp_path / name, disk.seen / name)
        disk.fill(leaving=room * 1024)
        store = ReleaseStore(disk.seen / "releases")
        within = (*disk.within, "env", "--chdir", str(disk.path))
        done = irgan("retrain", "config.toml", within=within)
        if done.returncode:
            assert done.returncode == 1, done.stderr
            assert "Traceback" not in done.stderr and "No space left" in done.stderr, done.stderr
            assert store.slots() == {}
        disk.clear()
        done = irgan("retrain", "config.toml", within=within)
        assert done.returncode == 0, done.stderr
        assert len(store.slots()) == 1
        (release,) = store.slots().values()
        read_bundle(store.path(release))
        assert list(disk.seen.rglob("*.tmp*")) == []
