"""What FAISS finds against the oracle beside it."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from app.retrieval import ExactIndex, FaissIndex
from app.retrieval.index import exact_scores


def _vectors(num_items: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_items, dim)).astype(np.float32)


def _built(factory: str, vectors_ID: np.ndarray) -> faiss.Index:
    index = faiss.index_factory(vectors_ID.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors_ID)
    index.add(vectors_ID)
    return index


def _enumerated(vectors_ID: np.ndarray, query_D: np.ndarray, k: int, allowed_I: np.ndarray) -> list[int]:
    """Python's own sort over every allowed item."""
    scores_I = vectors_ID.astype(np.float64) @ query_D.astype(np.float64)
    return sorted(np.flatnonzero(allowed_I).tolist(), key=lambda row: (-scores_I[row], row))[:k]


def test_the_oracle_sorts_all_allowed_items_and_ties_go_to_the_lower_row():
    vectors_ID = np.repeat(_vectors(10), 3, axis=0)
    allowed_I = np.arange(30) % 5 != 0
    query_D = _vectors(1, seed=1)[0]
    rows, scores = ExactIndex(vectors_ID).search(query_D, 12, allowed_I)
    assert rows.tolist() == _enumerated(vectors_ID, query_D, 12, allowed_I)
    assert scores.dtype == np.float64
    assert np.all(np.diff(scores) <= 0)


@pytest.mark.parametrize(
    "case", ["plain", "every vector four times", "all alike", "rounded to quarters", "one in a million apart"]
)
@pytest.mark.parametrize("share", [None, 0.9, 0.5])
def test_a_flat_index_gives_exactly_what_the_oracle_gives(case, share):
    """Ties at the k-th place and differences below float32's rounding are where a float32 search alone goes wrong."""
    vectors_ID = _vectors(4000)
    match case:
        case "every vector four times":
            vectors_ID = np.repeat(vectors_ID[:1000], 4, axis=0)[np.random.default_rng(2).permutation(4000)]
        case "all alike":
            vectors_ID = np.repeat(vectors_ID[:1], 4000, axis=0)
        case "rounded to quarters":
            vectors_ID = np.round(vectors_ID * 4) / 4
        case "one in a million apart":
            vectors_ID = (vectors_ID[:1] * (1 + 1e-6 * np.random.default_rng(3).normal(size=(4000, 16)))).astype(np.float32)
    vectors_ID = np.ascontiguousarray(vectors_ID)
    fast, oracle = FaissIndex(_built("Flat", vectors_ID), vectors_ID), ExactIndex(vectors_ID)
    allowed_I = None if share is None else np.random.default_rng(4).random(4000) < share
    for query_D in _vectors(20, seed=5):
        for k in (1, 10, 100):
            rows, scores = fast.search(query_D, k, allowed_I)
            expected_rows, expected_scores = oracle.search(query_D, k, allowed_I)
            assert rows.tolist() == expected_rows.tolist()
            np.testing.assert_allclose(scores, expected_scores, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("factory", ["Flat", "HNSW32", "IVF16,Flat"])
@pytest.mark.parametrize("num_allowed", [0, 1, 5, 600, 4000])
def test_a_filter_never_costs_answers(factory, num_allowed):
    """Whatever is allowed can be had, all of it, from any kind of index, and nothing else comes."""
    vectors_ID = _vectors(4000)
    index = FaissIndex(_built(factory, vectors_ID), vectors_ID)
    allowed_I = np.zeros(4000, dtype=bool)
    allowed_I[np.random.default_rng(1).choice(4000, size=num_allowed, replace=False)] = True
    for k in (10, 5000):
        rows, _ = index.search(_vectors(1, seed=2)[0], k, allowed_I)
        assert len(rows) == len(set(rows.tolist())) == min(k, num_allowed)
        assert allowed_I[rows].all()


@pytest.mark.parametrize("factory", ["HNSW32", "IVF16,Flat"])
@pytest.mark.parametrize("share", [1.0, 0.7, 0.3, 0.05])
def test_an_approximate_index_finds_most_whatever_the_filter(factory, share):
    vectors_ID = _vectors(4000)
    index = _built(factory, vectors_ID)
    faiss.ParameterSpace().set_index_parameter(
        index, "efSearch" if factory.startswith("HNSW") else "nprobe", 64 if factory.startswith("HNSW") else 6
    )
    fast, oracle = FaissIndex(index, vectors_ID), ExactIndex(vectors_ID)
    allowed_I = np.random.default_rng(1).random(4000) < share
    found = [
        len(np.intersect1d(fast.search(q, 10, allowed_I)[0], oracle.search(q, 10, allowed_I)[0])) for q in _vectors(50, seed=3)
    ]
    assert np.mean(found) >= 8


@pytest.mark.parametrize(("factory", "parameter"), [("HNSW32", "efSearch"), ("IVF16,Flat", "nprobe")])
def test_searching_with_a_filter_leaves_the_index_as_it_was(factory, parameter):
    vectors_ID = _vectors(4000)
    index = _built(factory, vectors_ID)
    faiss.ParameterSpace().set_index_parameter(index, parameter, 7)
    before = faiss.serialize_index(index).tobytes()
    FaissIndex(index, vectors_ID).search(_vectors(1, seed=2)[0], 10, np.arange(4000) % 10 > 0)
    owner = index.hnsw if parameter == "efSearch" else index
    assert getattr(owner, parameter) == 7
    assert faiss.serialize_index(index).tobytes() == before


def test_a_rows_score_does_not_depend_on_what_else_is_asked_for():
    """To the last bit, of vectors whose sums round; pages of answers rely on it."""
    rng = np.random.default_rng(0)
    vectors_ID = rng.normal(size=(50, 384)).astype(np.float32)
    query_D = rng.normal(size=384).astype(np.float32)
    all_I = exact_scores(vectors_ID, query_D, np.arange(50))
    for size in (1, 2, 3, 5, 8):
        rows = rng.choice(50, size=size, replace=False)
        assert exact_scores(vectors_ID, query_D, rows).tolist() == all_I[rows].tolist()
