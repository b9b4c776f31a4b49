"""A disk that is full: what cannot be written is refused and nothing else is, what was acknowledged is there, and room is all that it takes to go on."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.bundle import write_bundle
from app.releases import ReleaseStore
from tests.app.process import irgan, serving
from tests.conftest import make_draft
from tests.faults.disk import SmallDisk, small_disk
from tests.faults.load import assert_kept, under_load
from tests.faults.test_bundles import wait_until

EVENTS, RANKED, READY = "/v1/events", "/v1/recommendations/u1?k=5", "/health/ready"
MANY = [{"id": f"many{number}", "title": "x" * 400, "text": "y" * 4000} for number in range(100)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 3) as disk:
        yield disk


def test_files_that_may_not_grow(releases, tmp_path):
    """The portable form of a full disk, in the middle of a load: no more than so many bytes in a file."""
    store = tmp_path / "irgan.db"
    with serving(releases, IRGAN_STORE=f"sqlite:///{store}", IRGAN_IMPRESSIONS="all") as (process, port):
        with under_load(port) as load:
            load.more(EVENTS, 200)
            for _ in range(2):
                size = max(path.stat().st_size for path in tmp_path.glob("irgan.db*")) + 50_000
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
                load.more(EVENTS, 503)
                load.more(RANKED, 200, 10)
                load.more(READY, 200)
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                load.more(EVENTS, 200)
        assert {status for path, status in load.statuses if path != EVENTS} == {200}
        assert {status for path, status in load.statuses if path == EVENTS} == {200, 503}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert_kept(f"sqlite:///{store}", load, all_shown=True)


def test_a_store_whose_disk_fills_up_under_load(releases, disk, tmp_path):
    """Everything that is written to the store is refused for now, with a reason; all else is answered; room is all it takes."""
    url = f"sqlite:///{disk.path}/irgan.db"
    with (tmp_path / "log").open("w") as log, serving(
        releases, stderr=log, within=disk.within, IRGAN_STORE=url, IRGAN_IMPRESSIONS="all", IRGAN_POLL_SECONDS="0.1"
    ) as (process, port):  # fmt: skip
        with under_load(port, (RANKED, READY, "/v1/search")) as load:
            load.more(EVENTS, 200)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                assert client.put("/v1/items/before", json={"title": "before"}).status_code == 200
                for _ in range(2):
                    disk.fill()
                    load.more(EVENTS, 503)
                    refused = client.put("/v1/items", json={"items": MANY})
                    assert (refused.status_code, refused.json()["type"]) == (503, "urn:irgan:problem:store-unusable")
                    assert refused.headers["retry-after"] and "full" in refused.json()["detail"]
                    assert client.post("/v1/search", json={"query": "before"}).json()["items"][0]["id"] == "before"
                    assert not client.post("/v1/search", json={"query": "many0", "k": 3}).json()["items"]
                    done = irgan("keys", "create", "k", "--role", "read", within=disk.within, IRGAN_STORE=url)
                    if done.returncode:  # or it found a place in what was there
                        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "full" in done.stderr, done.stderr
                    else:
                        irgan("keys", "revoke", "k", within=disk.within, IRGAN_STORE=url)
                    load.more(RANKED, 200, 5)
                    load.more("/v1/search", 200, 5)
                    disk.clear()
                    load.more(EVENTS, 200)
        assert {status for path, status in load.statuses if path != EVENTS} == {200}
        assert {status for path, status in load.statuses if path == EVENTS} == {200, 503}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    shutil.copy(disk.seen / "irgan.db", tmp_path / "copy.db")
    assert_kept(f"sqlite:///{tmp_path / 'copy.db'}", load, all_shown=True)
    told = [line for line in (tmp_path / "log").read_text().splitlines() if "cannot be written" in line]
    assert 1 <= len(told) <= 4, told


def test_a_folder_of_releases_on_a_full_disk(disk, tmp_path):
    """Whatever is tried, the slots are as they were, nothing lies about, and what answers goes on."""
    drafts = [
        write_bundle(make_draft(num_items=size, version=f"v{number}"), tmp_path / "drafts")
        for number, size in enumerate((30, 30, 5000))
    ]
    store = ReleaseStore(disk.seen / "releases")
    for draft in drafts[:2]:
        store.publish(draft, "champion")
    url = f"sqlite:///{tmp_path}/irgan.db"
    with serving(disk.path / "releases", within=disk.within, IRGAN_STORE=url) as (_, port):  # noqa: SIM117 - one line each
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            before = tree(store.folder)
            disk.fill()
            done = irgan("publish", drafts[2], "--releases", disk.path / "releases", within=disk.within)
            assert done.returncode == 1, done
            assert done.stderr.count("\n") == 1 and "No space left" in done.stderr, done.stderr
            assert tree(store.folder) == before
            for change in (
                lambda: store.publish(drafts[2], "champion"),
                lambda: store.promote("sample/v0", "champion"),
                lambda: store.promote("champion", "other"),
                lambda: store.rollback("champion"),
            ):
                with pytest.raises(OSError, match="No space left"):
                    change()
                assert tree(store.folder) == before
            answer = client.post("/v1/releases/champion/rollback", json={})
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:irgan:problem:releases-unusable"), answer.text
            assert answer.headers["retry-after"]
            assert tree(store.folder) == before
            assert client.get("/health/ready").json()["release"] == "sample/v1"
            assert client.get(RANKED).status_code == 200
            disk.clear()
            assert client.post("/v1/releases/champion/rollback", json={}).json()["release"] == "sample/v0"
            store.promote("sample/v1", "other")


def tree(folder: Path) -> dict[str, bytes]:
    """All files, and what they hold."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.mark.parametrize("ending", ["parquet", *(pytest.param(ending, marks=pytest.mark.soak) for ending in ("csv", "jsonl"))])
