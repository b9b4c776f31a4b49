"""Star levels as CF-NADE counts them, and histories in levels.

Shapes: B histories, C columns, K levels, N events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from app.bundle import Histories
from training.data import Interactions
from training.data.levels import Levels
from training.errors import DataError
from training.models.cf_nade import Events


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """An ordered scale of at least two levels, and what is liked on it.

    Attributes:
        steps: its levels.
        positive_level: the lowest level that counts as liked, counted from 0; the highest if none does.
    """

    steps: Levels
    positive_level: int

    @property
    def num_levels(self) -> int:
        """K."""
        return self.steps.num_levels

    @classmethod
    def of(cls, ratings_N: np.ndarray, *, max_levels: int, positive_threshold: float) -> Self:
        """The levels of the training data's ratings, see `Levels.of`.

        Raises:
            DataError: all ratings are the same.
        """
        levels = Levels.of(ratings_N, most=max_levels)
        if levels.num_levels < 2:
            raise DataError(
                f"cf-nade learns how ratings differ, and all {len(ratings_N)} ratings are {ratings_N[0]:g}; "
                "expected at least two different ones; rankers that learn from clicks can use these data"
            )
        return cls(levels, levels.first_at_least(positive_threshold))

    def levels(self, ratings_N: np.ndarray) -> np.ndarray:
        """1 … K for each rating, int64 [N]; an event without a rating has the highest."""
        return 1 + self.steps.places(ratings_N)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Ratings as histories over columns; each event's `ratings` are levels.

    Attributes:
        histories: one for each user, or for each item.
        num_columns: C, items or users.
        num_levels: K.
    """

    histories: Histories
    num_columns: int
    num_levels: int

    @classmethod
    def of(cls, data: Interactions, scale: Scale, *, by_item: bool) -> Self:
        """All users' histories over items, or all items' over users."""
        assert data.ratings is not None
        rows, columns = (data.item_rows, data.user_rows) if by_item else (data.user_rows, data.item_rows)
        num_rows, num_columns = (data.num_items, data.num_users) if by_item else (data.num_users, data.num_items)
        histories = Histories.from_pairs(rows, columns, scale.levels(data.ratings), num_rows)
        return cls(histories, num_columns, scale.num_levels)

    def events(self, rows_B: np.ndarray, device: torch.device) -> Events:
        """The ratings of some histories."""
        taken = self.histories.take(rows_B)
        return Events(
            torch.from_numpy(taken.users).to(device),
            torch.from_numpy(taken.items).to(device),
            torch.from_numpy(taken.ratings.astype(np.int64)).to(device),
            len(taken),
        )

    def dense(self, rows_B: np.ndarray, device: torch.device) -> Tensor:
        """Levels of some histories, 0 where there is no rating, float32 [B, C]."""
        taken = self.histories.take(rows_B)
        cells = torch.from_numpy(taken.users * self.num_columns + taken.items).to(device)
        flat = torch.zeros(len(taken) * self.num_columns, device=device)
        flat[cells] = torch.from_numpy(taken.ratings).to(device)
        levels_BC: Tensor = flat.view(len(taken), self.num_columns)
        return levels_BC

    def log_frequencies(self, strength: float) -> Tensor:
        """Logarithms of how often each column has each level, float32 [K, C]; `strength` ratings of the overall mix are added to each."""
        levels_N = self.histories.ratings.astype(np.int64) - 1
        cells_N = levels_N * self.num_columns + self.histories.items
        size = self.num_levels * self.num_columns
        counts_KC = np.bincount(cells_N, minlength=size).reshape(self.num_levels, self.num_columns)
        # Half a rating more, so that a level that validation holds out altogether is possible.
        overall_K1 = (counts_KC.sum(axis=1, keepdims=True) + 0.5) / (counts_KC.sum() + 0.5 * self.num_levels)
        mixed_KC = (counts_KC + strength * overall_K1) / (counts_KC.sum(axis=0) + strength)
        return torch.from_numpy(np.log(mixed_KC)).float()

    def mean_levels(self, strength: float) -> Tensor:
        """The mean level of each column, drawn towards the overall mean as by `strength` more ratings, float32 [C]."""
        events = self.histories
        sums_C = np.bincount(events.items, weights=events.ratings, minlength=self.num_columns)
        counts_C = np.bincount(events.items, minlength=self.num_columns)
        means_C = (sums_C + strength * events.ratings.mean(dtype=np.float64)) / (counts_C + strength)
        return torch.from_numpy(means_C).float()
