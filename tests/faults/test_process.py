"""Signals and limits: what was accepted is answered, what was acknowledged is there, and what cannot be loaded leaves the old in its place."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import httpx
import pytest

from app.bundle import write_bundle, write_file
from app.releases import ReleaseStore
from tests.app.process import serving
from tests.conftest import make_draft
from tests.faults.load import assert_kept, under_load
from tests.faults.test_bundles import is_refused, wait_until

EVENTS, RANKED, READY, SEARCH = "/v1/events", "/v1/recommendations/u1?k=5", "/health/ready", "/v1/search"


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    store = ReleaseStore(tmp_path / "releases")
    store.publish(write_bundle(make_draft(), tmp_path / "drafts"), "champion")
    return store


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, *(pytest.param(how, marks=pytest.mark.soak) for how in (signal.SIGINT, signal.SIGHUP))]
)
def test_a_service_that_is_told_to_end_under_load(store, tmp_path, how):
    """What it has taken on is answered: no event is stored that was not acknowledged, but for connections that never got to ask."""
    if signal.getsignal(how) is signal.SIG_IGN:
        pytest.skip("ignored here, as under nohup, so the service ignores it too")
    url = f"sqlite:///{tmp_path}/irgan.db"
    with serving(store.folder, IRGAN_STORE=url, IRGAN_IMPRESSIONS="all") as (process, port):  # noqa: SIM117 - it ends later
        with under_load(port, (RANKED, READY, SEARCH), senders=6) as load:
            load.more(EVENTS, 200, 10)
            process.send_signal(how)
            process.wait(30)
            load.more(EVENTS, 0)
    assert process.returncode == 0
    assert {status for _, status in load.statuses} <= {200, 0, 503}
    assert_kept(url, load, all_shown=True)
    with serving(store.folder, IRGAN_STORE=url) as (_, port), under_load(port) as after:
        after.more(EVENTS, 200)
    assert_kept(url, after, others="s")


@pytest.mark.soak
def test_signals_that_mean_nothing_to_it(store, tmp_path):
    """A pipe that broke does not end it."""
    url = f"sqlite:///{tmp_path}/irgan.db"
    with serving(store.folder, IRGAN_STORE=url) as (process, port):
        with under_load(port, (RANKED, READY)) as load:
            for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGXFSZ):
                os.kill(process.pid, number)
                load.more(RANKED, 200)
                load.more(EVENTS, 200)
        assert {status for _, status in load.statuses} == {200}
        assert process.poll() is None
    assert_kept(url, load)


@pytest.mark.soak
def test_a_release_that_memory_does_not_suffice_for(store, tmp_path):
    """The one before goes on, and the other answers once there is memory again."""
    url = f"sqlite:///{tmp_path}/irgan.db"
    large = write_bundle(make_draft(num_items=40_000, dim=256, version="v2"), tmp_path / "drafts")
    with serving(store.folder, IRGAN_STORE=url, IRGAN_POLL_SECONDS="0.1") as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client, under_load(port, (READY,), senders=1) as load:
            load.more(EVENTS, 200)
            taken = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
            resource.prlimit(process.pid, resource.RLIMIT_AS, (taken + 60 * 2**20, resource.RLIM_INFINITY))
            store.publish(large, "champion")
            wait_until(lambda: is_refused(client))
            assert client.get(RANKED).json()["release"] == "sample/v1"
            load.more(EVENTS, 200)
            resource.prlimit(process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            write_file(store.pointer("champion"), b"sample/v1\n")
            wait_until(lambda: not is_refused(client))
            write_file(store.pointer("champion"), b"sample/v2\n")
            wait_until(lambda: client.get(RANKED).json()["release"] == "sample/v2")
        assert {status for _, status in load.statuses} == {200}
        assert process.poll() is None


@pytest.mark.soak
def test_a_live_release_whose_files_are_replaced_on_disk(store, tmp_path):
    """By others, by nothing, or deleted: what answers is what was loaded."""
    url = f"sqlite:///{tmp_path}/irgan.db"
    with serving(store.folder, IRGAN_STORE=url, IRGAN_POLL_SECONDS="0.1") as (process, port):
        with under_load(port, (RANKED, "/v1/recommendations/u3?k=9", SEARCH, "/v1/items/i3/similar")) as load:
            load.more(RANKED, 200)
            for path in store.path("sample/v1").iterdir():
                other = path.with_name(f".{path.name}.other")
                other.write_bytes(b"other")
                other.replace(path)
                load.more(RANKED, 200)
            for path in store.path("sample/v1").iterdir():
                path.unlink()
            load.more(RANKED, 200, 10)
            load.more(SEARCH, 200, 3)
        assert {status for _, status in load.statuses} == {200}
        assert process.poll() is None
