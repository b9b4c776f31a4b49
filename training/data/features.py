"""Candidates with features in files: one file, or a folder with a file for each part."""

from __future__ import annotations

import logging
from pathlib import Path

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
    read = {part: read_svmlight(file) for part, file in files.items()}
    widest = max(read, key=lambda part: read[part][0].num_features)
    num_features = read[widest][0].num_features
    parts: dict[str, JudgedFeatures] = {}
    for part, (judged, is_full) in read.items():
        if judged.num_features < num_features and is_full:
            raise DataError(
                f"{files[part]} has {judged.num_features} features in every line where {files[widest]} has {num_features}; "
                "all files of a data set must have the same features"
            )
        if judged.num_features < num_features:
            logger.info(
                "%s names no feature after %d; those up to %d are 0 in it", files[part], judged.num_features, num_features
            )
        parts[part] = judged.widened(num_features)
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
