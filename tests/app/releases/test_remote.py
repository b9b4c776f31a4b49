"""Releases in an object store: what is there counts, whoever else writes at the same time, and whatever was left half done."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.bundle import BundleNotFound, read_bundle, write_rerank
from app.cli import app
from app.errors import ExtraMissing
from app.experiments.definition import Experiment
from app.experiments.errors import ReleaseUnsuitable
from app.experiments.rankers import resolved
from app.releases import (
    KeptReleases,
    ReleaseConflict,
    ReleaseDamaged,
    ReleasesBusy,
    ReleasesReadOnly,
    ReleaseStore,
    ReleasesUnreachable,
    ReleasesUnusable,
    SlotInvalid,
    UnknownRelease,
    open_releases,
    prune,
)
from app.releases.remote import RemoteReleases, deleting, objects
from app.releases.remote.cache import Cache
from app.releases.remote.objects import Found, Objects
from tests.app.releases.conftest import everything
from tests.conftest import make_rerank_draft


def written(tmp_path: Path, version: str, seed: int = 0) -> Path:
    path = tmp_path / f"drafts-{seed}" / "features" / version
    return (
        path
        if path.exists()
        else write_rerank(make_rerank_draft((1.0, float(seed)), version=version), tmp_path / f"drafts-{seed}")
    )


def together(*works: Callable[[], object]) -> list[BaseException | None]:
    """What became of works that began at the same time."""
    start = threading.Barrier(len(works))
    outcomes: list[BaseException | None] = [None] * len(works)

    def run(place: int, work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=one) for one in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_a_folder_stays_a_folder_and_an_address_becomes_an_object_store(tmp_path, s3):
    assert isinstance(open_releases(tmp_path / "releases"), ReleaseStore)
    opened = open_releases(s3.url, cache=tmp_path / "cache")
    assert isinstance(opened, RemoteReleases) and opened.place == s3.url


def test_the_layout_is_that_of_a_folder_and_each_change_an_object_of_its_own(remote, tmp_path):
    bundle = written(tmp_path, "v1")
    remote.publish(bundle, "champion", by="anna")
    remote.promote("champion", "challenger", by="berta")
    kept = everything(remote)
    lines = {
        name: kept.pop(name).decode().split("\n")[0].split(" ")[1:] for name in sorted(kept) if name.startswith("history/")
    }
    assert lines == {
        "history/challenger/00000001": ["promote", "features/v1", "berta"],
        "history/champion/00000001": ["publish", "features/v1", "anna"],
    }
    assert kept == {f"bundles/features/v1/{path.name}": path.read_bytes() for path in bundle.iterdir()}


def test_a_folder_that_was_copied_up_is_published(remote, tmp_path):
    """Its slots are not: they are pointers without a history there."""
    folder = ReleaseStore(tmp_path / "releases")
    folder.publish(written(tmp_path, "v1"), "champion")
    for name, content in everything(folder).items():
        remote.objects.replace(name, content)
    assert [manifest.release for manifest in remote.published()] == ["features/v1"] and remote.slots() == {}
    assert remote.promote("features/v1", "champion") == "features/v1"


def test_two_who_publish_at_once_lose_nothing(s3, tmp_path):
    """Each has a number of its own, both changes are in the history, and everybody sees the same."""
    bundles = [written(tmp_path, f"v{number}") for number in range(4)]
    stores = [RemoteReleases(s3.url, tmp_path / f"cache-{number}") for number in range(4)]
    outcomes = together(
        *(
            lambda store=store, bundle=bundle: store.publish(bundle, "champion")
            for store, bundle in zip(stores, bundles, strict=True)
        )
    )
    assert outcomes == [None] * 4
    told = [change.release for change in stores[0].history("champion")]
    assert sorted(told) == [f"features/v{number}" for number in range(4)]
    assert {store.current("champion") for store in stores} == {told[-1]}
    assert [name for name in sorted(everything(stores[0])) if name.startswith("history/")] == [
        f"history/champion/{number:08}" for number in range(1, 5)
    ]


def test_two_who_publish_the_same_at_once_publish_it_once(s3, tmp_path):
    bundle = written(tmp_path, "v1")
    stores = [RemoteReleases(s3.url, tmp_path / f"cache-{number}") for number in range(2)]
    assert together(*(lambda store=store: store.publish(bundle, "champion") for store in stores)) == [None, None]
    assert [change.release for change in stores[0].history("champion")] == ["features/v1"]


def test_of_two_contents_under_one_name_exactly_one_is_published(s3, tmp_path):
    bundles = [written(tmp_path, "v1", seed) for seed in range(2)]
    stores = [RemoteReleases(s3.url, tmp_path / f"cache-{number}") for number in range(2)]
    outcomes = together(
        *(
            lambda store=store, bundle=bundle: store.publish(bundle, "champion")
            for store, bundle in zip(stores, bundles, strict=True)
        )
    )
    assert sorted(type(outcome) for outcome in outcomes if outcome is not None) == [ReleaseConflict]
    winner = bundles[outcomes.index(None)]
    assert (stores[0].path("features/v1") / "manifest.json").read_bytes() == (winner / "manifest.json").read_bytes()


def test_rollbacks_at_once_walk_back_one_after_the_other(s3, tmp_path):
    """Whoever loses a number decides again from what there is then: two rollbacks are two steps, not one."""
    stores = [RemoteReleases(s3.url, tmp_path / f"cache-{number}") for number in range(2)]
    for number in range(1, 5):
        stores[0].publish(written(tmp_path, f"v{number}"), "champion")
    assert together(*(lambda store=store: store.rollback("champion") for store in stores)) == [None, None]
    assert [change.release for change in stores[0].history("champion")][-2:] == ["features/v3", "features/v2"]


def test_who_decided_and_was_outrun_decides_again(s3, tmp_path, monkeypatch):
    """Somebody else goes back while this one verifies the same release: two rollbacks are two steps, not one of which the other sees."""
    releases, theirs = (RemoteReleases(s3.url, tmp_path / name) for name in ("cache", "theirs"))
    for number in range(1, 5):
        releases.publish(written(tmp_path, f"v{number}"), "champion")
    verify = RemoteReleases._verify

    def outrun(self: RemoteReleases, release: str) -> None:
        verify(self, release)
        if self is releases and theirs.current("champion") == "features/v4":
            theirs.rollback("champion")

    monkeypatch.setattr(RemoteReleases, "_verify", outrun)
    assert releases.rollback("champion") == "features/v2"
    assert [change.release for change in releases.history("champion")][-2:] == ["features/v3", "features/v2"]


def test_who_is_always_outrun_is_told_so(s3, tmp_path, monkeypatch):
    hurried = RemoteReleases(s3.url, tmp_path / "cache", patience=0.2)
    hurried.publish(written(tmp_path, "v1"), "champion")
    monkeypatch.setattr(hurried._slots, "append", lambda *_: False)
    with pytest.raises(ReleasesBusy, match="try again"):
        hurried.promote("features/v1", "other")


def test_an_answer_that_was_lost_is_no_defeat(remote, tmp_path, monkeypatch):
    """What reaches the store asks again then, and meets its own object: one rollback stays one step."""
    for version in ("v1", "v2", "v3"):
        remote.publish(written(tmp_path, version), "champion")
    create = Objects.create

    def twice(self: Objects, name: str, content: bytes | Path) -> None:
        create(self, name, content)
        create(self, name, content)

    monkeypatch.setattr(Objects, "create", twice)
    assert remote.rollback("champion") == remote.current("champion") == "features/v2"
    assert [change.release for change in remote.history("champion")][2:] == ["features/v3", "features/v2"]


@pytest.mark.parametrize("killed_at", range(4))
def test_killed_at_any_write_the_same_publication_goes_on(s3, tmp_path, monkeypatch, killed_at):
    """Three objects of the bundle, the manifest last, and the change of the slot: until that one the slot is as it was."""
    first, bundle = (written(tmp_path, version) for version in ("v1", "v2"))
    releases = RemoteReleases(s3.url, tmp_path / "cache")
    releases.publish(first, "champion")
    create, writes = Objects.create, []

    def killed(self: Objects, name: str, content: bytes | Path) -> None:
        if len(writes) == killed_at:
            raise KeyboardInterrupt
        writes.append(name)
        create(self, name, content)

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "create", killed)
        with pytest.raises(KeyboardInterrupt):
            releases.publish(bundle, "champion")
    names = ["ranker.onnx", "manifest.sha256", "manifest.json"]
    assert writes == [f"bundles/features/v2/{name}" for name in names[:killed_at]]
    again = RemoteReleases(s3.url, tmp_path / "another-cache")
    assert again.current("champion") == "features/v1"
    assert [one.version for one in again.published()] == (["v1"] if killed_at < 3 else ["v1", "v2"])
    again.publish(bundle, "champion")
    kept = everything(again)
    assert {name: kept[name] for name in kept if "/v2/" in name} == {
        f"bundles/features/v2/{name}": (bundle / name).read_bytes() for name in names
    }
    assert [change.release for change in again.history("champion")] == ["features/v1", "features/v2"]
    assert len(kept) == 2 * len(names) + 2


def test_another_content_after_half_an_upload_is_refused_until_that_is_deleted(remote, tmp_path, monkeypatch):
    half, other = written(tmp_path, "v1"), written(tmp_path, "v1", seed=1)
    remote.objects.create("bundles/features/v1/ranker.onnx", half / "ranker.onnx")
    with pytest.raises(ReleaseConflict, match=r"ranker\.onnx is there with another content.*prune"):
        remote.publish(other, "champion")
    assert prune(remote, 5) == [] and "bundles/features/v1/ranker.onnx" in everything(remote)
    monkeypatch.setattr(deleting, "_UNFINISHED", timedelta(0))
    prune(remote, 5)
    assert not any(name.startswith("bundles/") for name in everything(remote))
    remote.publish(other, "champion")


def test_a_store_that_replaces_what_it_should_create_is_refused(remote, tmp_path, monkeypatch):
    """As servers do that do not know If-None-Match; what was published before stays readable."""
    remote.publish(written(tmp_path, "v1"), "champion")
    again = RemoteReleases(remote.place, tmp_path / "cache")
    monkeypatch.setattr(Objects, "create", Objects.replace)
    before = everything(again)
    for act in (lambda: again.publish(written(tmp_path, "v2"), "champion"), lambda: again.promote("features/v1", "other")):
        with pytest.raises(ReleasesUnusable, match=r"If-None-Match.*no slot has changed"):
            act()
    assert everything(again) == before and again.current("champion") == "features/v1"


@pytest.mark.parametrize("url", ["memory://releases", "http://127.0.0.1/releases", "zip://releases", "nonsense://x"])
def test_file_systems_that_look_first_and_write_then_are_refused(tmp_path, url):
    with pytest.raises(ReleasesUnusable, match="only s3:// and gs://"):
        open_releases(url, cache=tmp_path)


@pytest.mark.parametrize(
    "url", ["s3://me:secret-word@bucket/x", "s3://bucket/x?password=secret-word", "s3://bucket#secret-word"]
)
def test_an_address_with_credentials_is_refused_and_not_repeated(tmp_path, url):
    with pytest.raises(ReleasesUnusable, match="credentials come from the environment") as refused:
        open_releases(url, cache=tmp_path)
    assert "secret-word" not in str(refused.value)


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    def missing(*_: object, **__: object) -> None:
        raise ImportError("No module named 'gcsfs'")

    monkeypatch.setattr("fsspec.filesystem", missing)
    with pytest.raises(ExtraMissing, match=r"pip install 'irgan\[gcs\]'"):
        open_releases("gs://bucket/x", cache=tmp_path)
    with pytest.raises(ExtraMissing, match=r"pip install 'irgan\[s3\]'"):
        open_releases("s3://bucket/x", cache=tmp_path)


def test_a_bucket_that_is_not_there_is_named(s3, tmp_path):
    absent = RemoteReleases("s3://absent/x", tmp_path / "cache")
    for act in (absent.slots, absent.published, lambda: absent.publish(written(tmp_path, "v1"), "champion")):
        with pytest.raises(ReleasesUnusable, match="there is no bucket 'absent'"):
            act()


def test_without_credentials_one_line_says_so(s3, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(ReleasesUnusable, match=r"no credentials were found.*AWS_"):
        RemoteReleases(s3.url, tmp_path / "cache").slots()


def test_what_may_be_read_and_not_written_says_so_and_nothing_changes(remote, tmp_path, monkeypatch):
    """As with a service's credentials; the error is what s3fs makes of 403."""
    remote.publish(written(tmp_path, "v1"), "champion")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(remote.objects._fs, "pipe_file", denied)
    with pytest.raises(
        ReleasesReadOnly, match=r"may not be changed with these credentials \(Access Denied\); no slot has changed"
    ):
        remote.promote("features/v1", "other")
    monkeypatch.setattr(remote.objects._fs, "find", denied)
    with pytest.raises(ReleasesUnusable, match="may not be read with these credentials"):
        remote.slots()


