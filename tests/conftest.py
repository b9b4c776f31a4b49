"""What all tests share: real data where it is at hand, and small made-up data everywhere."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest

from app.bundle import (
    BundleDraft,
    DataInfo,
    Histories,
    HistoryPolicy,
    IndexInfo,
    LinearEncoder,
    OnnxRescorer,
    SplitInfo,
    VectorModel,
    Vocabulary,
)

_BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared" / "data"

# Set before anything reads it: tests never look into a developer's own cache or release folder.
os.environ.setdefault("IRGAN_DATA_DIR", str(_BESIDE_THE_REPOSITORY))
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public data sets."""
    folder = Path(os.environ["IRGAN_DATA_DIR"])
    if not (folder / "movielens-100k" / "u.data").is_file():
        pytest.skip(f"no public data sets in {folder}; set IRGAN_DATA_DIR to a folder that has movielens-100k/u.data")
    return folder


@pytest.fixture
def bundle_draft() -> BundleDraft:
    """A small bundle with everything in it: 30 items, 8 dimensions with the bias folded in, 5 known users."""
    return make_draft()


def make_draft(*, num_items: int = 30, dim: int = 8, num_users: int = 5, seed: int = 0, version: str = "v1") -> BundleDraft:
    """A bundle draft with random vectors; titles `Item 0` …, genres and years to filter by, ratings 1 to 5 in `seen`."""
    rng = np.random.default_rng(seed)
    items = Vocabulary("item", [f"i{row}" for row in range(num_items)])
    users = Vocabulary("user", [f"u{row}" for row in range(num_users)])
    vectors_ID = rng.normal(size=(num_items, dim)).astype(np.float32)
    intercept_D = np.zeros(dim, dtype=np.float32)
    intercept_D[-1] = 1.0  # the query's side of the folded item bias
    table_ID = vectors_ID.copy()
    table_ID[:, -1] = 0.0
    had = [rng.choice(num_items, size=4, replace=False).tolist() for _ in range(num_users)]
    seen = Histories.of(had, [rng.integers(1, 6, size=4).tolist() for _ in range(num_users)])
    index = faiss.IndexFlatIP(dim)
    index.add(vectors_ID)
    genres = np.array([["Comedy"], ["Drama", "War"], ["Comedy", "Drama"]], dtype=object)
    return BundleDraft(
        name="sample",
        version=version,
        ranker="sample",
        paper="—",
        seed=seed,
        config={},
        data=DataInfo(
            name="made-up",
            fingerprint="0" * 64,
            split=SplitInfo(name="none"),
            num_users=num_users,
            num_items=num_items,
            num_interactions=4 * num_users,
        ),
        model=VectorModel(
            item_vectors_ID=vectors_ID,
            encoder=LinearEncoder(table_ID=table_ID, intercept_D=intercept_D, exponent=1.0, positive_threshold=4.0),
            policy=HistoryPolicy(positive_threshold=4.0),
        ),
        items=items,
        users=users,
        seen=seen,
        item_table=pd.DataFrame(
            {
                "title": [f"Item {row}" for row in range(num_items)],
                "year": 1980 + np.arange(num_items) % 20,
                "genres": [list(genres[row % 3]) for row in range(num_items)],
            }
        ),
        popularity_I=np.arange(num_items, 0, -1).astype(np.float32),
        index=index,
        index_info=IndexInfo(factory="Flat", recall_at_100=1.0, num_queries=num_users),
        bias_folded=True,
    )


def make_rescorer(vectors_ID: np.ndarray, *, bend: float = 2.0) -> OnnxRescorer:
    """Scores ⟨q, x⟩ + bend · sigmoid(⟨q, y⟩), y being x with its dimensions moved on, and ratings 1 + 4 sigmoid(score)."""
    onnx = pytest.importorskip("onnx", reason="rescorers are made with the package onnx, which the extra train brings")
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - only here

    constants = {
        "vectors": vectors_ID.astype(np.float64),
        "others": np.roll(vectors_ID, 1, axis=1).astype(np.float64),
        "bend": np.float64(bend),
        "four": np.float64(4.0),
        "one": np.float64(1.0),
    }
    nodes = [
        helper.make_node("Cast", ["queries"], ["exact"], to=TensorProto.DOUBLE),
        helper.make_node("Gather", ["vectors", "items"], ["rows"], axis=0),
        helper.make_node("Transpose", ["rows"], ["columns"], perm=[1, 0]),
        helper.make_node("MatMul", ["exact", "columns"], ["products"]),
        helper.make_node("Gather", ["others", "items"], ["other rows"], axis=0),
        helper.make_node("Transpose", ["other rows"], ["other columns"], perm=[1, 0]),
        helper.make_node("MatMul", ["exact", "other columns"], ["other products"]),
        helper.make_node("Sigmoid", ["other products"], ["bent"]),
        helper.make_node("Mul", ["bent", "bend"], ["bends"]),
        helper.make_node("Add", ["products", "bends"], ["scores"]),
        helper.make_node("Sigmoid", ["scores"], ["shares"]),
        helper.make_node("Mul", ["shares", "four"], ["above"]),
        helper.make_node("Add", ["above", "one"], ["ratings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "rescorer",
        [
            helper.make_tensor_value_info("queries", TensorProto.FLOAT, ["B", vectors_ID.shape[1]]),
            helper.make_tensor_value_info("items", TensorProto.INT64, ["C"]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["B", "C"]) for name in OnnxRescorer.OUTPUTS],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return OnnxRescorer(model.SerializeToString())


def with_rescorer(draft: BundleDraft, *, candidates: int = 200, overlap: float = 1.0, bend: float = 2.0) -> BundleDraft:
    """The draft with a second stage that orders otherwise than the inner product does."""
    model = replace(draft.model, rescorer=make_rescorer(draft.model.item_vectors_ID, bend=bend), predicts_ratings=True)
    return replace(draft, model=model, candidates=candidates, overlap_at_100=overlap)
