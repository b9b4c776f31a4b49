"""Publishing and rolling back: whatever happens, a slot points to a whole bundle that can be served."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import shutil
import threading
from pathlib import Path

import pytest

from app.bundle import BundleError, FileDamaged, read_bundle, write_bundle
from app.releases import (
    NothingToRollBack,
    ReleaseConflict,
    ReleaseDamaged,
    ReleaseError,
    ReleasesBusy,
    ReleaseStore,
    ReleasesUnusable,
    SlotInvalid,
    UnknownRelease,
    store,
)
from app.releases.remote import store as remote_store
from tests.app.releases.conftest import everything
from tests.conftest import make_draft


@pytest.fixture
def releases(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


def files_of(bundle: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bundle.iterdir() if not path.name.startswith(".")}


def written(tmp_path: Path, version: str, seed: int = 0) -> Path:
    return write_bundle(make_draft(seed=seed, version=version), tmp_path / f"drafts-{seed}")


def test_what_is_published_is_what_was_given_and_the_slot_points_to_it(kept, tmp_path):
    bundle = written(tmp_path, "v1")
    assert kept.publish(bundle, "champion") == "sample/v1"
    assert files_of(kept.path("sample/v1")) == files_of(bundle)
    assert kept.slots() == {"champion": "sample/v1"}
    assert [manifest.version for manifest in kept.published()] == ["v1"]
    read_bundle(kept.path("sample/v1"))


def test_slots_are_independent(kept, tmp_path):
    kept.publish(written(tmp_path, "v1"), "champion")
    kept.publish(written(tmp_path, "v2"), "challenger")
    assert kept.slots() == {"challenger": "sample/v2", "champion": "sample/v1"}


def test_each_rollback_goes_one_release_further_back_and_the_first_one_stays(kept, tmp_path):
    for version in ("v1", "v2", "v3"):
        kept.publish(written(tmp_path, version), "champion")
    assert [kept.rollback("champion") for _ in range(2)] == ["sample/v2", "sample/v1"]
    with pytest.raises(NothingToRollBack, match="no release before sample/v1"):
        kept.rollback("champion")
    kept.publish(kept.path("sample/v3"), "champion")
    assert [(change.action, change.release) for change in kept.history("champion")] == [
        ("publish", "sample/v1"),
        ("publish", "sample/v2"),
        ("publish", "sample/v3"),
        ("rollback", "sample/v2"),
        ("rollback", "sample/v1"),
        ("publish", "sample/v3"),
    ]
    assert kept.rollback("champion") == "sample/v1"


def test_a_release_is_promoted_from_a_slot_or_by_its_name_and_the_history_says_who_did_it(kept, tmp_path):
    kept.publish(written(tmp_path, "v1"), "champion", by="anna")
    kept.publish(written(tmp_path, "v2"), "challenger", by="cron")
    assert kept.promote("challenger", "champion", by="berta") == "sample/v2"
    assert kept.slots() == {"challenger": "sample/v2", "champion": "sample/v2"}
    assert kept.promote("sample/v1", "careful", by="berta") == "sample/v1"
    assert kept.rollback("champion", by="carl") == "sample/v1"
    assert [(change.action, change.release, change.by) for change in kept.history("champion")] == [
        ("publish", "sample/v1", "anna"),
        ("promote", "sample/v2", "berta"),
        ("rollback", "sample/v1", "carl"),
    ]
    assert kept.slots()["careful"] == "sample/v1"


def test_who_is_not_named_is_the_account_of_the_process(kept, tmp_path, monkeypatch):
    for kind in (store, remote_store):
        monkeypatch.setattr(kind, "this_account", lambda: "somebody@here")
    kept.publish(written(tmp_path, "v1"), "champion")
    assert [change.by for change in kept.history("champion")] == ["somebody@here"]


def test_a_rollback_to_any_kept_release(kept, tmp_path):
    """Further rollbacks go back from there."""
    for version in ("v1", "v2", "v3", "v4"):
        kept.publish(written(tmp_path, version), "champion")
    assert kept.rollback("champion", to="sample/v2") == "sample/v2"
    assert kept.rollback("champion") == "sample/v1"
    assert kept.rollback("champion", to="sample/v4") == "sample/v4"
    assert kept.rollback("champion") == "sample/v1"


def test_what_is_not_kept_is_named_with_what_is(kept, tmp_path):
    kept.publish(written(tmp_path, "v1"), "champion")
    before = everything(kept)
    for unknown in ("sample/v9", "../../etc/passwd", "sample/v1/items.npy", "other", "sample/.v1.0123.tmp", "/"):
        with pytest.raises(UnknownRelease, match=r"kept are sample/v1|the slots are champion"):
            kept.promote(unknown, "champion")
        with pytest.raises(UnknownRelease, match="kept are sample/v1"):
            kept.rollback("champion", to=unknown)
    assert everything(kept) == before


def test_what_can_no_longer_be_served_is_neither_promoted_nor_returned_to(releases, tmp_path):
    for version in ("v1", "v2"):
        releases.publish(written(tmp_path, version), "champion")
    (releases.path("sample/v1") / "items.npy").write_bytes(b"damaged")
    before = everything(releases)
    for act in (
        lambda: releases.promote("sample/v1", "other"),
        lambda: releases.rollback("champion"),
        lambda: releases.rollback("champion", to="sample/v1"),
    ):
        with pytest.raises(ReleaseDamaged, match=r"items\.npy has 7 bytes.*no slot has changed"):
            act()
    releases.path("sample/v1").rename(releases.path("sample/v3"))
    shutil.copytree(releases.path("sample/v2"), releases.path("sample/v1"))
    with pytest.raises(ReleaseDamaged, match="calls itself sample/v2"):
        releases.promote("sample/v1", "champion")
    shutil.rmtree(releases.path("sample/v1"))
    releases.path("sample/v3").rename(releases.path("sample/v1"))
    assert everything(releases) == before


def test_publishing_a_damaged_release_again_mends_it(releases, tmp_path):
    """Whichever of its files; services that have it in memory go on with what they read."""
    bundle = written(tmp_path, "v1")
    releases.publish(bundle, "champion")
    for name in ("items.npy", "manifest.json"):
        (releases.path("sample/v1") / name).write_bytes(b"damaged")
        releases.publish(bundle, "champion")
        assert files_of(releases.path("sample/v1")) == files_of(bundle)
    assert len(releases.history("champion")) == 1
    assert [path.name for path in releases.path("sample/v1").parent.iterdir()] == ["v1"]


def test_a_damaged_release_that_cannot_be_mended_stays_as_it_was(releases, tmp_path, monkeypatch):
    bundle = written(tmp_path, "v1")
    releases.publish(bundle, "champion")
    (releases.path("sample/v1") / "items.npy").write_bytes(b"damaged")
    before = everything(releases)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        releases.publish(bundle, "champion")
    assert everything(releases) == before


def test_publishing_what_is_live_changes_nothing(kept, tmp_path):
    bundle = written(tmp_path, "v1")
    kept.publish(bundle, "champion")
    before = everything(kept)
    kept.publish(bundle, "champion")
    assert everything(kept) == before


def test_a_damaged_bundle_is_refused_and_leaves_no_trace(kept, tmp_path):
    kept.publish(written(tmp_path, "v1"), "champion")
    before = everything(kept)
    bad = written(tmp_path, "v2")
    content = bytearray((bad / "items.npy").read_bytes())
    content[-1] ^= 1
    (bad / "items.npy").write_bytes(content)
    with pytest.raises(FileDamaged, match=r"items\.npy"):
        kept.publish(bad, "champion")
    assert everything(kept) == before


def test_a_bundle_that_is_damaged_while_it_is_copied_is_refused(releases, tmp_path, monkeypatch):
    """What is verified is the copy, not only its source."""

    def damaging(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:-1] + b"?")

    monkeypatch.setattr(store.shutil, "copyfile", damaging)
    with pytest.raises(BundleError):
        releases.publish(written(tmp_path, "v1"), "champion")
    assert not list(releases.folder.glob("bundles/*/*")) and releases.slots() == {}


def test_a_name_and_version_never_change_their_content(kept, tmp_path):
    kept.publish(written(tmp_path, "v1"), "champion")
    before = everything(kept)
    with pytest.raises(ReleaseConflict, match="another version"):
        kept.publish(written(tmp_path, "v1", seed=1), "champion")
    assert everything(kept) == before


@pytest.mark.parametrize("failing", ["history", "slots"])
def test_a_full_disk_leaves_the_slot_and_its_history_as_they_were(releases, tmp_path, monkeypatch, failing):
    """Whichever of the two files cannot be written; and the next publication is recorded as if nothing had happened."""
    releases.publish(written(tmp_path, "v1"), "champion")
    write_file = store.write_file

    def full(path: Path, content: bytes) -> None:
        if path.parent.name == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_file(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_file", full)
        with pytest.raises(OSError, match="No space left"):
            releases.publish(written(tmp_path, "v2"), "champion")
    assert releases.slots() == {"champion": "sample/v1"}
    assert [change.release for change in releases.history("champion")] == ["sample/v1"]
    releases.publish(written(tmp_path, "v3"), "champion")
    assert [change.release for change in releases.history("champion")] == ["sample/v1", "sample/v3"]
    assert releases.rollback("champion") == "sample/v1"


def test_a_full_disk_while_copying_leaves_no_half_bundle(releases, tmp_path, monkeypatch):
    copied = []

    def full(source: Path, target: Path) -> None:
        if len(copied) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        copied.append(target)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(store.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        releases.publish(written(tmp_path, "v1"), "champion")
    assert not list(releases.folder.glob("bundles/sample/*")) and not list(releases.folder.glob("bundles/sample/.*"))


def test_what_a_killed_publication_left_is_swept_by_the_next_one(releases, tmp_path):
    abandoned = releases.folder / "bundles" / "sample" / ".v1.0123abcd.tmp"
    abandoned.mkdir(parents=True)
    (abandoned / "items.npy").write_bytes(b"half")
    assert releases.published() == []
    releases.publish(written(tmp_path, "v1"), "champion")
    assert not abandoned.exists()


def _publish(folder: Path, bundle: Path, slot: str) -> None:
    ReleaseStore(folder).publish(bundle, slot)


def test_publishing_from_many_processes_at_once_loses_nothing(releases, tmp_path):
    """Every change is in the history, and the pointer is the last of them."""
    versions = [f"v{n}" for n in range(4)]
    bundles = [written(tmp_path, version) for version in versions]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_publish, args=(releases.folder, bundle, "champion")) for bundle in bundles]
    processes += [context.Process(target=_publish, args=(releases.folder, bundles[0], "challenger"))]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 5
    told = [change.release for change in releases.history("champion")]
    assert sorted(told) == sorted(f"sample/{version}" for version in versions)
    assert releases.slots() == {"challenger": "sample/v0", "champion": told[-1]}
    assert [manifest.version for manifest in releases.published()] == versions


def test_who_does_not_want_to_wait_is_told_that_another_process_is_at_work(releases, tmp_path):
    releases.publish(written(tmp_path, "v1"), "champion")
    hurried = ReleaseStore(releases.folder, patience=0.05)
    with (releases.folder / ".lock").open("ab") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(ReleasesBusy, match="try again"):
            hurried.promote("sample/v1", "other")
    assert hurried.promote("sample/v1", "other") == "sample/v1"


def test_nothing_moves_while_another_process_holds_the_lock(releases, tmp_path):
    releases.publish(written(tmp_path, "v1"), "champion")
    publishing = threading.Thread(target=releases.publish, args=(written(tmp_path, "v2"), "champion"))
    with (releases.folder / ".lock").open("ab") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        publishing.start()
        publishing.join(0.5)
        assert publishing.is_alive()
        assert [manifest.version for manifest in releases.published()] == ["v1"]
    publishing.join()
    assert releases.slots() == {"champion": "sample/v2"}


def test_a_rollback_to_a_bundle_that_is_gone_leaves_the_slot(releases, tmp_path):
    for version in ("v1", "v2"):
        releases.publish(written(tmp_path, version), "champion")
    shutil.rmtree(releases.path("sample/v1"))
    with pytest.raises(NothingToRollBack, match=r"sample/v1.* is no longer kept; .* kept are sample/v2"):
        releases.rollback("champion")
    assert releases.slots() == {"champion": "sample/v2"}


@pytest.mark.parametrize("content", ["", "sample", "../../etc/passwd", "sample/v1/more", "sample/v1\nsample/v2", "\0" * 5000])
def test_a_pointer_that_holds_something_else_is_named_and_cured_by_publishing(releases, tmp_path, content):
    releases.publish(written(tmp_path, "v1"), "champion")
    releases.pointer("champion").write_text(content)
    with pytest.raises(SlotInvalid, match="expected one line NAME/VERSION"):
        releases.slots()
    releases.publish(written(tmp_path, "v2"), "champion")
    assert releases.slots() == {"champion": "sample/v2"}


@pytest.mark.parametrize("slot", ["", "Champion", "../champion", ".hidden", "a b", "x" * 101, "champion\n"])
def test_a_name_that_no_slot_can_have_is_refused_before_anything_is_written(kept, tmp_path, slot):
    for act in (lambda: kept.publish(written(tmp_path, "v1"), slot), lambda: kept.rollback(slot)):
        with pytest.raises(SlotInvalid, match="cannot be the name of a slot"):
            act()
    assert everything(kept) == {}


def test_a_rollback_where_nothing_was_published_names_the_slots_there_are(kept, tmp_path):
    with pytest.raises(NothingToRollBack, match="no slots yet"):
        kept.rollback("champion")
    kept.publish(written(tmp_path, "v1"), "challenger")
    with pytest.raises(NothingToRollBack, match="the slots are challenger"):
        kept.rollback("champion")


def test_a_line_of_history_that_is_none_is_named_with_its_place(releases, tmp_path):
    releases.publish(written(tmp_path, "v1"), "champion")
    with (releases.folder / "history" / "champion").open("a") as file:
        file.write("what is this\n")
    with pytest.raises(SlotInvalid, match=r"champion:2 holds 'what is this'"):
        releases.history("champion")


def test_a_file_is_no_folder_of_releases(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ReleasesUnusable, match="is no folder"):
        ReleaseStore(tmp_path / "file")


def test_looking_makes_no_folder(releases):
    assert (releases.slots(), releases.published(), releases.current("champion"), releases.history("champion")) == (
        {},
        [],
        None,
        [],
    )
    assert not releases.folder.exists()


def test_an_unreadable_bundle_is_left_out_of_the_list(releases, tmp_path, caplog):
    releases.publish(written(tmp_path, "v1"), "champion")
    (releases.path("sample/v2")).mkdir()
    assert [manifest.version for manifest in releases.published()] == ["v1"]
    assert "sample/v2" in caplog.text


def test_errors_of_releases_end_a_command_with_two():
    assert {error.exit_code for error in ReleaseError.__subclasses__()} == {2}
