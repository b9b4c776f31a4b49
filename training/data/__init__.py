"""Ratings, documents, candidates with features: where they come from, how they are checked and how they are split."""

from training.data.catalogue import SOURCES, SourceSpec, source
from training.data.collection import Collection, Judgements, TextSplit
from training.data.documents import TextOptions
from training.data.feature_splits import FEATURE_SPLITS, default_feature_split, make_feature_splits
from training.data.fetch import fetch
from training.data.files import FileOptions
from training.data.interactions import Dataset, Interactions, Split
from training.data.letor import FeatureData, FeatureSplit, JudgedFeatures
from training.data.load import load_collection, load_dataset, load_features
from training.data.logged import LoggedActions, LoggedOptions, ShownActions
from training.data.logged_files import load_logged, load_shown
from training.data.splits import SPLITS, default_split, holdout, make_split
from training.data.text_splits import TEXT_SPLITS, default_text_split, make_text_splits
from training.data.trec import read_trec_qrels, read_trec_run

__all__ = [
    "FEATURE_SPLITS",
    "SOURCES",
    "SPLITS",
    "TEXT_SPLITS",
    "Collection",
    "Dataset",
    "FeatureData",
    "FeatureSplit",
    "FileOptions",
    "Interactions",
    "JudgedFeatures",
    "Judgements",
    "LoggedActions",
    "LoggedOptions",
    "ShownActions",
    "SourceSpec",
    "Split",
    "TextOptions",
    "TextSplit",
    "default_feature_split",
    "default_split",
    "default_text_split",
    "fetch",
    "holdout",
    "load_collection",
    "load_dataset",
    "load_features",
    "load_logged",
    "load_shown",
    "make_feature_splits",
    "make_split",
    "make_text_splits",
    "read_trec_qrels",
    "read_trec_run",
    "source",
]
