"""A bundle that ranks items for people: what is in it, and reading it."""

from __future__ import annotations

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
from app.bundle.loading import Needed, check_fit, read_array, read_lexical, set_search_parameters
from app.bundle.manifest import LinearEncoderInfo, RecommenderManifest, RidgeEncoderInfo
from app.bundle.model import HistoryPolicy, VectorModel
from app.bundle.rescorer import OnnxRescorer
from app.bundle.vocabulary import Vocabulary


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
    index = faiss.read_index(str(need(names.ITEM_INDEX)))
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
    if not np.isfinite(item_vectors_ID).all():
        raise ContentInvalid(f"{path}: items.npy holds values that are not finite")
    if len(seen.items) and (seen.items.min() < 0 or seen.items.max() >= num_items):
        raise ContentInvalid(f"{path}: seen.npz names item rows outside of 0 … {num_items - 1}")
    set_search_parameters(index, manifest.index.parameters)
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
