"""Writing a bundle that ranks items for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd

from app.bundle.encoders import Encoder, LinearEncoder, OnnxEncoder, RidgeEncoder
from app.bundle.histories import Histories
from app.bundle.items import item_texts
from app.bundle.lexical import LexicalIndex
from app.bundle.manifest import (
    DataInfo,
    FileEntry,
    HistoryInfo,
    IndexInfo,
    Language,
    LinearEncoderInfo,
    OnnxEncoderInfo,
    RecommenderManifest,
    RescorerInfo,
    RidgeEncoderInfo,
    ScoringInfo,
)
from app.bundle.model import VectorModel
from app.bundle.vocabulary import Vocabulary
from app.bundle.writing import (
    ITEM_INDEX,
    ITEM_VECTORS,
    LINEAR_ENCODER,
    ONNX_ENCODER,
    POPULARITY,
    RESCORER,
    SEEN,
    USER_TABLE,
    USER_VECTORS,
    libraries,
    write_folder,
    write_item_table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDraft:
    """Everything that goes into a bundle. I items, U known users.

    Attributes:
        name, version: the two folder names.
        model: vectors, encoder and policy.
        items: ids in row order.
        users: ids of the known users in row order.
        seen: what each known user has had, U histories.
        item_table: metadata in row order, one column each; `title` is shown to people where there is one.
        popularity_I: float32 [I], the fallback's scores.
        index: a built FAISS index over `model.item_vectors_ID`.
        overlap_at_100, candidates: of a model with a rescorer, see `ScoringInfo` and `RescorerInfo`.
        language: of the metadata, for their search.
    """

    name: str
    version: str
    ranker: str
    paper: str
    seed: int
    config: dict[str, Any]
    data: DataInfo
    model: VectorModel
    items: Vocabulary
    users: Vocabulary
    seen: Histories
    item_table: pd.DataFrame
    popularity_I: np.ndarray
    index: faiss.Index
    index_info: IndexInfo
    bias_folded: bool = False
    overlap_at_100: float | None = None
    candidates: int | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    commit: str | None = None
    language: Language = "english"


def write_bundle(draft: BundleDraft, root: Path) -> Path:
    """Write a bundle to `root/NAME/VERSION` and return that path.

    Raises:
        BundleError: the folder exists already.
        OSError: it cannot be written, because the disk is full for instance; nothing is left behind.
    """
    assert len(draft.items) == draft.model.num_items == len(draft.item_table) == len(draft.popularity_I)
    assert len(draft.users) == len(draft.seen)
    assert (draft.model.rescorer is None) == (draft.candidates is None) == (draft.overlap_at_100 is None)

    def fill(folder: Path) -> Callable[[list[FileEntry]], RecommenderManifest]:
        encoder_info = _write_encoder(draft.model.encoder, folder)
        _write_arrays(draft, folder)
        return lambda files: _manifest(draft, encoder_info, files)

    return write_folder(root / draft.name / draft.version, fill)


def _write_encoder(encoder: Encoder, folder: Path) -> LinearEncoderInfo | RidgeEncoderInfo | OnnxEncoderInfo:
    match encoder:
        case LinearEncoder():
            arrays = {"table": encoder.table_ID, "intercept": encoder.intercept_D}
            present = {name: array.astype(np.float32) for name, array in arrays.items() if array is not None}
            np.savez(folder / LINEAR_ENCODER, allow_pickle=False, **present)
            return LinearEncoderInfo(exponent=encoder.exponent, low_weight=encoder.low_weight)
        case RidgeEncoder():
            return RidgeEncoderInfo(confidence=encoder.confidence, regularization=encoder.regularization)
        case OnnxEncoder():
            (folder / ONNX_ENCODER).write_bytes(encoder.graph.content())
            return OnnxEncoderInfo()
        case _:
            raise TypeError(f"no bundle form for an encoder of type {type(encoder).__name__}")


def _write_arrays(draft: BundleDraft, folder: Path) -> None:
    model = draft.model
    np.save(folder / ITEM_VECTORS, model.item_vectors_ID, allow_pickle=False)
    if model.user_vectors_UD is not None:
        np.save(folder / USER_VECTORS, model.user_vectors_UD.astype(np.float32), allow_pickle=False)
    if model.rescorer is not None:
        (folder / RESCORER).write_bytes(model.rescorer.graph.content())
    np.save(folder / POPULARITY, draft.popularity_I.astype(np.float32), allow_pickle=False)
    seen = draft.seen
    np.savez_compressed(folder / SEEN, allow_pickle=False, offsets=seen.offsets, items=seen.items, ratings=seen.ratings)
    write_item_table(draft.item_table, draft.items, folder)
    LexicalIndex.build(item_texts(draft.item_table), language=draft.language).write(folder)
    pd.DataFrame({"id": pd.Series(draft.users.ids, dtype="string")}).to_parquet(folder / USER_TABLE, index=False)
    faiss.write_index(draft.index, str(folder / ITEM_INDEX))


def _manifest(
    draft: BundleDraft, encoder: LinearEncoderInfo | RidgeEncoderInfo | OnnxEncoderInfo, files: list[FileEntry]
) -> RecommenderManifest:
    policy = draft.model.policy
    return RecommenderManifest(
        name=draft.name,
        version=draft.version,
        ranker=draft.ranker,
        paper=draft.paper,
        created=datetime.now(UTC),
        seed=draft.seed,
        config=json.loads(json.dumps(draft.config)),
        data=draft.data,
        history=HistoryInfo(positive_threshold=policy.positive_threshold, signal=policy.signal, demote_low=policy.demote_low),
        encoder=encoder,
        scoring=ScoringInfo(
            dim=draft.model.dim,
            bias_folded=draft.bias_folded,
            fidelity="exact" if draft.model.rescorer is None else "approximate",
            overlap_at_100=draft.overlap_at_100,
        ),
        rescorer=None
        if draft.candidates is None
        else RescorerInfo(candidates=draft.candidates, predicts_ratings=draft.model.predicts_ratings),
        index=draft.index_info,
        metrics=draft.metrics,
        training=draft.training,
        libraries=libraries(),
        commit=draft.commit,
        files=files,
    )
