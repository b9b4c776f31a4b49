"""Releases beside the slot's: verified, loaded once, changed with the slot's items, and let go when nobody needs them."""

from __future__ import annotations

import logging

import pytest

from app.bundle import write_search
from app.releases import LiveRelease, ReleaseStore, pool
from app.retrieval import Document, SearchQuestion
from app.store import Database, ItemChanges
from tests.conftest import make_search_draft


@pytest.fixture
def store(tmp_path):
    store = ReleaseStore(tmp_path / "releases")
    for version in ("v1", "v2"):
        store.publish(write_search(make_search_draft(version=version), tmp_path / "drafts"), version)
    store.publish(tmp_path / "drafts" / "texts" / "v1", "champion")
    return store


@pytest.fixture
def live(store, tmp_path):
    live = LiveRelease(store, "champion", ItemChanges(Database(f"sqlite:///{tmp_path / 'irgan.db'}")))
    live.follow()
    return live


def test_a_release_is_loaded_once_and_let_go(live, monkeypatch):
    live.hold(["texts/v1", "texts/v2"])
    held = live.find("texts/v2")
    assert held is not None and held.name == "texts/v2"
    assert live.find("texts/v1") is live.current
    monkeypatch.setattr(pool, "load_release", None)
    live.hold(["texts/v1", "texts/v2"])
    assert live.find("texts/v2") is held
    live.hold([])
    assert live.find("texts/v2") is None


def test_what_is_held_takes_the_slot_over_without_being_loaded_again(live, store, tmp_path, monkeypatch):
    live.hold(["texts/v1", "texts/v2"])
    held, former = live.find("texts/v2"), live.current
    monkeypatch.setattr(pool, "load_release", None)
    store.publish(tmp_path / "drafts" / "texts" / "v2", "champion")
    live.follow()
    assert live.current is held
    assert live.find("texts/v1") is former


def test_changed_items_are_those_of_all_releases_of_the_slot(live):
    """Of one that is held already, and of one that comes later."""

    def found(name):
        release = live.find(name)
        return [release.engine.id(row) for row in release.engine.search(SearchQuestion("walrus", mode="lexical")).rows]

    live.hold(["texts/v2"])
    live.change({"w1": Document("w1", "Of walruses", "walrus")})
    assert found("texts/v2") == found("texts/v1") == ["w1"]
    live.hold([])
    live.hold(["texts/v2"])
    assert found("texts/v2") == ["w1"]
    live.change({"w1": None})
    assert found("texts/v2") == []


def test_a_release_that_cannot_follow_a_change_is_let_go_and_the_slots_goes_on(live, monkeypatch, caplog):
    live.hold(["texts/v2"])

    def fail(changes):
        raise ValueError("strange")

    monkeypatch.setattr(live.find("texts/v2").engine, "with_changes", fail)
    live.change({"w1": Document("w1", "Of walruses", "walrus")})
    assert live.find("texts/v2") is None and live.current.engine.holds("w1")
    assert "texts/v2 cannot follow what has changed: ValueError: strange" in caplog.text


def test_what_cannot_be_loaded_is_refused_once_and_tried_again_later(live, store, monkeypatch, caplog):
    path = store.path("texts/v2") / "manifest.json"
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            live.hold(["texts/v2"])
    assert live.find("texts/v2") is None and live.num_refusals == 1
    assert len(caplog.records) == 1 and "release texts/v2 cannot be loaded" in caplog.text
    path.write_bytes(whole)
    live.hold(["texts/v2"])
    assert live.find("texts/v2") is None  # not at every look
    monkeypatch.setattr(pool, "monotonic", lambda: float("inf"))
    live.hold(["texts/v2"])
    assert live.find("texts/v2") is not None


def test_a_bundle_in_anothers_folder_is_refused(live, store, tmp_path, caplog):
    store.path("texts/v9").mkdir()
    for file in store.path("texts/v2").iterdir():
        (store.path("texts/v9") / file.name).write_bytes(file.read_bytes())
    live.hold(["texts/v9"])
    assert live.find("texts/v9") is None and "calls itself texts/v2" in caplog.text
