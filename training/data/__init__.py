"""Ratings, clicks and items: where they come from, how they are checked and how they are split."""

from training.data.catalogue import SOURCES, SourceSpec, source
from training.data.fetch import fetch
from training.data.files import FileOptions
from training.data.interactions import Dataset, Interactions, Split
from training.data.load import load_dataset
from training.data.splits import SPLITS, default_split, holdout, make_split

__all__ = [
    "SOURCES",
    "SPLITS",
    "Dataset",
    "FileOptions",
    "Interactions",
    "SourceSpec",
    "Split",
    "default_split",
    "fetch",
    "holdout",
    "load_dataset",
    "make_split",
    "source",
]
