"""Ratings as levels of a softmax unit.

Shapes: N events, K levels, B users in the batch, I items.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    def of(cls, ratings_N: np.ndarray, most: int) -> Levels:
        """One level for each distinct rating, borders half-way; with more than `most`, bins of equally many ratings."""
        distinct = np.unique(ratings_N.astype(np.float64))
        if len(distinct) <= most:
            boundaries_K = (distinct[:-1] + distinct[1:]) / 2
        else:
            boundaries_K = np.unique(np.quantile(ratings_N.astype(np.float64), np.arange(1, most) / most))
            boundaries_K = boundaries_K[boundaries_K > distinct[0]]
        boundaries = boundaries_K.astype(np.float32)
        places_N = np.searchsorted(boundaries, ratings_N.astype(np.float32), side="right")
        counts_K = np.bincount(places_N, minlength=len(boundaries) + 1)
        sums_K = np.bincount(places_N, weights=ratings_N.astype(np.float64), minlength=len(boundaries) + 1)
        return cls(sums_K / np.maximum(counts_K, 1), boundaries)

    @property
    def num_levels(self) -> int:
        """K."""
        return len(self.values_K)

    def first_at_least(self, threshold: float) -> int:
        """The lowest level that stands for a rating of at least `threshold`; the highest one where none does."""
        return min(int(np.searchsorted(self.values_K, threshold - 1e-6)), self.num_levels - 1)

    def places(self, ratings: np.ndarray) -> np.ndarray:
        """The level of each rating, int64; an event without a rating has the highest one."""
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
