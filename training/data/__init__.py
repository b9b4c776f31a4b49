"""Ratings, clicks and items: where they come from, how they are checked and how they are split."""

from training.data.interactions import Dataset, Interactions, Split
from training.data.load import load_dataset
from training.data.splits import default_split, holdout, make_split

__all__ = ["Dataset", "Interactions", "Split", "default_split", "holdout", "load_dataset", "make_split"]
