"""From columns of ids, ratings and times to checked interactions.

Shapes: N events, U users, I items.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import pandas as pd

from app.bundle import Vocabulary
from training.data.interactions import Interactions
from training.data.tables import Table
from training.data.text import SHOWN
from training.errors import DataError

logger = logging.getLogger(__name__)

Duplicates = Literal["error", "first", "last", "max"]
"""What becomes of a pair of user and item that stands there more than once."""


@dataclass(frozen=True, slots=True)
class Events:
    """Checked columns of a table, before rows get their numbers.

    Attributes:
        table: where they come from, for messages.
        positions: of the events in the table, int64 [N].
        users, items: ids, N texts each.
        ratings: float32 [N], or None.
        times: int64 [N], or None.
    """

    table: Table
    positions: np.ndarray
    users: pd.Series
    items: pd.Series
    ratings: np.ndarray | None
    times: np.ndarray | None

    def __len__(self) -> int:
        return len(self.positions)

    def where(self, keep: np.ndarray) -> Self:
        """The events for which `keep` (bool [N]) holds."""
        return type(self)(
            self.table,
            self.positions[keep],
            self.users[keep].reset_index(drop=True),
            self.items[keep].reset_index(drop=True),
            None if self.ratings is None else self.ratings[keep],
            None if self.times is None else self.times[keep],
        )


def without_duplicates(events: Events, policy: Duplicates) -> Events:
    """One event for each pair of user and item, in file order.

    Args:
        events: all events.
        policy: `error` refuses repeated pairs; `first` and `last` keep the earliest and the latest event by time, or by line
            where there are no times; `max` keeps the highest rating, the later one among equals.

    Raises:
        DataError: a repeated pair under `error`, or `max` without ratings.
    """
    if policy == "max" and events.ratings is None:
        raise DataError(f"{events.table.path}: --duplicates max needs a rating column; use first or last")
    user_codes, item_codes = pd.factorize(events.users)[0], pd.factorize(events.items)[0]
    pairs = pd.Series(user_codes.astype(np.int64) * (item_codes.max() + 1) + item_codes)
    repeats = pairs.duplicated().to_numpy()
    if not repeats.any():
        return events
    if policy == "error":
        raise _duplicates_error(events, pairs.to_numpy(), repeats)
    by = events.ratings if policy == "max" else events.times
    order = np.arange(len(events)) if by is None else np.argsort(by, kind="stable")
    keep = np.zeros(len(events), dtype=bool)
    keep[order[~pairs.iloc[order].duplicated(keep="first" if policy == "first" else "last").to_numpy()]] = True
    logger.info("%s: %d repeated pairs left out (--duplicates %s)", events.table.path, np.count_nonzero(~keep), policy)
    return events.where(keep)


def _duplicates_error(events: Events, pairs: np.ndarray, repeats: np.ndarray) -> DataError:
    shown = np.flatnonzero(repeats)[:SHOWN]
    firsts = np.array([np.argmax(pairs == pair) for pair in pairs[shown]])
    earlier = events.table.places(events.positions[firsts])
    notes = [
        f"user {events.users.iloc[row]!r}, item {events.items.iloc[row]!r}, as {events.table.unit} {place}"
        for row, place in zip(shown, earlier, strict=True)
    ]
    return events.table.complaint(
        events.positions[repeats],
        "a pair of user and item that stands there already",
        "expected each pair once; correct the file, or choose with --duplicates first, last or max",
        notes=notes,
    )


def without_short_users(events: Events, min_interactions: int | None) -> Events:
    """The events of users that have enough of them.

    Args:
        events: all events, no pair twice.
        min_interactions: how many a user must have; users with fewer are left out. None refuses data in which a user has one.

    Raises:
        DataError: a user with one event and no word on what to do about it, or nobody with enough.
    """
    lengths = events.users.map(events.users.value_counts()).to_numpy()
    if min_interactions is None:
        short = lengths < 2
        if short.any():
            rows = np.flatnonzero(short)[:SHOWN]
            raise events.table.complaint(
                events.positions[short],
                "a user with one item only, who cannot be in both the training and the test part,",
                "leave such users out with --min-interactions 2, or keep them for training with --min-interactions 1",
                notes=[f"user {events.users.iloc[row]!r}" for row in rows],
            )
        return events
    enough = lengths >= min_interactions
    if not enough.any():
        raise DataError(
            f"{events.table.path}: no user has {min_interactions} interactions, the most that one has is {lengths.max()}; "
            "give a smaller --min-interactions"
        )
    if not enough.all():
        num_users = events.users[~enough].nunique()
        logger.info("%s: %d users with fewer than %d interactions left out", events.table.path, num_users, min_interactions)
    return events.where(enough)


def sorted_vocabulary(kind: str, ids: pd.Series) -> Vocabulary:
    """The distinct ids, by number if all are whole numbers, else in alphabetical order: the order of a file leaves no trace."""
    distinct = pd.Series(ids.unique(), dtype="str")
    if distinct.str.fullmatch(r"[0-9]+").all():
        # Of two numbers without leading zeros the longer one is larger, however many digits they have.
        digits = distinct.str.lstrip("0")
        order = pd.DataFrame({"length": digits.str.len(), "digits": digits, "id": distinct}).sort_values(
            ["length", "digits", "id"]
        )
        return Vocabulary(kind, order["id"].tolist())
    return Vocabulary(kind, sorted(distinct.tolist()))


def rows_of(vocabulary: Vocabulary, ids: pd.Series) -> np.ndarray:
    """The row of each id, int64 [N]; -1 where the vocabulary does not hold it."""
    rows: np.ndarray = pd.Index(vocabulary.ids, dtype="str").get_indexer(pd.Index(ids)).astype(np.int64)
    return rows


def to_interactions(events: Events, *, users: Vocabulary, items: Vocabulary, positive_threshold: float) -> Interactions:
    """Interactions over given vocabularies, which hold every id."""
    user_rows, item_rows = rows_of(users, events.users), rows_of(items, events.items)
    assert not (len(events) and min(user_rows.min(), item_rows.min()) < 0), "the vocabularies hold every id"
    return Interactions(
        users=users,
        items=items,
        user_rows=user_rows,
        item_rows=item_rows,
        ratings=events.ratings,
        times=events.times,
        positive_threshold=positive_threshold,
    )
