"""Data by their name or by the path of a file or folder: interactions, documents, and candidates with features."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from training.data.beir import CORPUS, read_beir
from training.data.catalogue import SOURCES, Kind, SourceSpec, check_kind, names_of
from training.data.collection import Collection
from training.data.documents import TextOptions, read_plain
from training.data.features import read_features
from training.data.fetch import fetch
from training.data.files import FileOptions, read_dataset
from training.data.interactions import Dataset
from training.data.letor import FeatureData
from training.errors import DataError

logger = logging.getLogger(__name__)


def load_dataset(spec: str, options: FileOptions | None = None, *, announce: Callable[[str], None] = logger.info) -> Dataset:
    """The data set of this name, fetched if need be, or the one in this file.

    Args:
        spec: a name of the catalogue, or the path of a CSV, TSV or Parquet file.
        options: how to read a file; of a named data set only `positive_threshold` can be chosen.
        announce: told what is being downloaded, and its terms of use.

    Raises:
        DataError: neither a name nor a file, or data that cannot be used.
    """
    options = options or FileOptions()
    if spec in SOURCES:
        return _named(SOURCES[spec], options, announce)
    path = Path(spec)
    if not path.exists() and not path.suffix and path.name == spec:
        raise DataError(
            f"no data set and no file {spec!r}; there are the data sets {', '.join(names_of('interactions'))}, or give the path of a file"
        )
    dataset = read_dataset(path, options)
    # A file that happens to be called like a public data set must not pass for it: its split and its terms go by the name.
    return replace(dataset, name=f"{path.name} (file)") if dataset.name in SOURCES else dataset


def load_collection(
    spec: str, options: TextOptions | None = None, *, announce: Callable[[str], None] = logger.info
) -> Collection:
    """The collection of documents of this name, fetched if need be, or the one at this path.

    Args:
        spec: a name of the catalogue, a folder as BEIR has it, or a file of documents (JSON Lines, CSV, TSV or Parquet).
        options: how to read a file; a folder says itself where queries and judgements are, and of a named collection only `language`
            and `min_grade` can be chosen.
        announce: told what is being downloaded, and its terms of use.

    Raises:
        DataError: neither a name nor a path, or documents that cannot be used.
    """
    options = options or TextOptions()
    if options.min_grade < 1:
        raise DataError(
            f"--min-grade {options.min_grade} is impossible; expected 1 or more, 0 says that a document is no answer"
        )
    if spec in SOURCES:
        check_kind(SOURCES[spec], "documents")
        _refuse_options(spec, options, "language", "min_grade")
        # Two abstracts of Cranfield are empty, and the figures of the literature count them.
        return read_beir(fetched(SOURCES[spec], announce), replace(options, keep_empty=True))
    path = _path(spec, "documents", "a folder with corpus.jsonl or of a file")
    if not path.is_dir():
        return _unnamed(read_plain(path, options), path)
    if not (path / CORPUS).is_file():
        raise DataError(
            f"{path} has no {CORPUS}; expected a folder with {CORPUS}, queries.jsonl and qrels/, or give a file in it"
        )
    _refuse_options(str(path), options, "language", "min_grade", "keep_empty", "id_column", "title_column", "text_column")
    return _unnamed(read_beir(path, options), path)


def load_features(spec: str, *, announce: Callable[[str], None] = logger.info) -> FeatureData:
    """The candidates with features of this name, fetched if need be, or those at this path.

    Args:
        spec: a name of the catalogue, a file in SVMlight's form with queries, or a folder of such files.
        announce: told what is being downloaded, and its terms of use.

    Raises:
        DataError: neither a name nor a path, or files that cannot be used.
    """
    if spec in SOURCES:
        check_kind(SOURCES[spec], "features")
        return read_features(fetched(SOURCES[spec], announce), spec)
    path = _path(spec, "features", "a file or folder in SVMlight's form")
    name = path.resolve().name if path.is_dir() else path.stem
    return read_features(path, f"{name} ({_form(path)})" if name in SOURCES else name)


def _path(spec: str, kind: Kind, what: str) -> Path:
    path = Path(spec)
    if not path.exists() and not path.suffix and path.name == spec:
        raise DataError(f"no data set and no file {spec!r}; there are {', '.join(names_of(kind))}, or give the path of {what}")
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    return path


def _unnamed(collection: Collection, path: Path) -> Collection:
    """Files that happen to be called like a public data set must not pass for it."""
    return replace(collection, name=f"{collection.name} ({_form(path)})") if collection.name in SOURCES else collection


def _form(path: Path) -> str:
    return "folder" if path.is_dir() else "file"


def _refuse_options(what: str, options: TextOptions, *allowed: str) -> None:
    default = TextOptions()
    given = [field.name for field in fields(options) if getattr(options, field.name) != getattr(default, field.name)]
    other = ["--" + name.replace("_", "-") for name in given if name not in allowed]
    if other:
        raise DataError(
            f"{', '.join(other)}: only for plain files of documents; {what} has a layout of its own, of which only "
            f"{', '.join('--' + name.replace('_', '-') for name in allowed)} can be chosen"
        )


def fetched(source: SourceSpec, announce: Callable[[str], None]) -> Path:
    """The folder of a named source; its terms of use are told when it comes from elsewhere."""
    downloads: list[str] = []

    def note(message: str) -> None:
        downloads.append(message)
        announce(message)

    folder = fetch(source.name, announce=note)
    if downloads:
        announce(f"{source.name}: terms of use. {source.terms}")
    return folder


def _named(source: SourceSpec, options: FileOptions, announce: Callable[[str], None]) -> Dataset:
    check_kind(source, "interactions")
    default = FileOptions(positive_threshold=options.positive_threshold)
    if options != default:
        other = [field.name for field in fields(options) if getattr(options, field.name) != getattr(default, field.name)]
        raise DataError(
            f"{', '.join(other)}: only for files; {source.name} is a named data set with a layout of its own, "
            "of which only the positive threshold can be chosen"
        )
    folder = fetched(source, announce)
    assert source.read is not None
    dataset = source.read(folder, positive_threshold=source.positive_threshold)
    threshold = options.positive_threshold
    if threshold is None:
        return dataset
    ratings = dataset.interactions.ratings
    if ratings is None:
        raise DataError(f"{source.name} has no ratings that a positive threshold of {threshold:g} could apply to")
    if not threshold <= ratings.max():
        raise DataError(
            f"{source.name}: no rating reaches the threshold {threshold:g}; they run from {ratings.min():g} to {ratings.max():g}"
        )
    return replace(dataset, interactions=replace(dataset.interactions, positive_threshold=threshold))
