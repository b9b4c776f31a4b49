"""What writing a bundle of any kind takes: names of files, a temporary sibling, fsync, rename."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from app.bundle.errors import BundleError
from app.bundle.files import new_folder, sha256_of
from app.bundle.manifest import FileEntry, Manifest
from app.bundle.sealing import write_manifest
from app.bundle.vocabulary import Vocabulary

ITEM_VECTORS = "items.npy"
ITEM_TABLE = "items.parquet"
ITEM_INDEX = "items.faiss"
USER_VECTORS = "users.npy"
USER_TABLE = "users.parquet"
POPULARITY = "popularity.npy"
SEEN = "seen.npz"
LINEAR_ENCODER = "encoder.npz"
ONNX_ENCODER = "encoder.onnx"
RESCORER = "rescorer.onnx"
TOKENIZER = "tokenizer.json"
FEATURE_RANKER = "ranker.onnx"

_RECORDED_LIBRARIES = (
    "irgan",
    "numpy",
    "faiss-cpu",
    "faiss-gpu",
    "onnxruntime",
    "onnx",
    "torch",
    "bm25s",
    "tokenizers",
    "lightgbm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a bundle of any kind is written from.

    Attributes:
        name, version: the two folder names.
        ranker, paper, seed, config, metrics, training, commit: as in `Manifest`.
        created: likewise; None for now.
    """

    name: str
    version: str
    ranker: str
    paper: str
    seed: int
    config: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    commit: str | None = None
    created: datetime | None = None

    def told(self, files: list[FileEntry]) -> dict[str, Any]:
        """What manifests of all kinds say."""
        return {
            "name": self.name,
            "version": self.version,
            "ranker": self.ranker,
            "paper": self.paper,
            "created": self.created or datetime.now(UTC),
            "seed": self.seed,
            "config": json.loads(json.dumps(self.config)),
            "metrics": self.metrics,
            "training": self.training,
            "libraries": libraries(),
            "commit": self.commit,
            "files": files,
        }


def write_folder(target: Path, fill: Callable[[Path], Callable[[list[FileEntry]], Manifest]]) -> Path:
    """Write a bundle, whole or not at all.

    Args:
        target: its folder.
        fill: writes everything but the manifest into a folder, and gives what makes the manifest of the list of files.

    Returns:
        `target`.

    Raises:
        BundleError: the folder exists already.
        OSError: it cannot be written, because the disk is full for instance; nothing is left behind.
    """
    try:
        with new_folder(target) as folder:
            manifest_of = fill(folder)
            files = [
                FileEntry(path=path.name, size=path.stat().st_size, sha256=sha256_of(path)) for path in sorted(folder.iterdir())
            ]
            write_manifest(folder, manifest_of(files).model_dump_json(indent=2) + "\n")
    except FileExistsError as error:
        raise BundleError(f"{target} exists already; a bundle is never overwritten, write another version") from error
    return target


def write_item_table(item_table: pd.DataFrame, items: Vocabulary, folder: Path) -> None:
    """Write the metadata, the ids in the first column."""
    table = item_table.drop(columns="id", errors="ignore").reset_index(drop=True)
    table.insert(0, "id", pd.Series(items.ids, dtype="string"))
    table.to_parquet(folder / ITEM_TABLE, index=False)


def libraries() -> dict[str, str]:
    """The libraries that a bundle was made with, and their versions."""
    found = {}
    for library in _RECORDED_LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
