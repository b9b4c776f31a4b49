"""A service that follows an object store: it loads verified copies, and answers on while the store is away or damaged."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep

import orjson
import pytest
from typer.testing import CliRunner

from app.bundle import write_bundle, write_rerank
from app.cli import app
from app.releases import LiveRelease, ReleaseDamaged, ReleasesUnreachable, ReleasesUnusable
from app.releases.remote import RemoteReleases, cache, default_cache
from app.releases.remote.objects import Objects
from tests.app.process import serving
from tests.conftest import make_draft, make_rerank_draft
from tests.object_store import ObjectStore

POLL = 0.05
WITHIN_SECONDS = 2.0


def publish(store: RemoteReleases, tmp_path: Path, *versions: str, slot: str = "champion") -> None:
    for version in versions:
        path = tmp_path / "drafts" / "features" / version
        store.publish(
            path if path.exists() else write_rerank(make_rerank_draft(version=version), tmp_path / "drafts"), slot, by="setup"
        )


def following(s3: ObjectStore, tmp_path: Path, name: str = "service") -> LiveRelease:
    """What a service holds, with a cache of its own."""
    live = LiveRelease(RemoteReleases(s3.url, tmp_path / name, max_age=POLL), "champion")
    live.refresh()
    return live


def refreshed(live: LiveRelease) -> str | None:
    """What answers once the slot was looked at again."""
    sleep(POLL)
    live.refresh()
    return live.current.name if live.current else None


@pytest.fixture
def away(s3, monkeypatch):
    """Lets requests fail as if nobody answered, at once; undone by calling it with False."""
    real = {name: getattr(Objects, name) for name in ("list", "read", "fetch", "create")}

    def unreachable(self: Objects, *_: object, **__: object) -> None:
        raise ReleasesUnreachable(f"{self.url} cannot be reached now")

    def switch(is_away: bool) -> None:
        for name, method in real.items():
            monkeypatch.setattr(Objects, name, unreachable if is_away else method)

    return switch


def test_a_service_follows_the_slot_and_looks_no_more_often_than_it_is_told(s3, remote, tmp_path, monkeypatch):
    publish(remote, tmp_path, "v1")
    looks = []
    listed = Objects.list
    store = RemoteReleases(s3.url, tmp_path / "service", max_age=3600.0)
    live = LiveRelease(store, "champion")
    live.refresh()
    monkeypatch.setattr(Objects, "list", lambda self, prefix: (looks.append(prefix), listed(self, prefix))[1])
    publish(remote, tmp_path, "v2")
    looks.clear()
    for _ in range(20):
        live.refresh()
    assert looks == [] and live.release().name == "features/v1"
    store.promote("features/v2", "champion")  # through this very process
    live.refresh()
    assert live.release().name == "features/v2"


def test_a_copy_is_fetched_once_for_all_processes_of_a_host(s3, remote, tmp_path, monkeypatch):
    publish(remote, tmp_path, "v1")
    assert following(s3, tmp_path).release().name == "features/v1"
    monkeypatch.setattr(Objects, "fetch", None)
    assert following(s3, tmp_path).release().name == "features/v1"


def test_while_the_store_is_away_a_service_answers_starts_and_says_so_once(s3, remote, tmp_path, away, caplog):
    publish(remote, tmp_path, "v1", "v2")
    live = following(s3, tmp_path)
    with caplog.at_level(logging.INFO):
        away(True)
        for _ in range(3):
            assert refreshed(live) == "features/v2"
        assert live.store.is_unreachable and not live.is_refused
        assert [record.levelname for record in caplog.records if "cannot be seen" in record.message] == ["WARNING"]
        restarted = following(s3, tmp_path)
        assert restarted.release().name == "features/v2"
        assert [one.release for one in restarted.store.published()] == ["features/v2"]  # of what is here
        assert [change.release for change in restarted.store.history("champion")] == ["features/v1", "features/v2"]
        with pytest.raises(ReleasesUnreachable):
            restarted.store.promote("features/v1", "champion")
        away(False)
        publish(remote, tmp_path, "v3")
        assert refreshed(live) == refreshed(restarted) == "features/v3"
    assert not live.store.is_unreachable and "can be read again" in caplog.text


def test_a_service_that_never_saw_the_store_waits_for_it(s3, remote, tmp_path, away, caplog):
    publish(remote, tmp_path, "v1")
    away(True)
    live = following(s3, tmp_path)
    assert live.current is None and live.is_refused
    with pytest.raises(ReleasesUnreachable):
        live.store.slots()
    away(False)
    assert refreshed(live) == "features/v1" and not live.is_refused


def damaged_in_two_ways(content: bytes) -> list[bytes]:
    middle = len(content) // 2
    return [content[:middle], content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]]


def test_every_object_damaged_in_the_bucket_is_refused_by_new_hosts_and_the_old_release_answers(s3, remote, tmp_path, caplog):
    publish(remote, tmp_path, "v1")
    publish(remote, tmp_path, "v2", slot="kept")
    names = ["ranker.onnx", "manifest.json", "manifest.sha256"]
    whole = remote.objects.read(f"bundles/features/v2/{name}" for name in names)
    assert len(whole) == 3
    live, new_host = following(s3, tmp_path), RemoteReleases(s3.url, tmp_path / "new")
    refused = 0
    for name, content in whole.items():
        for damaged in damaged_in_two_ways(content):
            remote.objects.replace(name, damaged)
            with pytest.raises(ReleaseDamaged, match="no slot has changed"):
                new_host.promote("kept", "champion")
            number = max(remote._slots.fresh()["champion"]) + 1
            line = f"2026-11-25T10:00:00+00:00 promote features/v2 somebody\n{number}\n"
            remote.objects.create(f"history/champion/{number:08}", line.encode())
            assert refreshed(live) == "features/v1" and live.is_refused
            refused += 1
            remote.objects.delete(f"history/champion/{number:08}")
            assert refreshed(live) == "features/v1" and not live.is_refused
            remote.objects.replace(name, content)
    assert refused == live.num_refusals == 6
    remote.promote("kept", "champion")
    assert refreshed(live) == "features/v2"


def test_every_file_damaged_in_the_cache_is_fetched_anew(s3, remote, tmp_path, caplog):
    publish(remote, tmp_path, "v1")
    store = RemoteReleases(s3.url, tmp_path / "service", max_age=3600.0)
    copy = store.path("features/v1")
    files = sorted(path.name for path in copy.iterdir() if path.name != ".objects")
    assert len(files) == 3
    for name in files:
        whole = (copy / name).read_bytes()
        for damaged in damaged_in_two_ways(whole):
            (copy / name).write_bytes(damaged)
            caplog.clear()
            live = LiveRelease(store, "champion")
            live.refresh()
            assert live.release().name == "features/v1" and live.num_refusals == 0
            assert "is damaged and fetched anew" in caplog.text
            assert (copy / name).read_bytes() == whole
    (copy / ".objects").write_text("{")
    assert following(s3, tmp_path).release().name == "features/v1"


def test_another_content_under_an_old_name_is_never_taken_from_the_cache(s3, remote, tmp_path):
    """Deleted in the store and made anew: the copy of before does not count."""
    publish(remote, tmp_path, "v1")
    following(s3, tmp_path)
    for name in remote.objects.list(""):
        remote.objects.delete(name)
    other = write_rerank(make_rerank_draft((9.0, 9.0), version="v1"), tmp_path / "others")
    RemoteReleases(s3.url, tmp_path / "theirs").publish(other, "champion")
    live = following(s3, tmp_path)
    assert (live.store.path("features/v1") / "manifest.json").read_bytes() == (other / "manifest.json").read_bytes()


def test_copies_that_nobody_needs_go(s3, remote, tmp_path, monkeypatch):
    """v4 is what the slot points to, v3 what it would go back to, and v1 is held; others go an hour after they were last looked at."""
    publish(remote, tmp_path, "v1", "v2", "v3")
    live = following(s3, tmp_path)
    live.hold(["features/v1", "features/v2"])
    publish(remote, tmp_path, "v4")
    assert refreshed(live) == "features/v4"
    assert isinstance(live.store, RemoteReleases)
    assert live.store.cache.releases() == [f"features/v{number}" for number in range(1, 5)]
    live.hold(["features/v1"])
    monkeypatch.setattr(cache, "_UNUSED_SECONDS", -1.0)
    publish(remote, tmp_path, "v5")
    assert refreshed(live) == "features/v5"
    assert live.store.cache.releases() == ["features/v1", "features/v4", "features/v5"]


def test_what_a_killed_download_left_is_swept_by_the_next_one(s3, remote, tmp_path, monkeypatch):
    publish(remote, tmp_path, "v1")
    store = RemoteReleases(s3.url, tmp_path / "service")
    fetch, fetched = Objects.fetch, []

    def killed(self: Objects, name: str, target: Path) -> None:
        if len(fetched) == 2:
            os.link(target.parent / "manifest.json", tmp_path / "proof")
            shutil.copytree(target.parent, target.parent.parent / ".v1.0123abcd.tmp")  # as it is where a process is killed
            raise KeyboardInterrupt
        fetched.append(name)
        fetch(self, name, target)

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "fetch", killed)
        with pytest.raises(KeyboardInterrupt):
            store.path("features/v1")
    assert store.cache.releases() == []
    store.path("features/v1")
    assert sorted(path.name for path in (store.cache.path("features/v1") / "..").iterdir()) == [".lock", "v1"]


def test_a_cache_that_cannot_be_written_is_named_with_what_to_set(tmp_path, s3):
    (tmp_path / "file").touch()
    with pytest.raises(ReleasesUnusable, match=r"file.*IRGAN_RELEASES_CACHE"):
        RemoteReleases(s3.url, tmp_path / "file")


def test_the_cache_is_the_users_own_unless_it_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("IRGAN_RELEASES_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "irgan" / "releases"
    monkeypatch.setenv("IRGAN_RELEASES_CACHE", str(tmp_path / "mine"))
    assert default_cache() == tmp_path / "mine"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    """As containers have them that run under any number."""
    for name in ("IRGAN_RELEASES_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with pytest.raises(ReleasesUnusable, match="IRGAN_RELEASES_CACHE"):
        default_cache()


def test_one_cache_serves_several_addresses_and_only_its_user(s3, tmp_path):
    one, other = (RemoteReleases(url, tmp_path / "cache") for url in (s3.url, s3.new_prefix()))
    assert one.cache.folder != other.cache.folder
    assert one.cache.folder.stat().st_mode & 0o077 == 0


def test_a_real_service_swaps_survives_an_outage_and_starts_within_one(s3, remote, tmp_path):
    """No request fails; each change is followed within two seconds; commands of another process work on the same address."""

    def written(version: str, seed: int) -> Path:
        return write_bundle(make_draft(num_items=300, seed=seed, version=version), tmp_path / "drafts")

    environment = {
        **s3.environment,
        "IRGAN_STORE": f"sqlite:///{tmp_path / 'irgan.db'}",
        "IRGAN_RELEASES_CACHE": str(tmp_path / "service"),
        "IRGAN_RELEASES_POLL_SECONDS": "0.2",
    }
    statuses: Counter[int] = Counter()
    latest = ""
    ended = threading.Event()

    def ask(port: int) -> None:
        nonlocal latest
        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            while not ended.is_set():
                connection.request("GET", "/v1/recommendations/u1?k=5")
                answer = connection.getresponse()
                statuses[answer.status] += 1
                latest = orjson.loads(answer.read())["release"]
                sleep(0.005)

    def seconds_until(release: str) -> float:
        started = monotonic()
        while latest != release and monotonic() - started < 30:
            sleep(0.01)
        return monotonic() - started

    def told(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("GET" if body is None else "POST", path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    remote.publish(written("v1", 1), "champion")
    with serving(s3.url, **environment) as (_, port):
        asking = threading.Thread(target=ask, args=(port,))
        asking.start()
        seconds_until("sample/v1")
        remote.publish(written("v2", 2), "champion")
        assert seconds_until("sample/v2") < WITHIN_SECONDS
        assert told(port, "/v1/releases/champion/rollback", b"{}")[0] == 200
        assert seconds_until("sample/v1") < WITHIN_SECONDS
        s3.stop()
        try:
            sleep(0.3)
            started = monotonic()
            status, body = told(port, "/v1/releases")
            assert status == 200 and orjson.loads(body)["live"] == "sample/v1"
            assert monotonic() - started < 10
            while b"irgan_releases_unreachable 1.0" not in told(port, "/metrics")[1]:
                sleep(0.05)
            status, body = told(port, "/v1/releases/champion/rollback", b'{"to": "sample/v2"}')
            assert status == 503 and orjson.loads(body)["type"] == "urn:irgan:problem:releases-unusable"
            with serving(s3.url, **environment) as (_, another):
                assert orjson.loads(told(another, "/health/ready")[1])["release"] == "sample/v1"
        finally:
            s3.start()
        done = CliRunner().invoke(app, ["promote", "sample/v2", "--releases", s3.url], env=environment)
        assert (done.exit_code, done.output) == (0, f"slot champion of {s3.url} points to sample/v2\n")
        assert seconds_until("sample/v2") < WITHIN_SECONDS + 10
        ended.set()
        asking.join()
    assert statuses.keys() == {200}
