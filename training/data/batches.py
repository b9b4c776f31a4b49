"""Batches of histories as dense matrices of zeros and ones.

Shapes: B users, I items.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from app.bundle import Histories
from training.data.interactions import Interactions
from training.errors import DataError


def multi_hot(histories: Histories, num_items: int, device: torch.device) -> Tensor:
    """1 where the user has had the item, float32 [B, I]."""
    cells = torch.from_numpy(histories.users * num_items + histories.items).to(device)
    flat = torch.zeros(len(histories) * num_items, device=device)
    flat[cells] = 1.0
    matrix_BI: Tensor = flat.view(len(histories), num_items)
    return matrix_BI


def log_popularity(data: Interactions) -> Tensor:
    """The logarithm of each item's share of all likes, half a like added to each, float32 [I]: where a softmax over the items starts."""
    return log_shares(torch.from_numpy(data.popularity()))


def log_shares(counts_I: Tensor) -> Tensor:
    """The same of any counts, float32 [I]."""
    smoothed_I = counts_I + 0.5
    return torch.log(smoothed_I / smoothed_I.sum())


def liked_shares(data: Interactions) -> Tensor:
    """The share of the users with a like who liked each item, drawn away from 0 and 1, float32 [I]: where an item's own unit starts."""
    num_users = len(np.unique(data.user_rows[data.is_positive]))
    return (torch.from_numpy(data.popularity()) + 0.5) / (float(num_users) + 1.0)


def users_to_hide_from(liked: Histories, ranker: str) -> np.ndarray:
    """Rows of the users who have two events, of which one can be hidden while the other is seen; int64.

    Args:
        liked: what each user liked.
        ranker: who asks, for the message.

    Raises:
        DataError: there is none.
    """
    users = np.flatnonzero(liked.lengths >= 2)
    if not len(users):
        raise DataError(
            f"{ranker} hides a part of what a user liked, and none of {len(liked)} users has two liked events to learn from; "
            "use another ranker, or more events a user"
        )
    return users


def shuffled(users: np.ndarray, batch_size: int, generator: torch.Generator) -> list[np.ndarray]:
    """All users once, in random order, in batches of at most `batch_size`."""
    order = users[torch.randperm(len(users), generator=generator).numpy()]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
