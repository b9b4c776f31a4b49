"""Building an index: exact where that is affordable; where it is not, good enough, and by how much is known.

Shapes: I items, Q queries, K neighbours, D dimensions.
"""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from training.export import build_index, index


def vectors(num: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num, dim)).astype(np.float32)


def exact_top(items_ID: np.ndarray, queries_QD: np.ndarray, k: int = 100) -> np.ndarray:
    return np.argsort(-(queries_QD.astype(np.float64) @ items_ID.T.astype(np.float64)), axis=1, kind="stable")[:, :k]


def recall(found_QK: np.ndarray, wanted_QK: np.ndarray) -> float:
    shares = [len(set(found) & set(wanted)) / len(wanted) for found, wanted in zip(found_QK, wanted_QK, strict=True)]
    return float(np.mean(shares))


def test_a_small_catalogue_gets_an_exact_index() -> None:
    """Flat, inner product, recall 1 by construction, nothing to set."""
    items_ID, queries_QD = vectors(500, 8, 0), vectors(20, 8, 1)
    built, info = build_index(items_ID, queries_QD)
    assert (info.factory, info.metric, info.parameters, info.recall_at_100, info.num_queries) == (
        "Flat", "inner_product", {}, 1.0, 20,
    )  # fmt: skip
    assert built.ntotal == 500
    assert built.metric_type == faiss.METRIC_INNER_PRODUCT
    np.testing.assert_array_equal(built.search(queries_QD, 100)[1], exact_top(items_ID, queries_QD))


@pytest.mark.parametrize(
    ("num_items", "factory"),
    [
        (1, "Flat"),
        (index.FLAT_LIMIT, "Flat"),
        (index.FLAT_LIMIT + 1, "HNSW32,Flat"),
        (index.HNSW_LIMIT, "HNSW32,Flat"),
        (index.HNSW_LIMIT + 1, "IVF5656,Flat"),
    ],
)
def test_size_chooses_flat_then_a_graph_then_lists(num_items: int, factory: str) -> None:
    """The limits themselves still belong to the smaller kind."""
    assert index._candidates(num_items)[0] == factory


@pytest.mark.parametrize(("factory", "parameter"), [("HNSW32,Flat", "efSearch"), ("IVF128,Flat", "nprobe")])
def test_an_approximate_index_is_widened_until_its_measured_recall_is_good(factory: str, parameter: str) -> None:
    """Recall@100 is at least .99 and the manifest's figure is the true one; the narrowest setting would not have done."""
    items_ID, queries_QD = vectors(5000, 24, 0), vectors(50, 24, 1)
    built, info = build_index(items_ID, queries_QD, factory)
    found_QK = built.search(queries_QD, 100)[1]
    assert info.factory == factory
    assert info.recall_at_100 >= 0.99
    assert info.recall_at_100 == pytest.approx(recall(found_QK, exact_top(items_ID, queries_QD)), abs=1e-9)
    assert info.num_queries == 50
    assert list(info.parameters) == [parameter]
    assert info.parameters[parameter] > 16
    faiss.ParameterSpace().set_index_parameter(built, parameter, info.parameters[parameter] // 2)
    assert recall(built.search(queries_QD, 100)[1], exact_top(items_ID, queries_QD)) < 0.99


def test_the_graph_is_chosen_and_measured_by_itself_above_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a factory given, the number of items decides."""
    monkeypatch.setattr(index, "FLAT_LIMIT", 300)
    _, info = build_index(vectors(400, 8, 0), vectors(10, 8, 1))
    assert info.factory == "HNSW32,Flat"
    assert info.recall_at_100 >= 0.99


def test_where_a_graph_fails_lists_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few very long vectors draw a graph's search to themselves; an index that misses its recall is not the one that is kept."""
    monkeypatch.setattr(index, "FLAT_LIMIT", 300)
    monkeypatch.setattr(index, "_MOST_EF_SEARCH", 16)
    lengths_I1 = np.random.default_rng(2).lognormal(sigma=2.0, size=(2000, 1)).astype(np.float32)
    items_ID = vectors(2000, 24, 0) * lengths_I1
    _, info = build_index(items_ID, vectors(20, 24, 1))
    assert info.factory.startswith("IVF")
    assert info.recall_at_100 >= 0.99
    _, forced = build_index(items_ID, vectors(20, 24, 1), "HNSW32,Flat")
    assert forced.factory == "HNSW32,Flat"
    assert forced.recall_at_100 < 0.99


def test_fewer_items_than_neighbours_are_found_all() -> None:
    """Forty items, of which recall@100 can ask for forty."""
    _, info = build_index(vectors(40, 8, 0), vectors(10, 8, 1), "HNSW32,Flat")
    assert info.recall_at_100 == 1.0


def test_at_most_a_thousand_queries_are_measured_on_and_none_will_do() -> None:
    """Measuring stays affordable; without known users nothing is measured, and the manifest says so."""
    items_ID = vectors(200, 4, 0)
    assert build_index(items_ID, vectors(1500, 4, 1), "HNSW32,Flat")[1].num_queries == 1000
    assert build_index(items_ID, np.zeros((0, 4), dtype=np.float32), "HNSW32,Flat")[1].num_queries == 0


def test_recall_counts_rows_that_were_not_found() -> None:
    """FAISS says −1 where it runs out; neighbours of another query do not count."""
    wanted_QK = np.array([[0, 1], [2, 3]])
    assert index._recall(np.array([[1, 0], [3, 2]]), wanted_QK) == 1.0
    assert index._recall(np.array([[0, -1], [-1, -1]]), wanted_QK) == 0.25
    assert index._recall(np.array([[2, 3], [0, 1]]), wanted_QK) == 0.0
    assert index._recall(np.array([[4, 9], [2, 7]]), wanted_QK) == 0.25


def test_lists_are_learned_on_gpus_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flat index in the place of the one on GPUs, through the same code: k-means asks it, and the lists are the same."""
    items_ID, queries_QD, given = vectors(3000, 8, 0), vectors(20, 8, 1), []
    plain, _ = build_index(items_ID, queries_QD, "IVF32,Flat")

    def stand_in(flat: faiss.Index) -> faiss.Index:
        given.append(flat)
        return flat

    monkeypatch.setattr(index.faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(index.faiss, "index_cpu_to_all_gpus", stand_in, raising=False)
    built, info = build_index(items_ID, queries_QD, "IVF32,Flat")
    assert [flat.ntotal for flat in given] == [32]
    assert info.recall_at_100 >= 0.99
    np.testing.assert_array_equal(faiss.serialize_index(built), faiss.serialize_index(plain))


@pytest.mark.cuda
def test_lists_that_gpus_learned_are_as_good() -> None:
    """With `faiss-gpu` on a machine that has one; the index that comes out is the CPU's."""
    if faiss.get_num_gpus() == 0:
        pytest.skip("FAISS knows no GPU here")
    built, info = build_index(vectors(20_000, 24, 0), vectors(50, 24, 1), "IVF128,Flat")
    assert info.recall_at_100 >= 0.99
    assert isinstance(faiss.deserialize_index(faiss.serialize_index(built)), faiss.IndexIVFFlat)
