"""Rankers without training and a split small enough to look at, for the tests of what compares rankers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from app.bundle import HistoryPolicy, LinearEncoder, VectorModel
from tests.training.conftest import make_interactions
from training.data import Dataset, Split, make_split


def small_split(*, num_users: int = 60, num_items: int = 40) -> Split:
    """60 users, 40 items, 12 ratings a user, a fifth of them in the test."""
    data = make_interactions(num_users=num_users, num_items=num_items)
    table = pd.DataFrame({"title": [f"Item {row}" for row in range(num_items)]})
    return make_split(Dataset("small", data, table), "random", seed=1)


def popularity_model(split: Split) -> VectorModel:
    """The same order for everybody, with many ties."""
    vectors_I1 = split.train.popularity()[:, None]
    encoder = LinearEncoder(table_ID=np.zeros_like(vectors_I1), intercept_D=np.ones(1, dtype=np.float32))
    return VectorModel(vectors_I1, encoder, HistoryPolicy(positive_threshold=split.train.positive_threshold))


def neighbour_model(split: Split, *, shrinkage: float = 5.0, signal: str = "positives") -> VectorModel:
    """Items that were liked together, as cosines of their columns."""
    matrix_UI = split.train.positives().matrix().toarray()
    norms_I = np.sqrt((matrix_UI**2).sum(axis=0)) + shrinkage
    vectors_II = (matrix_UI.T @ matrix_UI / np.outer(norms_I, norms_I)).astype(np.float32)
    np.fill_diagonal(vectors_II, 0.0)
    policy = HistoryPolicy(split.train.positive_threshold, signal, demote_low=signal == "all")  # type: ignore[arg-type]
    return VectorModel(vectors_II, LinearEncoder(table_ID=None, num_items=split.train.num_items), policy)
