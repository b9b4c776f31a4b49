"""A data set by its name or by the path of a file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from training.data.catalogue import SOURCES, SourceSpec
from training.data.fetch import fetch
from training.data.files import FileOptions, read_dataset
from training.data.interactions import Dataset
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
            f"no data set and no file {spec!r}; there are the data sets {', '.join(SOURCES)}, or give the path of a file"
        )
    dataset = read_dataset(path, options)
    # A file that happens to be called like a public data set must not pass for it: its split and its terms go by the name.
    return replace(dataset, name=f"{path.name} (file)") if dataset.name in SOURCES else dataset


def _named(source: SourceSpec, options: FileOptions, announce: Callable[[str], None]) -> Dataset:
    default = FileOptions(positive_threshold=options.positive_threshold)
    if options != default:
        other = [field.name for field in fields(options) if getattr(options, field.name) != getattr(default, field.name)]
        raise DataError(
            f"{', '.join(other)}: only for files; {source.name} is a named data set with a layout of its own, "
            "of which only the positive threshold can be chosen"
        )
    downloads: list[str] = []

    def note(message: str) -> None:
        downloads.append(message)
        announce(message)

    folder = fetch(source.name, announce=note)
    if downloads:
        announce(f"{source.name}: terms of use. {source.terms}")
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
