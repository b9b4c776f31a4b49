"""A release can take hundreds of megabytes, so it must be freed as soon as nobody asks it any more."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from app.bundle import write_bundle, write_rerank, write_search
from app.releases import load_release
from app.retrieval import Condition, Query, SearchQuestion
from tests.conftest import make_draft, make_rerank_draft, make_search_draft


@pytest.fixture
def by_hand() -> Iterator[None]:
    """Nothing is collected but when a test says so, and nothing that other tests have left."""
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def test_a_release_is_freed_with_its_last_request_and_waits_for_no_garbage_collector(tmp_path, by_hand):
    """Whatever refers to itself would hold the arrays that it refers to until the whole heap is looked through."""
    drafts = tmp_path / "drafts"
    paths = (
        write_bundle(make_draft(), drafts),
        write_search(make_search_draft(), drafts),
        write_rerank(make_rerank_draft(), drafts),
    )
    for path in paths:
        release = load_release(path)
        if (recommender := getattr(release, "recommender", None)) is not None:
            recommender.recommend(Query(user="u1", filters=(Condition("genres", any_of=("Comedy",)),)))
        if release.engine is not None:
            release.engine.search(SearchQuestion("ice"))
        gc.collect()  # what reading and asking leave behind
        gc.set_debug(gc.DEBUG_SAVEALL)  # what is found from here on is kept to be looked at
        del release, recommender
        gc.collect()
        assert [type(one) for one in gc.garbage] == []
        gc.set_debug(0)
