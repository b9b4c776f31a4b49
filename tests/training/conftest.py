"""Small made-up interactions for the training half's tests."""

from __future__ import annotations

import numpy as np
import pytest

from app.bundle import Vocabulary
from training.data import Interactions


def make_interactions(*, num_users: int = 60, num_items: int = 40, per_user: int = 12, seed: int = 0) -> Interactions:
    """Two tastes: even users like even items, odd users odd ones; ratings 1 to 5, times one minute apart, no pair twice."""
    rng = np.random.default_rng(seed)
    user_rows, item_rows, ratings = [], [], []
    for user in range(num_users):
        same_taste = np.arange(num_items) % 2 == user % 2
        weights = np.where(same_taste, 4.0, 1.0) / (1.0 + np.arange(num_items))
        had = rng.choice(num_items, size=per_user, replace=False, p=weights / weights.sum())
        user_rows += [user] * per_user
        item_rows += had.tolist()
        ratings += np.where(same_taste[had], rng.integers(4, 6, per_user), rng.integers(1, 4, per_user)).tolist()
    order = rng.permutation(len(user_rows))
    return Interactions(
        users=Vocabulary("user", [f"u{row}" for row in range(num_users)]),
        items=Vocabulary("item", [f"i{row}" for row in range(num_items)]),
        user_rows=np.array(user_rows, dtype=np.int64)[order],
        item_rows=np.array(item_rows, dtype=np.int64)[order],
        ratings=np.array(ratings, dtype=np.float32)[order],
        times=(880_000_000 + 60 * np.arange(len(order))).astype(np.int64),
        positive_threshold=4.0,
    )


@pytest.fixture
def small_interactions() -> Interactions:
    """60 users, 40 items, 720 ratings with two tastes in them."""
    return make_interactions()