def test_an_export_that_does_not_fit(disk, tmp_path, ending):
    """It says so, and the export before is still there."""
    store = f"sqlite:///{tmp_path}/irgan.db"
    fill_store(store)
    output = disk.path / f"events.{ending}"
    (disk.seen / output.name).write_text("the one before")
    disk.fill()
    done = irgan("events", "export", "--output", output, within=disk.within, IRGAN_STORE=store)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "No space left" in done.stderr, done
    assert sorted(path.name for path in disk.seen.iterdir()) == [output.name, "filler"]
    assert (disk.seen / output.name).read_text() == "the one before"
    disk.clear()
    assert irgan("events", "export", "--output", output, within=disk.within, IRGAN_STORE=store).returncode == 0


def fill_store(url: str) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415 - likewise

    from app.store import Database, Event, insert_events  # noqa: PLC0415 - only here

    database = Database(url)
    with database.begin() as connection:
        insert_events(connection, [Event(id=f"e{n}", type="click", time=datetime.now(UTC), item="i1") for n in range(2000)])
    database.close()


@pytest.mark.soak
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_log_that_cannot_be_written_harms_nobody(releases, tmp_path):
    """Nor does a stdout that nobody can be told on."""
    store = f"sqlite:///{tmp_path}/irgan.db"
    with (
        Path("/dev/full").open("w") as full,
        serving(releases, "--access-log", stderr=full, IRGAN_STORE=store) as (process, port),
    ):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(20):
                assert client.get(RANKED).status_code == 200
            assert client.post(EVENTS, json={"id": "a", "type": "click", "user": "u1", "item": "i1"}).json()["accepted"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.soak
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_stdout_that_cannot_be_written_keeps_nobody_from_asking(releases, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port", str(port), "--releases", releases]
    environment = {**os.environ, "IRGAN_STORE": f"sqlite:///{tmp_path}/irgan.db"}
    with Path("/dev/full").open("w") as full, subprocess.Popen(
        command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:  # fmt: skip
        wait_until(lambda: is_live(port))
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait(30) in (0, 1)
    assert "stdout cannot be written" in told and "Traceback" not in told


def is_live(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
    except httpx.TransportError:
        return False
