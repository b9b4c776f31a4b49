"""What answers follows its slot, and what cannot answer never takes its place."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from app.bundle import write_bundle, write_search
from app.errors import NoRelease
from app.releases import LiveRelease, ReleaseStore, live, pool
from app.retrieval import Document, Query
from app.store import Database, ItemChanges
from tests.conftest import make_draft, make_search_draft


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


def publish(store: ReleaseStore, version: str, *, slot: str = "champion", seed: int = 0) -> None:
    store.publish(write_bundle(make_draft(seed=seed, version=version), store.folder.parent / "drafts"), slot)


def damage(store: ReleaseStore, release: str) -> None:
    (store.path(release) / "popularity.npy").write_bytes(b"damaged")


def test_nothing_answers_until_something_is_published(store):
    following = LiveRelease(store, "champion")
    following.refresh()
    with pytest.raises(NoRelease, match="irgan publish BUNDLE --slot champion"):
        following.release()
    publish(store, "v1")
    following.refresh()
    assert following.release().name == "sample/v1"
    assert (following.num_swaps, following.num_refusals) == (1, 0)


def test_a_new_release_takes_over_and_the_old_one_can_still_finish_its_requests(store):
    publish(store, "v1", seed=1)
    following = LiveRelease(store, "champion")
    following.refresh()
    old = following.release()
    before = old.recommender.recommend(Query(user="u1")).rows.tolist()
    publish(store, "v2", seed=2)
    following.refresh()
    assert following.release().name == "sample/v2"
    assert following.release().recommender.recommend(Query(user="u1")).rows.tolist() != before
    assert old.recommender.recommend(Query(user="u1")).rows.tolist() == before
    assert following.num_swaps == 2


def test_looking_again_at_the_same_release_loads_nothing(store, monkeypatch):
    publish(store, "v1")
    following = LiveRelease(store, "champion")
    following.refresh()
    monkeypatch.setattr(pool, "load_release", None)
    following.refresh()
    assert (following.num_swaps, following.num_refusals) == (1, 0)


def test_another_slot_does_not_concern_it(store):
    publish(store, "v1")
    following = LiveRelease(store, "champion")
    following.refresh()
    publish(store, "v2", slot="challenger")
    following.refresh()
    assert following.release().name == "sample/v1"


def test_a_bad_release_is_refused_once_and_the_old_one_goes_on_answering(store, caplog):
    publish(store, "v1")
    following = LiveRelease(store, "champion")
    following.refresh()
    publish(store, "v2")
    damage(store, "sample/v2")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            following.refresh()
    assert following.release().name == "sample/v1"
    assert (following.num_swaps, following.num_refusals) == (1, 1)
    assert len(caplog.records) == 1
    assert "sample/v1 goes on answering" in caplog.text and "popularity.npy" in caplog.text
    publish(store, "v3")
    following.refresh()
    assert following.release().name == "sample/v3"


def test_a_refused_release_is_tried_again_later(store, monkeypatch):
    publish(store, "v1")
    whole = (store.path("sample/v1") / "popularity.npy").read_bytes()
    damage(store, "sample/v1")
    following = LiveRelease(store, "champion")
    following.refresh()
    with pytest.raises(NoRelease, match="log says why"):
        following.release()
    (store.path("sample/v1") / "popularity.npy").write_bytes(whole)
    following.refresh()
    assert following.current is None  # not at every look
    monkeypatch.setattr(live, "TRY_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(following, "_try_again", 0.0)
    following.refresh()
    assert following.release().name == "sample/v1"


def test_a_damaged_pointer_changes_nothing(store, caplog):
    publish(store, "v1")
    following = LiveRelease(store, "champion")
    following.refresh()
    store.pointer("champion").write_text("nonsense\n")
    following.refresh()
    following.refresh()
    assert following.release().name == "sample/v1" and following.num_refusals == 1
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_a_bundle_that_calls_itself_differently_is_refused(store):
    publish(store, "v1")
    store.path("sample/v1").rename(store.path("sample/v9"))
    store.pointer("champion").write_text("sample/v9\n")
    following = LiveRelease(store, "champion")
    following.refresh()
    assert following.current is None and following.num_refusals == 1


def test_a_ranker_that_cannot_answer_is_refused(store, monkeypatch):
    """Its files are whole and fit together, and its first question fails."""

    def failing(*_: object) -> None:
        raise RuntimeError("no such kernel")

    publish(store, "v1")
    following = LiveRelease(store, "champion")
    monkeypatch.setattr("app.retrieval.Recommender.recommend_all", failing)
    following.refresh()
    assert following.current is None and following.num_refusals == 1


def test_the_watch_finds_what_is_published(store):
    following = LiveRelease(store, "champion")

    async def story() -> str:
        watching = asyncio.create_task(following.watch(0.01))
        await asyncio.to_thread(publish, store, "v1")
        while following.current is None:
            await asyncio.sleep(0.01)
        watching.cancel()
        return following.release().name

    assert asyncio.run(asyncio.wait_for(story(), 30)) == "sample/v1"


# changes of items


@pytest.fixture
def changes(tmp_path: Path) -> ItemChanges:
    return ItemChanges(Database(f"sqlite:///{tmp_path / 'irgan.db'}"))


def publish_texts(store: ReleaseStore, version: str = "v1") -> None:
    draft = make_search_draft(num_documents=20, version=version)
    store.publish(write_search(draft, store.folder.parent / "drafts"), "champion")


def holds(following: LiveRelease) -> set[str]:
    """Which of the made-up additions are there."""
    engine = following.release().engine
    return {item for number in range(60) if engine.holds(item := f"n{number}")}


def test_changes_are_known_when_they_are_written_and_to_others_when_they_look(store, changes):
    publish_texts(store)
    one, other = LiveRelease(store, "champion", changes), LiveRelease(store, "champion", changes)
    for following in (one, other):
        following.follow()
    before = other.release()
    one.change({"n1": Document("n1", None, "ice"), "d3": None})
    assert holds(one) == {"n1"} and not one.release().engine.holds("d3") and holds(other) == set()
    other.follow()
    assert holds(other) == {"n1"} and not other.release().engine.holds("d3")
    assert not before.engine.holds("n1") and before.engine.holds("d3")  # who began before ends as they began
    same = other.release()
    other.follow()
    assert other.release() is same  # where nothing is new, nothing is made


def test_changes_come_along_to_the_next_release(store, changes):
    publish_texts(store)
    following = LiveRelease(store, "champion", changes)
    following.follow()
    following.change({"n1": Document("n1", None, "ice")})
    publish_texts(store, "v2")
    following.refresh()
    assert following.release().name == "texts/v2" and holds(following) == {"n1"}


def test_changes_made_while_releases_come_are_never_lost(store, changes):
    """Four threads change items while another swaps releases back and forth."""
    publish_texts(store, "v1")
    publish_texts(store, "v2")
    following = LiveRelease(store, "champion", changes)
    following.follow()

    def change(number: int) -> None:
        for count in range(8):
            following.change({f"n{number * 10 + count}": Document(f"n{number * 10 + count}", None, "ice")})

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        other = "v1" if following.release().name == "texts/v2" else "v2"
        store.pointer("champion").write_text(f"texts/{other}\n")
        following.follow()
    for thread in threads:
        thread.join()
    assert following.num_swaps >= 2
    assert holds(following) == {f"n{number * 10 + count}" for number in range(4) for count in range(8)}


def test_changes_that_cannot_be_answered_are_tried_again_and_the_watch_goes_on(store, changes, monkeypatch, caplog):
    publish_texts(store)
    following = LiveRelease(store, "champion", changes)
    following.follow()
    changes.write("champion", {"n1": {"id": "n1", "text": "ice"}})

    def failing(*_: object) -> None:
        raise RuntimeError("no memory left")

    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR):
        broken.setattr("app.retrieval.search.read_documents", failing)
        for _ in range(3):
            following.follow()
        assert holds(following) == set()
        assert [record.levelname for record in caplog.records] == ["ERROR"] and "no memory left" in caplog.text
    following.follow()
    assert holds(following) == {"n1"}