def test_an_endpoint_that_does_not_answer_is_an_error_in_one_line(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = RemoteReleases(s3.url, tmp_path / "cache")
    for act in (away.slots, away.published, lambda: away.rollback("champion"), lambda: away.path("features/v1")):
        with pytest.raises(ReleasesUnreachable, match=rf"{s3.url} cannot be reached now") as error:
            act()
        assert "\n" not in str(error.value)
        assert error.value.exit_code == 1  # schedulers try again


def test_a_server_that_takes_connections_and_says_nothing_is_not_waited_for(s3, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        away = RemoteReleases(s3.url, tmp_path / "cache")
        for act in (away.slots, away.published, lambda: away.rollback("champion")):
            with pytest.raises(ReleasesUnreachable, match=r"cannot be reached now \(FSTimeoutError\)"):
                act()


def test_commands_work_on_an_address_as_on_a_folder(s3, tmp_path):
    """What is told is the same but for the place; errors are one line and an exit code."""
    environment = {"IRGAN_RELEASES": s3.url, "IRGAN_RELEASES_CACHE": str(tmp_path / "cache")}

    def told(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments), env=environment, catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    for version in ("v1", "v2", "v3"):
        assert (
            told("publish", str(written(tmp_path, version)))
            == f"features/{version} is published in slot champion of {s3.url}\n"
        )
    assert told("rollback") == f"slot champion of {s3.url} is back at features/v2\n"
    assert told("promote", "features/v3", "--to", "challenger") == f"slot challenger of {s3.url} points to features/v3\n"
    table = [line.split() for line in told("releases").splitlines()]
    assert [(line[0], line[-1]) for line in table[2:]] == [("features/v2", "champion"), ("features/v3", "challenger")]
    assert "rollback  features/v2" in told("releases", "--history", "champion")
    assert told("releases", "prune", "--keep", "0", "--without-store").startswith("no release deleted")
    assert told("releases", "--releases", f"{s3.url}/other").startswith(f"nothing is published in {s3.url}/other; publish")


def test_variants_of_experiments_are_found_by_their_manifests_alone(remote, tmp_path, monkeypatch):
    """No bundle is fetched to start an experiment."""
    for version in ("v1", "v2"):
        remote.publish(written(tmp_path, version), "champion")
    definition = Experiment.model_validate(
        {
            "name": "test",
            "surface": "rerank",
            "variants": [{"name": "a", "release": "champion"}, {"name": "b", "release": "features/v1"}],
        }
    )
    monkeypatch.setattr(Objects, "fetch", None)
    assert resolved(definition, remote, {}) == {"a": "features/v2", "b": "features/v1"}
    with pytest.raises(ReleaseUnsuitable, match=r"variant 'a': there is no release features/v9 in s3://"):
        resolved(definition, remote, {"a": "features/v9"})


def test_a_change_that_is_none_is_named_and_cured_by_deleting_it(remote, tmp_path):
    remote.publish(written(tmp_path, "v1"), "champion")
    remote.objects.replace("history/champion/00000002", b"what is this\n")
    with pytest.raises(SlotInvalid, match=r"history/champion/00000002 holds 'what is this'.*delete it"):
        remote.slots()
    assert remote.publish(written(tmp_path, "v2"), "champion") == "features/v2"
    assert remote.current("champion") == "features/v2"
    remote.objects.delete("history/champion/00000002")
    assert [change.release for change in remote.history("champion")] == ["features/v1", "features/v2"]


def test_old_releases_go_and_what_slots_need_and_what_is_in_use_stays(remote, tmp_path):
    made = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(1, 6):
        draft = replace(make_rerank_draft(version=f"v{number}"), created=made + timedelta(days=number))
        remote.publish(write_rerank(draft, tmp_path / "drafts"), "champion")
    in_use = nullcontext({"features/v1"})
    before = everything(remote)
    assert [one.version for one in prune(remote, 1, in_use=in_use, dry_run=True)] == ["v2", "v3"]
    assert everything(remote) == before
    assert [one.version for one in prune(remote, 1, in_use=in_use)] == ["v2", "v3"]
    assert [one.version for one in remote.published()] == ["v1", "v4", "v5"]
    assert not any("/v2/" in name or "/v3/" in name for name in everything(remote))
    with pytest.raises(UnknownRelease, match="kept are"):
        remote.promote("features/v2", "champion")
    with pytest.raises(BundleNotFound):
        remote.path("features/v2")
    assert remote.rollback("champion") == "features/v4"


@pytest.mark.parametrize("killed_at", [0, 1, 3])
def test_killed_while_deleting_there_is_no_half_release_and_the_next_one_ends_it(remote, tmp_path, monkeypatch, killed_at):
    for number in range(1, 4):
        remote.publish(written(tmp_path, f"v{number}"), "champion")
    delete, deleted = Objects.delete, []

    def killed(self: Objects, name: str) -> None:
        if len(deleted) == killed_at:
            raise KeyboardInterrupt
        deleted.append(name)
        delete(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(remote, 0)
    assert [one.version for one in remote.published()] == ["v2", "v3"]
    with pytest.raises(UnknownRelease):
        remote.promote("features/v1", "other")
    with pytest.raises(ReleasesBusy, match="irgan releases prune ends that"):
        remote.publish(written(tmp_path, "v1"), "other")
    prune(remote, 0)
    assert not any("/v1/" in name for name in everything(remote))
    assert remote.publish(written(tmp_path, "v1"), "other") == "features/v1"


def test_what_a_slot_came_to_need_while_it_was_about_to_be_deleted_stays(remote, tmp_path, monkeypatch):
    """Promoted after it was decided what goes, and before it was marked."""
    for number in range(1, 4):
        remote.publish(written(tmp_path, f"v{number}"), "champion")
    create = Objects.create

    def promoting(self: Objects, name: str, content: bytes | Path) -> None:
        if name.endswith(".going"):
            monkeypatch.setattr(Objects, "create", create)
            RemoteReleases(remote.place, tmp_path / "theirs").promote("features/v1", "other")
        create(self, name, content)

    monkeypatch.setattr(Objects, "create", promoting)
    assert prune(remote, 0) == []
    assert remote.slots() == {"champion": "features/v3", "other": "features/v1"}
    read_bundle(remote.path("features/v1"))


def test_what_is_being_deleted_while_it_is_promoted_is_not_promoted(remote, tmp_path, monkeypatch):
    """Marked after it was verified, and before the slot moves: the slot is as it was."""
    for number in range(1, 4):
        remote.publish(written(tmp_path, f"v{number}"), "champion")
    theirs = RemoteReleases(remote.place, tmp_path / "theirs")
    create = Objects.create

    def pruning(self: Objects, name: str, content: bytes | Path) -> None:
        if name == "history/champion/00000004":
            monkeypatch.setattr(Objects, "create", create)
            assert [one.version for one in prune(theirs, 0)] == ["v1"]
        create(self, name, content)

    monkeypatch.setattr(Objects, "create", pruning)
    with pytest.raises(UnknownRelease, match=r"was deleted from .* in the meantime; no slot has changed"):
        remote.promote("features/v1", "champion")
    assert [change.release for change in theirs.history("champion")] == ["features/v1", "features/v2", "features/v3"]
    assert remote.current("champion") == "features/v3"


def test_a_mark_is_taken_back_by_who_set_it_alone_or_when_it_is_old(remote, tmp_path, monkeypatch):
    """Somebody who promotes has seen it, and undoes their change for it; one of a killed process must not stay."""
    for number in range(1, 4):
        remote.publish(written(tmp_path, f"v{number}"), "champion")
    mark = "bundles/features/v3/.going"
    remote.objects.create(mark, b"")
    assert [one.version for one in prune(remote, 0)] == ["v1"]
    assert mark in everything(remote)
    monkeypatch.setattr(deleting, "_DECIDED", timedelta(seconds=-5))
    assert prune(remote, 0) == []
    assert mark not in everything(remote)
    assert RemoteReleases(remote.place, tmp_path / "theirs").promote("features/v3", "other") == "features/v3"


def test_tags_are_found_whatever_the_store_calls_them():
    """As S3 lists objects, as Google does, and as one does that tells sizes and times alone."""
    time = datetime(2026, 11, 25, tzinfo=UTC)
    assert objects._tag({"ETag": '"a"', "LastModified": time}) == '"a"'
    assert objects._tag({"etag": "b", "md5Hash": "c", "updated": "2026-11-25T00:00:00Z"}) == "b"
    assert objects._modified({"updated": "2026-11-25T00:00:00Z"}) == time
    assert objects._tag({"size": 1, "mtime": time}) == f"1 {time}"
    assert not deleting._is_older(Found(1, "a", None), time, timedelta(0))


def test_a_damaged_object_is_noticed_by_all_and_mended_by_publishing(remote, tmp_path):
    bundle = written(tmp_path, "v1")
    remote.publish(bundle, "champion")
    before = everything(remote)
    for name in ("ranker.onnx", "manifest.json", "manifest.sha256"):
        remote.objects.replace(f"bundles/features/v1/{name}", b"damaged")
        with pytest.raises((ReleaseDamaged, BundleNotFound)):
            RemoteReleases(remote.place, tmp_path / name).promote("features/v1", "other")
        remote.publish(bundle, "champion")
        assert everything(remote) == before


def test_a_full_disk_for_copies_lets_go_of_what_nobody_needs_and_else_names_the_folder(remote, tmp_path, monkeypatch):
    for version in ("v1", "v2", "v3"):
        remote.publish(written(tmp_path, version), "champion")
    theirs = RemoteReleases(remote.place, tmp_path / "their cache")
    old = theirs.loaded("features/v1", Path)
    os.utime(old, (0, 0))
    killed = old.with_name(".v0.12345678.tmp")
    killed.mkdir()
    fetch = Objects.fetch

    def full(self: Objects, name: str, target: Path) -> None:
        if old.exists() or killed.exists() or "/v2/" in name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fetch(self, name, target)

    monkeypatch.setattr(Objects, "fetch", full)
    assert theirs.loaded("features/v3", Path).is_dir()
    with pytest.raises(OSError, match=r"No space left on device: .*their cache"):
        theirs.loaded("features/v2", Path)


def test_deleting_copies_does_not_wait_for_another_process_that_fetches(remote, tmp_path):
    for version in ("v1", "v2", "v3"):
        remote.publish(written(tmp_path, version), "champion")
    cache = Cache(tmp_path / "their cache", str(remote.place))
    theirs = RemoteReleases(remote.place, tmp_path / "their cache")
    old = theirs.loaded("features/v1", Path)
    os.utime(old, (0, 0))
    with cache.locked("features/v1"):
        cache.evict(())
        assert old.exists()
    cache.evict(())
    assert not old.exists()


def test_both_kinds_refuse_alike(kept: KeptReleases, tmp_path: Path) -> None:
    kept.publish(written(tmp_path, "v1"), "champion")
    with pytest.raises(UnknownRelease, match="the slots are champion"):
        kept.promote("nothing", "champion")
