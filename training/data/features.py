"""Candidates with features in files: one file, or a folder with a file for each part."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from training.data.letor import FeatureData, JudgedFeatures
from training.data.svmlight import read_svmlight
from training.errors import DataError

logger = logging.getLogger(__name__)

SUFFIXES = (".txt", ".svm", ".svmlight", ".libsvm", ".letor", ".dat")
TRAIN, VALID, TEST = "train", "valid", "test"

_ALIASES = {"training": TRAIN, "vali": VALID, "dev": VALID, "validation": VALID, "val": VALID}
"""Names of files that stand for a part; LETOR calls its validation files `vali`."""
_NO_DATA = ("readme", "license", "licence")


def read_features(path: Path, name: str) -> FeatureData:
    """The candidates in a file, or in all files of a folder.

    Args:
        path: a file in SVMlight's form with queries, or a folder of them.
        name: of the data set.

    Raises:
        DataError: no such files, or they cannot be used together.
    """
    files = _files(path)
    parts = {part: read_svmlight(file) for part, file in files.items()}
    widths = {part: judged.num_features for part, judged in parts.items()}
    widest = max(widths.values())
    for part, width in widths.items():
        if width != widest and _is_full(parts[part]):
            other = next(name for name, found in widths.items() if found == widest)
            raise DataError(
                f"{files[part]}: {width} features in every line where {files[other]} has {widest}; "
                "all files of a data set must have the same features"
            )
        if width != widest:
            logger.info("%s: no line names a feature after the %d-th; the others up to %d are 0", files[part], width, widest)
            parts[part] = _widened(parts[part], widest)
    return FeatureData(name, parts)


def _files(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        return {"all": path}
    found = [
        file
        for file in sorted(path.iterdir())
        if file.is_file() and file.suffix.lower() in SUFFIXES and not file.stem.lower().startswith(_NO_DATA)
    ]
    if not found:
        folds = [folder.name for folder in sorted(path.iterdir()) if folder.is_dir() and folder.name.lower().startswith("fold")]
        hint = f"; give one of its folders {', '.join(folds)}" if folds else ""
        raise DataError(f"{path} has no file that ends in {', '.join(SUFFIXES)}{hint}")
    files: dict[str, Path] = {}
    for file in found:
        part = _ALIASES.get(file.stem.lower(), file.stem)
        if part in files:
            raise DataError(f"{files[part]} and {file} are both the part {part}; remove one of them")
        files[part] = file
    return files


def _is_full(judged: JudgedFeatures) -> bool:
    """Whether the last feature differs from 0 somewhere, and no line leaves features out; a rough sign of files that are not sparse."""
    return bool((judged.features_NF != 0).mean() > 0.5)


def _widened(judged: JudgedFeatures, num_features: int) -> JudgedFeatures:
    missing = num_features - judged.num_features
    features_NF = np.pad(judged.features_NF, ((0, 0), (0, missing)))
    return JudgedFeatures(judged.query_ids, judged.offsets, features_NF, judged.grades, judged.document_ids)
