"""Ratings, clicks and items: where they come from, how they are checked and how they are split."""

from training.data.interactions import Dataset, Interactions, Split

__all__ = ["Dataset", "Interactions", "Split"]
