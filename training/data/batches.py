"""Batches of histories as dense matrices of zeros and ones.

Shapes: B users, I items.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from app.bundle import Histories


def multi_hot(histories: Histories, num_items: int, device: torch.device) -> Tensor:
    """1 where the user has had the item, float32 [B, I]."""
    cells = torch.from_numpy(histories.users * num_items + histories.items).to(device)
    flat = torch.zeros(len(histories) * num_items, device=device)
    flat[cells] = 1.0
    matrix_BI: Tensor = flat.view(len(histories), num_items)
    return matrix_BI


def shuffled(users: np.ndarray, batch_size: int, generator: torch.Generator) -> list[np.ndarray]:
    """All users once, in random order, in batches of at most `batch_size`."""
    order = users[torch.randperm(len(users), generator=generator).numpy()]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
