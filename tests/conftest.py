"""What all tests share: real data where it is at hand, and small made-up data everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from app.bundle import (
    BundleDraft,
    DataInfo,
    FeatureDataInfo,
    FeatureRanker,
    Fusion,
    Histories,
    HistoryPolicy,
    IndexInfo,
    LexicalIndex,
    LinearEncoder,
    Mode,
    OnnxRescorer,
    RerankDraft,
    SearchDraft,
    SearchModel,
    SplitInfo,
    TextDataInfo,
    TextEncoder,
    VectorModel,
    Vocabulary,
)
from tests.object_store import ObjectStore, object_store
from tests.postgres import new_database, postgres_server

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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[ObjectStore]:
    """A server that speaks S3; skips where none is installed."""
    with object_store() as server:
        yield server


@pytest.fixture
def s3(s3_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The server, reached through the environment, and a prefix of its own for each test."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("fsspec.filesystem", s3_server.filesystem)
    s3_server.new_prefix()
    return s3_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server; skips where there is none."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty store, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'irgan.db'}"
    else:
        with new_database(request.getfixturevalue("postgres")) as url:
            yield url


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


# fmt: off
WORDS = (
    "glacier", "cave", "ice", "melts", "water", "river", "stone", "wind", "light", "sun", "moon", "star",
    "wave", "cell", "gene", "protein", "drug", "trial", "dose", "heart", "lung", "brain", "blood", "risk",
    "study", "result", "theory", "model", "flow", "wing", "shock", "heat",
)
# fmt: on
"""What made-up documents are made of; all are terms of their own, and none is a stop word."""


def make_text_encoder(*, dim: int = 8, seed: int = 0, query_tokens: int = 16, document_tokens: int = 24) -> TextEncoder:
    """Sums of one small integer vector a word: whatever order a machine adds them in, the sums and their products are exact."""
    onnx = pytest.importorskip("onnx", reason="encoders are made with the package onnx, which the extra train brings")
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - only here

    rng = np.random.default_rng(seed)
    table_TD = rng.integers(-4, 5, size=(2 + len(WORDS), dim)).astype(np.float32)
    table_TD[0] = 0.0  # padding
    turns_DD = np.eye(dim, dtype=np.float32)
    turns_DD[0, -1] = 1.0  # a query's vector is not that of the same text as a document
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["words"], axis=0),
        helper.make_node("ReduceSum", ["words", "axes"], ["documents"], keepdims=0),
        helper.make_node("MatMul", ["documents", "turns"], ["queries"]),
    ]
    constants = {"table": table_TD, "turns": turns_DD, "axes": np.array([1], dtype=np.int64)}
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["B", "L"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", dim]) for name in TextEncoder.OUTPUTS],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return TextEncoder(model.SerializeToString(), make_tokenizer(), query_tokens=query_tokens, document_tokens=document_tokens)


def make_tokenizer() -> str:
    """A token a word; 0 is padding, 1 any other word."""
    vocabulary = {word: token for token, word in enumerate(("[PAD]", "[UNK]", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(tokenizer.to_str())


def make_texts(num_documents: int, *, seed: int = 0, longest: int = 12) -> list[str]:
    """Made-up documents, frequent words first among `WORDS`; some are empty, some alike."""
    rng = np.random.default_rng(seed)
    shares = 1.0 / np.arange(1, len(WORDS) + 1)
    lengths = rng.integers(0, longest + 1, size=num_documents)
    return [" ".join(rng.choice(WORDS, size=length, p=shares / shares.sum())) for length in lengths]


def make_search_draft(
    texts: Sequence[str] | None = None,
    *,
    num_documents: int = 40,
    dense: bool = True,
    dim: int = 8,
    seed: int = 0,
    version: str = "v1",
    mode: Mode | None = None,
    fusion: Fusion | None = None,
) -> SearchDraft:
    """A search ranker over made-up documents `d0` …; titles, years and genres to filter by and to count."""
    texts = make_texts(num_documents, seed=seed) if texts is None else list(texts)
    num_documents = len(texts)
    genres = np.array([["Comedy"], ["Drama", "War"], ["Comedy", "Drama"]], dtype=object)
    table = pd.DataFrame(
        {
            "title": [f"Document {row}" for row in range(num_documents)],
            "text": texts,
            "year": 1980 + np.arange(num_documents) % 20,
            "genres": [list(genres[row % 3]) for row in range(num_documents)],
            "checked": np.arange(num_documents) % 2 == 0,
        }
    )
    searched = [f"{title} {text}" for title, text in zip(table["title"], texts, strict=True)]
    lexical = LexicalIndex.build(searched)
    model, index, info = SearchModel(lexical, fusion=fusion or Fusion()), None, None
    if dense:
        encoder = make_text_encoder(dim=dim, seed=seed)
        vectors_ID = encoder.encode_documents(searched)
        model = SearchModel(lexical, vectors_ID, encoder, fusion or Fusion(), mode or "hybrid")
        index = faiss.IndexFlatIP(dim)
        index.add(vectors_ID)
        info = IndexInfo(factory="Flat", recall_at_100=1.0, num_queries=1)
    return SearchDraft(
        name="texts",
        version=version,
        ranker="sample-text",
        paper="—",
        seed=seed,
        config={},
        data=TextDataInfo(
            name="made-up",
            fingerprint="0" * 64,
            split=SplitInfo(name="none"),
            language="english",
            num_documents=num_documents,
            num_queries=0,
            num_judgements=0,
        ),
        model=model,
        items=Vocabulary("item", [f"d{row}" for row in range(num_documents)]),
        item_table=table,
        index=index,
        index_info=info,
    )


def make_rerank_draft(weights_F: Sequence[float] = (1.0, -2.0, 0.5), *, version: str = "v1") -> RerankDraft:
    """A ranker of candidates whose score is a weighted sum of their features."""
    onnx = pytest.importorskip(
        "onnx", reason="rankers of features are made with the package onnx, which the extra train brings"
    )
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - only here

    num_features = len(weights_F)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["features"], ["exact"], to=TensorProto.DOUBLE),
            helper.make_node("MatMul", ["exact", "weights"], ["scores"]),
        ],
        "ranker",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["C", num_features])],
        [helper.make_tensor_value_info("scores", TensorProto.DOUBLE, ["C"])],
        [numpy_helper.from_array(np.array(weights_F, dtype=np.float64), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return RerankDraft(
        name="features",
        version=version,
        ranker="sample-features",
        paper="—",
        seed=0,
        config={},
        data=FeatureDataInfo(
            name="made-up",
            fingerprint="0" * 64,
            split=SplitInfo(name="none"),
            num_queries=1,
            num_candidates=2,
            num_features=num_features,
        ),
        model=FeatureRanker(model.SerializeToString()),
    )
