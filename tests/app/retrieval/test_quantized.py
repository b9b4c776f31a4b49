"""The scan in integers finds exactly what scoring everything finds, however the vectors are spread."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from app.retrieval import ExactIndex, FaissIndex
from app.retrieval import quantized as module
from app.retrieval.quantized import QuantizedScan, Search

NUM_ITEMS = 5003  # no multiple of a column


def spread(kind: str, dim: int = 24) -> np.ndarray:
    rng = np.random.default_rng(3)
    vectors_ID = rng.normal(size=(NUM_ITEMS, dim)).astype(np.float32)
    match kind:
        case "one dimension rules":
            vectors_ID[:, -1] *= 300
        case "a few items are huge":
            vectors_ID[::700] *= 1e4
        case "most are the same":
            vectors_ID[5:] = vectors_ID[4]
        case "tiny":
            vectors_ID *= np.float32(1e-30)
        case "nothing":
            vectors_ID[:] = 0
        case "few values":
            vectors_ID = np.sign(vectors_ID)
    return vectors_ID


def indexes(vectors_ID: np.ndarray) -> tuple[FaissIndex, ExactIndex]:
    flat = faiss.IndexFlatIP(vectors_ID.shape[1])
    flat.add(vectors_ID)
    return FaissIndex(flat, vectors_ID), ExactIndex(vectors_ID)


KINDS = ["even", "one dimension rules", "a few items are huge", "most are the same", "tiny", "nothing", "few values"]


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_asked_together_is_answered_exactly(kind):
    """Different k, exclusions and filters in one scan; rows and ties as by scoring everything."""
    vectors_ID = spread(kind)
    fast, exact = indexes(vectors_ID)
    rng = np.random.default_rng(4)
    searches = []
    for k in (1, 10, 60, 10, 1, 140, 2000):
        query_D = rng.normal(size=vectors_ID.shape[1]).astype(np.float32)
        excluded_E = np.concatenate([exact.search(query_D, 7)[0], [0, 0, NUM_ITEMS - 1]])
        allowed_I = rng.random(NUM_ITEMS) < rng.choice([0.2, 0.9])
        searches += [Search(query_D, k), Search(query_D, k, None, excluded_E), Search(query_D, k, allowed_I, excluded_E)]
    for (rows_K, scores_K), search in zip(fast.search_all(searches), searches, strict=True):
        expected_rows, expected_scores = exact.search(search.query_D, search.k, search.allowed_I, search.excluded_E)
        np.testing.assert_allclose(scores_K, expected_scores, rtol=1e-9, atol=1e-9 * np.abs(expected_scores).max(initial=0))
        if kind != "few values":  # there scores tie up to the last bit, whose rounding depends on the order of additions
            assert rows_K.tolist() == expected_rows.tolist()


def test_an_answer_does_not_depend_on_what_it_is_asked_together_with():
    """To the last bit of every score."""
    vectors_ID = spread("even")
    fast, _ = indexes(vectors_ID)
    queries_BD = np.random.default_rng(5).normal(size=(40, vectors_ID.shape[1])).astype(np.float32)
    searches = [Search(query_D, k) for query_D, k in zip(queries_BD, [10, 100] * 20, strict=True)]
    for (rows_K, scores_K), search in zip(fast.search_all(searches), searches, strict=True):
        alone = fast.search(search.query_D, search.k)
        assert (rows_K.tolist(), scores_K.tolist()) == (alone[0].tolist(), alone[1].tolist())


def test_integers_decide_nothing_that_their_rounding_could_get_wrong(monkeypatch):
    """With very coarse integers the bound asks for more candidates, and the answer stays exact."""
    monkeypatch.setattr(module, "_ITEM_LEVELS", 3)
    monkeypatch.setattr(module, "_QUERY_LEVELS", 2)
    monkeypatch.setattr(module, "_MOST_COLUMNS", NUM_ITEMS)
    vectors_ID = spread("even", dim=4)
    scan, (_, exact) = QuantizedScan(vectors_ID), indexes(vectors_ID)
    for query_D in np.random.default_rng(6).normal(size=(30, 4)).astype(np.float32):
        found = scan.search([Search(query_D, 5)])[0]
        assert found is not None
        assert set(exact.search(query_D, 5)[0].tolist()) <= set(found[0].tolist())


def test_few_items_are_not_scanned_as_integers_and_many_are():
    assert indexes(spread("even")[:1000])[0]._scan is None
    assert indexes(spread("even"))[0]._scan is not None
