"""Ratings as levels on an ordered scale, for models that have a softmax over them.

Shapes: N events, K levels, B users in the batch, I items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from app.bundle import Histories


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """K levels of rating.

    Attributes:
        values_K: what each stands for, in the data's own unit, ascending, float64.
        boundaries: the K − 1 ratings from which the next level begins, ascending, float32.
    """

    values_K: np.ndarray
    boundaries: np.ndarray

    @classmethod
    def of(cls, ratings_N: np.ndarray, most: int) -> Self:
        """One level for each distinct rating, borders half-way; with more than `most`, bins of about as many ratings, with their means."""
        ratings_N = ratings_N.astype(np.float64)
        distinct = np.unique(ratings_N)
        if len(distinct) <= most:
            return cls(distinct, ((distinct[:-1] + distinct[1:]) / 2).astype(np.float32))
        # Each border is a rating that occurs, and the lowest is none: no bin is empty.
        borders = np.unique(np.quantile(ratings_N, np.arange(1, most) / most, method="higher"))
        borders = borders[borders > distinct[0]]
        places_N = np.searchsorted(borders, ratings_N, side="right")
        return cls(np.bincount(places_N, weights=ratings_N) / np.bincount(places_N), borders.astype(np.float32))

    @property
    def num_levels(self) -> int:
        """K."""
        return len(self.values_K)

    def first_at_least(self, threshold: float) -> int:
        """The lowest level that stands for a rating of at least `threshold`; the highest one where none does."""
        # Ratings are float32: a threshold of 0.7 is meant to include what was read as 0.69999999.
        return min(int(np.searchsorted(self.values_K, threshold - 1e-6)), self.num_levels - 1)

    def places(self, ratings: np.ndarray) -> np.ndarray:
        """The level of each rating from 0, int64; an event without a rating has the highest one."""
        places: np.ndarray = np.searchsorted(self.boundaries, np.where(np.isnan(ratings), np.inf, ratings), side="right")
        return places

    def one_hot(self, histories: Histories, num_items: int, device: torch.device) -> Tensor:
        """1 where a user gave an item a rating of that level, float32 [B, K, I]."""
        rows_N = histories.users * self.num_levels + self.places(histories.ratings)
        cells_N = torch.from_numpy(rows_N * num_items + histories.items).to(device)
        flat = torch.zeros(len(histories) * self.num_levels * num_items, device=device)
        flat[cells_N] = 1.0
        matrix_BKI: Tensor = flat.view(len(histories), self.num_levels, num_items)
        return matrix_BKI
