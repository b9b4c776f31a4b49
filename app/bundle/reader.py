"""Reading a bundle: everything is verified in a fixed order, and each failure has its own message."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import faiss
import numpy as np
import pandas as pd
import pydantic

from app.bundle import writer as names
from app.bundle.encoders import Encoder, LinearEncoder, OnnxEncoder, RidgeEncoder
from app.bundle.errors import BundleNotFound, ContentInvalid, FileDamaged, ManifestInvalid, SchemaUnsupported
from app.bundle.files import sha256_of
from app.bundle.histories import Histories
from app.bundle.manifest import LinearEncoderInfo, Manifest, RidgeEncoderInfo, SchemaVersion
from app.bundle.model import HistoryPolicy, VectorModel
from app.bundle.rescorer import OnnxRescorer
from app.bundle.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A verified bundle in memory; nothing in it changes. I items, U known users.

    Attributes:
        path: the folder it was read from.
        manifest: what it says of itself.
        model: vectors, encoder and policy.
        items, users: ids in row order.
        seen: what each known user has had, U histories.
        item_table: metadata in row order, column `id` first.
        popularity_I: float32 [I], the fallback's scores.
        index: FAISS over `model.item_vectors_ID`, its search parameters set.
    """

    path: Path
    manifest: Manifest
    model: VectorModel
    items: Vocabulary
    users: Vocabulary
    seen: Histories
    item_table: pd.DataFrame
    popularity_I: np.ndarray
    index: faiss.Index


def read_manifest(path: Path) -> Manifest:
    """Read and check `path/manifest.json` alone.

    Raises:
        BundleNotFound: no folder, or no manifest in it.
        SchemaUnsupported: another schema version.
        ManifestInvalid: not JSON, or against the schema.
    """
    if not path.is_dir():
        raise BundleNotFound(f"{path} is no folder; expected a bundle's folder NAME/VERSION")
    try:
        raw = (path / names.MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BundleNotFound(f"{path} holds no {names.MANIFEST}; expected a bundle's folder NAME/VERSION") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestInvalid(f"{path / names.MANIFEST} cannot be read: {error}") from error
    try:
        parsed = json.loads(raw)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ManifestInvalid(f"{path / names.MANIFEST} is not JSON: {error}") from error
    found = parsed.get("schema_version") if isinstance(parsed, dict) else None
    known = get_args(SchemaVersion)
    if isinstance(found, int) and found not in known:
        raise SchemaUnsupported(
            f"{path} has bundle schema {found}, this version of irgan reads {' and '.join(map(str, known))}; "
            "upgrade irgan or export the ranker again"
        )
    try:
        return Manifest.model_validate(parsed)
    except pydantic.ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors())
        raise ManifestInvalid(f"{path / names.MANIFEST} breaks the schema: {problems}") from error


def read_bundle(path: Path) -> Bundle:
    """Read and verify a bundle: manifest, then sizes, then SHA-256, then content.

    Raises:
        BundleError: one of its kinds, for the first thing found wrong.
    """
    manifest = read_manifest(path)
    _verify_files(path, manifest)
    try:
        return _load(path, manifest)
    except ContentInvalid:
        raise
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, pydantic.ValidationError) as error:
        raise ContentInvalid(f"{path}: the content cannot be understood: {error}") from error


def _verify_files(path: Path, manifest: Manifest) -> None:
    for entry in manifest.files:
        file = path / entry.path
        if Path(entry.path).name != entry.path or file.is_symlink():
            raise ManifestInvalid(f"{path}: file {entry.path!r} lies outside of the bundle's folder")
        if not file.is_file():
            raise FileDamaged(f"{path}: {entry.path} is missing; copy the bundle again")
        size = file.stat().st_size
        if size != entry.size:
            raise FileDamaged(f"{path}: {entry.path} has {size} bytes, the manifest says {entry.size}; copy the bundle again")
    for entry in manifest.files:
        if sha256_of(path / entry.path) != entry.sha256:
            raise FileDamaged(f"{path}: {entry.path} differs from its SHA-256 in the manifest; copy the bundle again")


def _load(path: Path, manifest: Manifest) -> Bundle:
    listed = {entry.path for entry in manifest.files}

    def need(name: str) -> Path:
        if name not in listed:
            raise ContentInvalid(f"{path}: the manifest lists no {name}")
        return path / name

    item_vectors_ID = _array(need(names.ITEM_VECTORS), mapped=True)
    item_table = pd.read_parquet(need(names.ITEM_TABLE))
    items = Vocabulary("item", item_table["id"].astype(str))
    users = Vocabulary("user", pd.read_parquet(need(names.USER_TABLE))["id"].astype(str))
    popularity_I = _array(need(names.POPULARITY))
    seen = _seen(need(names.SEEN))
    user_vectors_UD = _array(path / names.USER_VECTORS, mapped=True) if names.USER_VECTORS in listed else None
    index = faiss.read_index(str(need(names.ITEM_INDEX)))

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
        ("vectors in items.faiss", index.ntotal, num_items),
        ("dimensions of items.faiss", index.d, dim),
        ("metric of items.faiss", index.metric_type, faiss.METRIC_INNER_PRODUCT),
    ]
    if rescorer is not None:
        expected.append(("dimensions of the rescorer", rescorer.dim, dim))
    if user_vectors_UD is not None:
        expected.append(("shape of users.npy", user_vectors_UD.shape, (len(users), dim)))
    for what, found, wanted in expected:
        if found != wanted:
            raise ContentInvalid(f"{path}: {what} is {found}, expected {wanted}")
    if not np.isfinite(item_vectors_ID).all():
        raise ContentInvalid(f"{path}: items.npy holds values that are not finite")
    if len(seen.items) and (seen.items.min() < 0 or seen.items.max() >= num_items):
        raise ContentInvalid(f"{path}: seen.npz names item rows outside of 0 … {num_items - 1}")
    _set_search_parameters(index, manifest.index.parameters)
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
    )


def _array(path: Path, *, mapped: bool = False) -> np.ndarray:
    array: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    array.flags.writeable = False
    # A plain view: the pages stay mapped, and arithmetic does not pay for the memmap subclass.
    return array.view(np.ndarray)


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


def _set_search_parameters(index: faiss.Index, parameters: dict[str, int]) -> None:
    """Once, here: an index in service is never changed."""
    for name, value in parameters.items():
        faiss.ParameterSpace().set_index_parameter(index, name, value)
