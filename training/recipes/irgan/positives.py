"""What each user liked, in the forms that losses over whole batches of users need.

Shapes: B users in the batch, U users, I items, P positives of the batch, K items beside one user.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.data import Interactions
from training.data.batches import multi_hot, shuffled

_CELLS = 8_000_000
"""Scores of one batch held at once, in one of a handful of matrices."""


class Positives:
    """The positives of all users, on a device.

    Args:
        data: events to learn from.
        device: where the tensors go.
        batch_size: users in a batch, at most.
        weight_exponent: a user with n positives gives each the weight n^−exponent.
    """

    def __init__(self, data: Interactions, *, device: torch.device, batch_size: int, weight_exponent: float) -> None:
        self._histories = data.positives().histories()
        self._device = device
        self.num_items = data.num_items
        lengths_U = self._histories.lengths
        # Who liked nothing has nothing to teach either player.
        self._users = np.flatnonzero(lengths_U)
        self._batch_size = max(1, min(batch_size, _CELLS // data.num_items))
        self.counts_U = torch.from_numpy(lengths_U).float().to(device)
        self.weights_U = torch.where(self.counts_U > 0, self.counts_U.clamp(min=1) ** -weight_exponent, 0.0)
        self._total = float((self.weights_U * self.counts_U).sum())
        self._keys = torch.from_numpy(np.sort(self._histories.users * data.num_items + self._histories.items)).to(device)

    def batches(self, generator: torch.Generator, max_users: int | None = None) -> list[np.ndarray]:
        """All users with a positive once, or a random `max_users` of them, in random order, in batches."""
        batches = shuffled(self._users, self._batch_size, generator)
        if max_users is None:
            return batches
        starts = range(0, min(max_users, len(self._users)), self._batch_size)
        return [batch[: max_users - start] for start, batch in zip(starts, batches, strict=False)]

    def scale(self, users_B: Tensor) -> float:
        """What turns a batch's sum into a mean over weighted positives, in expectation."""
        return len(self._users) / (len(users_B) * self._total)

    def matrix(self, users: np.ndarray) -> Tensor:
        """1 where the user liked the item, float32 [B, I]."""
        return multi_hot(self._histories.take(users), self.num_items, self._device)

    def pairs(self, users: np.ndarray) -> tuple[Tensor, Tensor]:
        """Every positive of the batch: its place in the batch and its item, int64 [P] each."""
        histories = self._histories.take(users)
        return torch.from_numpy(histories.users).to(self._device), torch.from_numpy(histories.items).to(self._device)

    def contains(self, users_P: Tensor, items_PK: Tensor) -> Tensor:
        """Whether the user liked the item, bool [P, K]."""
        keys_PK = users_P[:, None] * self.num_items + items_PK
        places_PK = torch.searchsorted(self._keys, keys_PK).clamp(max=len(self._keys) - 1)
        return self._keys[places_PK] == keys_PK

    def rows(self, users: np.ndarray) -> Tensor:
        """User rows as a tensor, int64 [B]."""
        return torch.from_numpy(users).to(self._device)
