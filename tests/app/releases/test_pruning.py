"""Old releases go, those that somebody needs stay, and nothing is ever half there."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.bundle import read_bundle, write_bundle
from app.releases import LiveRelease, ReleaseStore, SlotInvalid, prune, pruning
from app.retrieval import Query
from tests.conftest import make_draft


@pytest.fixture
def store(tmp_path):
    return ReleaseStore(tmp_path / "releases")


def publish(store: ReleaseStore, *numbers: int, slot: str = "champion", name: str = "sample") -> None:
    for number in numbers:
        made = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
        draft = replace(make_draft(seed=number, version=f"v{number}"), name=name, created=made)
        path = store.folder.parent / "drafts" / name / f"v{number}"
        store.publish(path if path.exists() else write_bundle(draft, store.folder.parent / "drafts"), slot)


def kept(store: ReleaseStore) -> list[str]:
    return [manifest.release for manifest in store.published()]


def test_so_many_of_each_name_stay_and_what_slots_need(store):
    """v1 is in a slot, v2 is what the champion goes back to, v8 is the newest."""
    publish(store, 1, slot="special")
    publish(store, 2, 3, 4, 5, 6, 7, 8)
    publish(store, 1, 2, 3, slot="other", name="other")
    for _ in range(5):
        store.rollback("champion")
    assert store.current("champion") == "sample/v3"
    gone = prune(store, 1)
    assert [manifest.release for manifest in gone] == ["other/v1", *(f"sample/v{number}" for number in (4, 5, 6, 7))]
    assert kept(store) == ["other/v2", "other/v3", "sample/v1", "sample/v2", "sample/v3", "sample/v8"]
    assert prune(store, 1) == []
    assert store.rollback("champion") == "sample/v2" and store.rollback("other") == "other/v2"
    for release in kept(store):
        read_bundle(store.path(release))
    assert not [*store.folder.glob("bundles/*/.*")]


def test_what_is_in_use_elsewhere_stays(store):
    publish(store, 1, 2, 3, 4, 5)
    assert [manifest.release for manifest in prune(store, 0, in_use=nullcontext({"sample/v2", "champion"}))] == [
        "sample/v1",
        "sample/v3",
    ]
    assert kept(store) == ["sample/v2", "sample/v4", "sample/v5"]


def test_a_rehearsal_deletes_nothing_and_writes_nothing(store):
    publish(store, 1, 2, 3, 4)
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    assert [manifest.release for manifest in prune(store, 1, dry_run=True)] == ["sample/v1", "sample/v2"]
    assert {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")} == before
    assert prune(ReleaseStore(store.folder.parent / "none"), 1) == []
    assert not (store.folder.parent / "none").exists()


@pytest.mark.parametrize("damaged", ["slots/champion", "history/champion"])
def test_where_nobody_can_say_what_a_slot_needs_nothing_goes(store, damaged):
    publish(store, 1, 2, 3, 4)
    (store.folder / damaged).write_text("nonsense\n")
    with pytest.raises(SlotInvalid):
        prune(store, 0)
    assert len(kept(store)) == 4


def test_where_nobody_can_say_what_is_in_use_nothing_goes(store):
    @contextmanager
    def failing():
        raise RuntimeError("the store is away")
        yield ()

    publish(store, 1, 2, 3, 4)
    with pytest.raises(RuntimeError, match="is away"):
        prune(store, 0, in_use=failing())
    assert len(kept(store)) == 4


@pytest.mark.parametrize("moment", ["between", "deleting"])
def test_killed_halfway_it_leaves_no_half_release_and_the_next_one_sweeps(store, monkeypatch, moment):
    """After the first of two was renamed, or within the deletion of one: what can be found is whole."""
    publish(store, 1, 2, 3, 4)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    set_aside = pruning.set_aside
    aside = []

    def once(path) -> None:
        if aside:
            raise KeyboardInterrupt
        aside.append(path)
        set_aside(path)

    with monkeypatch.context() as patched:
        if moment == "between":
            patched.setattr(pruning, "set_aside", once)
        else:
            patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(store, 1)
    assert kept(store) == (["sample/v2", "sample/v3", "sample/v4"] if moment == "between" else ["sample/v3", "sample/v4"])
    for release in kept(store):
        read_bundle(store.path(release))
    assert [*store.folder.glob("bundles/*/.*.tmp")]
    prune(store, 1)
    assert kept(store) == ["sample/v3", "sample/v4"]
    assert not [*store.folder.glob("bundles/*/.*.tmp")]


def test_leftovers_of_killed_publications_and_changes_are_swept(store):
    publish(store, 1)
    half = store.folder / "bundles" / "sample" / ".v2.0123abcd.tmp"
    half.mkdir()
    (half / "items.npy").write_bytes(b"half")
    for folder in ("slots", "history"):
        (store.folder / folder / ".champion.0123abcd.tmp").write_text("sample/v2")
    prune(store, 1)
    assert not [*store.folder.rglob("*.tmp")]
    assert kept(store) == ["sample/v1"] and len(store.history("champion")) == 1


def test_what_cannot_be_read_is_left_to_people(store, caplog):
    publish(store, 1, 2, 3)
    (store.path("sample/v1") / "manifest.json").write_text("{")
    assert prune(store, 0) == []
    assert store.path("sample/v1").is_dir() and "sample/v1" in caplog.text


def test_a_service_that_holds_a_pruned_release_goes_on(store):
    publish(store, 1)
    live = LiveRelease(store, "champion")
    live.refresh()
    before = live.release().recommender.recommend(Query(user="u1")).rows.tolist()
    publish(store, 2, 3)
    assert [manifest.release for manifest in prune(store, 0)] == ["sample/v1"]
    assert live.release().recommender.recommend(Query(user="u1")).rows.tolist() == before
    live.refresh()
    assert live.release().name == "sample/v3"
