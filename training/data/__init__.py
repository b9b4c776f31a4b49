"""Ratings, clicks and items: where they come from, how they are checked and how they are split."""

from training.data.catalogue import SOURCES, SourceSpec, source
from training.data.collection import Collection, Judgements, TextSplit
from training.data.fetch import fetch
from training.data.files import FileOptions
from training.data.interactions import Dataset, Interactions, Split
from training.data.letor import FeatureSplit, JudgedFeatures
from training.data.load import load_dataset
from training.data.splits import SPLITS, default_split, holdout, make_split

__all__ = [
    "SOURCES",
    "SPLITS",
    "Collection",
    "Dataset",
    "FeatureSplit",
    "FileOptions",
    "Interactions",
    "JudgedFeatures",
    "Judgements",
    "SourceSpec",
    "Split",
    "TextSplit",
    "default_split",
    "fetch",
    "holdout",
    "load_dataset",
    "make_split",
    "source",
]
