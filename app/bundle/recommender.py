"""A bundle that ranks items for people: what is in it, writing and reading it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd

from app.bundle import writing as names
from app.bundle.encoders import Encoder, LinearEncoder, OnnxEncoder, RidgeEncoder
from app.bundle.errors import ContentInvalid
from app.bundle.histories import Histories
from app.bundle.items import item_texts
from app.bundle.lexical import POSTINGS, LexicalIndex
from app.bundle.loading import Needed, check_fit, check_numbers, read_array, read_index, read_lexical, set_search_parameters
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
from app.bundle.model import HistoryPolicy, VectorModel
from app.bundle.rescorer import OnnxRescorer
from app.bundle.vocabulary import Vocabulary
from app.bundle.writing import Draft, write_folder, write_item_table


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A verified ranker of items for people, in memory; nothing in it changes. I items, U known users.

    Attributes:
        path: the folder it was read from.
        manifest: what it says of itself.
        model: vectors, encoder and policy.
        items, users: ids in row order.
        seen: what each known user has had, U histories.
        item_table: metadata in row order, column `id` first.
        popularity_I: float32 [I], the fallback's scores.
        index: FAISS over `model.item_vectors_ID`, its search parameters set.
        lexical: over the metadata, see `item_texts`.
    """

    path: Path
    manifest: RecommenderManifest
    model: VectorModel
    items: Vocabulary
    users: Vocabulary
    seen: Histories
    item_table: pd.DataFrame
    popularity_I: np.ndarray
    index: faiss.Index
    lexical: LexicalIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDraft(Draft):
    """Everything that goes into a bundle. I items, U known users.

    Attributes:
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
            np.savez(folder / names.LINEAR_ENCODER, allow_pickle=False, **present)
            return LinearEncoderInfo(exponent=encoder.exponent, low_weight=encoder.low_weight)
        case RidgeEncoder():
            return RidgeEncoderInfo(confidence=encoder.confidence, regularization=encoder.regularization)
        case OnnxEncoder():
            (folder / names.ONNX_ENCODER).write_bytes(encoder.graph.content())
            return OnnxEncoderInfo()
        case _:
            raise TypeError(f"no bundle form for an encoder of type {type(encoder).__name__}")


def _write_arrays(draft: BundleDraft, folder: Path) -> None:
    model = draft.model
    np.save(folder / names.ITEM_VECTORS, model.item_vectors_ID, allow_pickle=False)
    if model.user_vectors_UD is not None:
        np.save(folder / names.USER_VECTORS, model.user_vectors_UD.astype(np.float32), allow_pickle=False)
    if model.rescorer is not None:
        (folder / names.RESCORER).write_bytes(model.rescorer.graph.content())
    np.save(folder / names.POPULARITY, draft.popularity_I.astype(np.float32), allow_pickle=False)
    write_seen(draft.seen, folder)
    write_item_table(draft.item_table, draft.items, folder)
    LexicalIndex.build(item_texts(draft.item_table), language=draft.language).write(folder)
    pd.DataFrame({"id": pd.Series(draft.users.ids, dtype="string")}).to_parquet(folder / names.USER_TABLE, index=False)
    faiss.write_index(draft.index, str(folder / names.ITEM_INDEX))


def write_seen(seen: Histories, folder: Path) -> None:
    """Write down what each known user has had."""
    np.savez_compressed(folder / names.SEEN, allow_pickle=False, offsets=seen.offsets, items=seen.items, ratings=seen.ratings)


def _manifest(
    draft: BundleDraft, encoder: LinearEncoderInfo | RidgeEncoderInfo | OnnxEncoderInfo, files: list[FileEntry]
) -> RecommenderManifest:
    policy = draft.model.policy
    return RecommenderManifest(
        **draft.told(files),
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
    )


def load_recommender(path: Path, manifest: RecommenderManifest) -> Bundle:
    """The content of a verified folder.

    Raises:
        ContentInvalid: the files do not fit together.
    """
    need = Needed(path, manifest)
    item_vectors_ID = read_array(need(names.ITEM_VECTORS), mapped=True)
    item_table = pd.read_parquet(need(names.ITEM_TABLE))
    items = Vocabulary("item", item_table["id"].astype(str))
    users = Vocabulary("user", pd.read_parquet(need(names.USER_TABLE))["id"].astype(str))
    popularity_I = read_array(need(names.POPULARITY))
    seen = _seen(need(names.SEEN))
    user_vectors_UD = read_array(path / names.USER_VECTORS, mapped=True) if names.USER_VECTORS in need else None
    index = read_index(need(names.ITEM_INDEX))
    lexical = read_lexical(need) if POSTINGS in need else LexicalIndex.build(item_texts(item_table))

    num_items, dim = len(items), manifest.scoring.dim
    encoder: Encoder
    match manifest.encoder:
        case LinearEncoderInfo(exponent=exponent, low_weight=low_weight):
            encoder = _linear(need(names.LINEAR_ENCODER), num_items, exponent, low_weight, manifest.history.positive_threshold)
        case RidgeEncoderInfo(confidence=confidence, regularization=regularization):
            encoder = RidgeEncoder(item_vectors_ID=item_vectors_ID, confidence=confidence, regularization=regularization)
        case _:
            encoder = OnnxEncoder(need(names.ONNX_ENCODER), num_items=num_items)
            if encoder.graph.signature != (OnnxEncoder.INPUTS, (OnnxEncoder.OUTPUT,)):
                raise ContentInvalid(
                    f"{path}: the encoder's inputs and outputs are {encoder.graph.signature}, expected {OnnxEncoder.INPUTS} and {OnnxEncoder.OUTPUT}"
                )

    rescorer = None if manifest.rescorer is None else _rescorer(need(names.RESCORER))

    expected: list[tuple[str, Any, Any]] = [
        ("shape of items.npy", item_vectors_ID.shape, (num_items, dim)),
        ("type of items.npy", item_vectors_ID.dtype, np.dtype(np.float32)),
        ("shape of popularity.npy", popularity_I.shape, (num_items,)),
        ("number of histories in seen.npz", len(seen), len(users)),
        ("dimensions of the encoder", encoder.dim, dim),
        ("documents in lexical.npz", lexical.num_documents, num_items),
        ("vectors in items.faiss", index.ntotal, num_items),
        ("dimensions of items.faiss", index.d, dim),
        ("metric of items.faiss", index.metric_type, faiss.METRIC_INNER_PRODUCT),
    ]
    if rescorer is not None:
        expected.append(("dimensions of the rescorer", rescorer.dim, dim))
    if user_vectors_UD is not None:
        expected.append(("shape of users.npy", user_vectors_UD.shape, (len(users), dim)))
    check_fit(path, expected)
    check_numbers(path, [("items.npy", item_vectors_ID), ("users.npy", user_vectors_UD), ("popularity.npy", popularity_I)])
    if len(seen.items) and (seen.items.min() < 0 or seen.items.max() >= num_items):
        raise ContentInvalid(f"{path}: seen.npz names item rows outside of 0 … {num_items - 1}")
    set_search_parameters(path, index, manifest.index.parameters)
    history = manifest.history
    return Bundle(
        path=path,
        manifest=manifest,
        model=VectorModel(
            item_vectors_ID=item_vectors_ID,
            encoder=encoder,
            policy=HistoryPolicy(history.positive_threshold, history.signal, history.demote_low),
            user_vectors_UD=user_vectors_UD,
            rescorer=rescorer,
            predicts_ratings=manifest.rescorer is not None and manifest.rescorer.predicts_ratings,
        ),
        items=items,
        users=users,
        seen=seen,
        item_table=item_table,
        popularity_I=popularity_I,
        index=index,
        lexical=lexical,
    )


def _seen(path: Path) -> Histories:
    with np.load(path, allow_pickle=False) as stored:
        offsets, items, ratings = stored["offsets"], stored["items"], stored["ratings"]
    check_numbers(path, [("offsets", offsets), ("items", items)], kind="i", dims=1)
    check_numbers(path, [("ratings", ratings[~np.isnan(ratings)])], dims=1)  # NaN where there is none
    ascending = offsets.ndim == 1 and len(offsets) and offsets[0] == 0 and bool(np.all(np.diff(offsets) >= 0))
    if not ascending or offsets[-1] != len(items) or len(items) != len(ratings):
        raise ContentInvalid(f"{path}: offsets, items and ratings do not fit together")
    for array in (offsets, items, ratings):
        array.flags.writeable = False
    return Histories(offsets, items, ratings)


def _linear(path: Path, num_items: int, exponent: float, low_weight: float, threshold: float) -> LinearEncoder:
    with np.load(path, allow_pickle=False) as stored:
        table_ID = stored.get("table")
        intercept_D = stored.get("intercept")
    check_numbers(path, [("table", table_ID)], dims=2)
    check_numbers(path, [("intercept", intercept_D)], dims=1)
    if table_ID is not None and table_ID.shape[0] != num_items:
        raise ContentInvalid(f"{path}: the table has {table_ID.shape[0]} rows, expected one for each of {num_items} items")
    return LinearEncoder(
        table_ID=table_ID,
        intercept_D=intercept_D,
        num_items=num_items,
        exponent=exponent,
        low_weight=low_weight,
        positive_threshold=threshold,
    )


def _rescorer(path: Path) -> OnnxRescorer:
    rescorer = OnnxRescorer(path)
    if rescorer.graph.signature != (OnnxRescorer.INPUTS, OnnxRescorer.OUTPUTS):
        raise ContentInvalid(
            f"{path}: inputs and outputs are {rescorer.graph.signature}, expected {OnnxRescorer.INPUTS} and {OnnxRescorer.OUTPUTS}"
        )
    return rescorer
