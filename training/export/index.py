"""Building the FAISS index: exact where that is affordable, measured where it is not.

Shapes: I items, D dimensions, Q queries.
"""

from __future__ import annotations

import logging

import faiss
import numpy as np

from app.bundle import IndexInfo

_log = logging.getLogger(__name__)

FLAT_LIMIT = 50_000
"""Up to here every search is exact: 20,000 × 64 take about 0.2 ms a query on one core, and nobody has to think about recall."""

HNSW_LIMIT = 2_000_000
"""Up to here a graph; beyond it an inverted file, which needs a quarter of the graph's extra memory."""

RECALL_WANTED = 0.99
_MOST_EF_SEARCH = 1024
"""Beyond it a scan of everything is no slower."""
_NEIGHBOURS = 100
_MAX_QUERIES = 1_000


def build_index(
    item_vectors_ID: np.ndarray, queries_QD: np.ndarray, factory: str | None = None
) -> tuple[faiss.Index, IndexInfo]:
    """An inner-product index, its search parameter raised until recall@100 on the queries reaches 0.99.

    Args:
        item_vectors_ID: float32, bias folded in.
        queries_QD: encoded users to measure on; the first 1,000 are used.
        factory: a FAISS factory string, taken whatever its recall; None chooses by the number of items, and goes on to the next kind
            where one cannot reach the recall: a graph may fail on vectors of very different lengths.

    Returns:
        The index with its parameter set, and what the manifest says of it.
    """
    queries_QD = np.ascontiguousarray(queries_QD[:_MAX_QUERIES], dtype=np.float32)
    for candidate in _candidates(len(item_vectors_ID)) if factory is None else [factory]:
        index, info = _measured(candidate, item_vectors_ID, queries_QD)
        if factory is not None or info.recall_at_100 >= RECALL_WANTED:
            break
        _log.info("index %s finds %.3f of the best 100 here; another kind is tried", candidate, info.recall_at_100)
    return index, info


def _candidates(num_items: int) -> list[str]:
    """Factory strings in the order in which they are tried; the last can search all of its lists, which is exact."""
    lists = f"IVF{int(4 * np.sqrt(num_items))},Flat"
    if num_items <= FLAT_LIMIT:
        return ["Flat"]
    if num_items <= HNSW_LIMIT:
        return ["HNSW32,Flat", lists]
    return [lists]


def _measured(factory: str, item_vectors_ID: np.ndarray, queries_QD: np.ndarray) -> tuple[faiss.Index, IndexInfo]:
    """An index of one kind, with the smallest search parameter that is enough, or the largest that is worth trying."""
    index = faiss.index_factory(item_vectors_ID.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        _learn_lists(index, item_vectors_ID)
    index.add(item_vectors_ID)
    parameter = "nprobe" if factory.startswith("IVF") else "efSearch" if factory.startswith("HNSW") else None
    if parameter is None or not len(queries_QD):
        return index, IndexInfo(factory=factory, recall_at_100=1.0, num_queries=len(queries_QD))
    wanted_QK = _exact(item_vectors_ID, queries_QD)
    most = _MOST_EF_SEARCH if parameter == "efSearch" else faiss.downcast_index(index).nlist
    value = min(16, most)
    while True:
        faiss.ParameterSpace().set_index_parameter(index, parameter, value)
        recall = _recall(index.search(queries_QD, wanted_QK.shape[1])[1], wanted_QK)
        if recall >= RECALL_WANTED or value >= most:
            break
        value = min(2 * value, most)
    return index, IndexInfo(factory=factory, parameters={parameter: value}, recall_at_100=recall, num_queries=len(queries_QD))


def _learn_lists(index: faiss.Index, item_vectors_ID: np.ndarray) -> None:
    """k-means of an inverted file, on all GPUs where the FAISS that is installed knows of any; the index itself stays where it is."""
    if faiss.get_num_gpus() == 0:
        index.train(item_vectors_ID)
        return
    inverted_file = faiss.extract_index_ivf(index)
    on_gpus = faiss.index_cpu_to_all_gpus(
        faiss.IndexFlatIP(item_vectors_ID.shape[1])
    )  # FAISS borrows it, so it must have a name
    inverted_file.clustering_index = on_gpus
    index.train(item_vectors_ID)
    inverted_file.clustering_index = None


def _exact(item_vectors_ID: np.ndarray, queries_QD: np.ndarray) -> np.ndarray:
    exact = faiss.IndexFlatIP(item_vectors_ID.shape[1])
    exact.add(item_vectors_ID)
    rows_QK: np.ndarray = exact.search(queries_QD, min(_NEIGHBOURS, len(item_vectors_ID)))[1]
    return rows_QK


def _recall(found_QK: np.ndarray, wanted_QK: np.ndarray) -> float:
    """Mean share of the wanted rows among the found ones."""
    # One key for a pair of query and row, so that a single set operation serves all queries.
    span = int(wanted_QK.max()) + 2
    keys = np.arange(len(wanted_QK))[:, None] * span
    return float(np.isin(keys + wanted_QK, keys + np.minimum(found_QK, span - 1)).mean())
