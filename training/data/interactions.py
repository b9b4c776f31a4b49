"""What users did with items: the one table that every ranker learns from.

Shapes: N interactions, U users, I items.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from app.bundle import Histories, Vocabulary


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """N (user, item) events in file order, as row numbers.

    Attributes:
        users, items: external ids of all U users and I items, those without an event included.
        user_rows, item_rows: int64 [N].
        ratings: float32 [N], or None for implicit feedback.
        times: int64 [N], seconds since 1970, or None.
        positive_threshold: the rating from which an event counts as liked; without ratings every event does.
    """

    users: Vocabulary
    items: Vocabulary
    user_rows: np.ndarray
    item_rows: np.ndarray
    ratings: np.ndarray | None = None
    times: np.ndarray | None = None
    positive_threshold: float = 0.0

    def __len__(self) -> int:
        return len(self.user_rows)

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """I."""
        return len(self.items)

    @property
    def is_positive(self) -> np.ndarray:
        """True where the event counts as liked, bool [N]."""
        if self.ratings is None:
            return np.ones(len(self), dtype=bool)
        return self.ratings >= self.positive_threshold

    def where(self, keep: np.ndarray) -> Self:
        """The events for which `keep` (bool [N], or positions) holds; vocabularies stay as they are."""
        return replace(
            self,
            user_rows=self.user_rows[keep],
            item_rows=self.item_rows[keep],
            ratings=None if self.ratings is None else self.ratings[keep],
            times=None if self.times is None else self.times[keep],
        )

    def positives(self) -> Self:
        """Only the events that count as liked."""
        return self.where(self.is_positive)

    def histories(self) -> Histories:
        """All events by user, U histories."""
        return Histories.from_pairs(self.user_rows, self.item_rows, self.ratings, self.num_users)

    def matrix(self, values: np.ndarray | None = None) -> sp.csr_matrix:
        """The events as a sparse matrix, float32 [U, I]; every event counts 1 unless `values` [N] are given."""
        data = np.ones(len(self), dtype=np.float32) if values is None else values.astype(np.float32)
        shape = (self.num_users, self.num_items)
        return sp.csr_matrix((data, (self.user_rows, self.item_rows)), shape=shape)

    def popularity(self) -> np.ndarray:
        """Positive events of each item, float32 [I]."""
        liked = self.item_rows[self.is_positive]
        return np.bincount(liked, minlength=self.num_items).astype(np.float32)

    def fingerprint(self) -> str:
        """SHA-256 over ids, events, ratings and times in their order."""
        digest = hashlib.sha256()
        for vocabulary in (self.users, self.items):
            digest.update("\0".join(vocabulary.ids).encode())
            digest.update(b"\1")
        for array, dtype in ((self.user_rows, "<i8"), (self.item_rows, "<i8"), (self.ratings, "<f4"), (self.times, "<i8")):
            digest.update(b"none" if array is None else np.ascontiguousarray(array, dtype=dtype).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Interactions with a name and what is known of the items.

    Attributes:
        name: as in `irgan data list`, or the file's stem.
        interactions: all events.
        item_table: one row an item, in row order; columns such as `title`, `year`, `genres`; perhaps no columns.
        given_split: where the data come with their own split, the part of each event, str [N] of `train`, `valid`, `test`.
    """

    name: str
    interactions: Interactions
    item_table: pd.DataFrame
    given_split: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A data set cut in two.

    Attributes:
        dataset: the name of the data set.
        name, parameters: how it was cut; recorded in the bundle.
        train, test: the parts, over the same vocabularies.
        item_table: as in the data set.
    """

    dataset: str
    name: str
    parameters: dict[str, Any]
    train: Interactions
    test: Interactions
    item_table: pd.DataFrame
