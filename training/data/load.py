"""A data set by its name or by the path of a file."""

from __future__ import annotations

import os
from pathlib import Path

from training.data.catalogue import SOURCES
from training.data.interactions import Dataset
from training.data.movielens import read_movielens_100k
from training.errors import DataError


def load_dataset(spec: str) -> Dataset:
    """The data set with this name.

    Raises:
        DataError: it is not there.
    """
    if spec not in SOURCES:
        raise DataError(f"no data set {spec!r}; there are {', '.join(SOURCES)}")
    folder = Path(os.environ.get("IRGAN_DATA_DIR", "")) / spec
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    return read_movielens_100k(folder, positive_threshold=SOURCES[spec].positive_threshold)
