"""What users have had, many users at once.

Shapes: B users in the batch, N events in all, L the longest history, I items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, slots=True)
class Histories:
    """The histories of B users as compressed rows: user b has `items[offsets[b]:offsets[b + 1]]`.

    Attributes:
        offsets: int64 [B + 1], ascending from 0 to N.
        items: int64 [N], item rows.
        ratings: float32 [N] in the data's own unit; NaN where the event carries none (a click counts as positive).
    """

    offsets: np.ndarray
    items: np.ndarray
    ratings: np.ndarray

    def __post_init__(self) -> None:
        assert self.offsets.ndim == 1 and self.offsets[0] == 0 and self.offsets[-1] == len(self.items)
        assert len(self.items) == len(self.ratings)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, items: Sequence[Sequence[int]], ratings: Sequence[Sequence[float]] | None = None) -> Self:
        """Histories from lists: `items[b]` are the item rows of user b, `ratings[b]` their ratings."""
        lengths = np.fromiter((len(h) for h in items), dtype=np.int64, count=len(items))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        flat = np.array([row for h in items for row in h], dtype=np.int64)
        if ratings is None:
            rated = np.full(len(flat), np.nan, dtype=np.float32)
        else:
            rated = np.array([r for h in ratings for r in h], dtype=np.float32)
        return cls(offsets, flat, rated)

    @classmethod
    def from_pairs(cls, users: np.ndarray, items: np.ndarray, ratings: np.ndarray | None, num_users: int) -> Self:
        """Histories of users 0 … num_users − 1 from N parallel (user row, item row, rating) entries, order kept."""
        order = np.argsort(users, kind="stable")
        offsets = np.zeros(num_users + 1, dtype=np.int64)
        np.cumsum(np.bincount(users, minlength=num_users), out=offsets[1:])
        rated = np.full(len(items), np.nan, dtype=np.float32) if ratings is None else ratings[order].astype(np.float32)
        return cls(offsets, items[order].astype(np.int64), rated)

    @property
    def lengths(self) -> np.ndarray:
        """Events of each user, int64 [B]."""
        return np.diff(self.offsets)

    @property
    def users(self) -> np.ndarray:
        """The batch position that each event belongs to, int64 [N]."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def take(self, rows: np.ndarray) -> Self:
        """The histories of the given batch positions, in that order."""
        rows = np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # Position of every wanted event: its history's start plus its place within that history.
        positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.offsets[rows], lengths)
        return type(self)(offsets, self.items[positions], self.ratings[positions])

    def where(self, keep: np.ndarray) -> Self:
        """Only the events for which `keep` (bool [N]) is true; the users stay, some perhaps with nothing left."""
        kept = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
        return type(self)(kept[self.offsets], self.items[keep], self.ratings[keep])

    def is_low(self, threshold: float) -> np.ndarray:
        """True for events rated below `threshold`, bool [N]; an event without a rating is not low."""
        return self.ratings < threshold  # NaN compares false: a click is no complaint

    def positives(self, threshold: float) -> Self:
        """Only the events that are not rated below `threshold`."""
        return self.where(~self.is_low(threshold))

    def padded(self, padding: int) -> tuple[np.ndarray, np.ndarray]:
        """The batch as rectangles.

        Args:
            padding: the item row that fills up short histories (by convention the number of items).

        Returns:
            items_BL int64 and ratings_BL float32, with L at least 1; ratings are NaN where there is none.
        """
        lengths = self.lengths
        width = max(1, int(lengths.max(initial=0)))
        items_BL = np.full((len(self), width), padding, dtype=np.int64)
        ratings_BL = np.full((len(self), width), np.nan, dtype=np.float32)
        filled_BL = np.arange(width) < lengths[:, None]
        items_BL[filled_BL] = self.items
        ratings_BL[filled_BL] = self.ratings
        return items_BL, ratings_BL

    def mask(self, num_items: int) -> np.ndarray:
        """True where the user has had the item, bool [B, I]."""
        had_BI = np.zeros((len(self), num_items), dtype=bool)
        had_BI[self.users, self.items] = True
        return had_BI
