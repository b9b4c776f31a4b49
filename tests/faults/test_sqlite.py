"""What may happen to a file of SQLite under a service: locked, read-only, deleted, replaced, damaged."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from tests.app.process import serving
from tests.faults.load import Load, assert_kept, under_load

EVENTS, RANKED, READY = "/v1/events", "/v1/recommendations/u1?k=5", "/health/ready"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store" / "irgan.db"


def assert_only(load: Load, *statuses: int) -> None:
    assert {status for path, status in load.statuses if path not in (EVENTS, "/v1/items")} == {200}
    assert {status for path, status in load.statuses if path == EVENTS} <= set(statuses)


@pytest.mark.soak
def test_a_file_that_another_process_locks(releases, file):
    """For longer than a writer waits: events and items are refused one by one, and searches do not wait behind them."""
    url = f"sqlite:///{file}"
    with serving(releases, IRGAN_STORE=url, IRGAN_IMPRESSIONS="all") as (process, port):
        with under_load(port, (RANKED, READY, "/v1/search"), senders=3) as load:
            load.more(EVENTS, 200)
            locking = sqlite3.connect(file, isolation_level=None)
            locking.execute("BEGIN IMMEDIATE")
            load.more(EVENTS, 503)
            load.more(RANKED, 200, 10)
            load.more("/v1/search", 200, 10)
            locking.execute("ROLLBACK")
            locking.close()
            load.more(EVENTS, 200)
        assert_only(load, 200, 503)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert_kept(url, load, all_shown=True)


def test_a_file_that_is_deleted_or_replaced(releases, file, tmp_path):
    """Nothing can be kept in a file without a name: what is acknowledged is in the file that has it."""
    url = f"sqlite:///{file}"
    with serving(releases, IRGAN_STORE=url) as (process, port):
        with under_load(port) as before:
            before.more(EVENTS, 200)
        for path in file.parent.iterdir():
            path.unlink()
        with under_load(port) as after:
            after.more(EVENTS, 200)
        assert_only(before, 200)
        assert_only(after, 200, 503)
        assert_kept(url, after)
        other = tmp_path / "other.db"
        source, copy = sqlite3.connect(file), sqlite3.connect(other)
        source.backup(copy)
        source.close()
        copy.close()
        other.replace(file)
        with under_load(port) as replaced:
            replaced.more(EVENTS, 200)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert_kept(url, replaced)


@pytest.mark.soak
def test_a_file_that_is_damaged(releases, file):
    """Refused until a whole one is put in its place, and then all goes on."""
    url = f"sqlite:///{file}"
    with serving(releases, IRGAN_STORE=url) as (process, port):
        with under_load(port) as load:
            load.more(EVENTS, 200)
        whole = file.with_name("whole.db")
        source, copy = sqlite3.connect(file), sqlite3.connect(whole)
        source.backup(copy)
        assert source.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # else the log alone would be enough
        source.close()
        copy.close()
        nonsense = file.with_name("nonsense.db")
        nonsense.write_bytes(b"no database at all, but long enough to look like one" * 1000)
        nonsense.replace(file)
        with under_load(port) as damaged:
            damaged.more(EVENTS, 503)
            damaged.more(RANKED, 200, 5)
            whole.replace(file)
            damaged.more(EVENTS, 200)
        assert_only(damaged, 200, 503)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert_kept(url, damaged)
