"""A person's own file of interactions, checked.

Shapes: N events.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from training.data.assemble import (
    Duplicates,
    Events,
    sorted_vocabulary,
    to_interactions,
    without_duplicates,
    without_short_users,
)
from training.data.columns import choose_column, read_ids, read_ratings, read_times
from training.data.interactions import Dataset
from training.data.items import read_items, with_unknown_items
from training.data.lists import read_lists
from training.data.tables import TextTableFile, open_table
from training.errors import DataError

logger = logging.getLogger(__name__)

_FIVE_STARS = 5.0
_LIKED_OF_FIVE = 4.0
"""From four stars of five on, as the literature on MovieLens has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """How to read a file of interactions; None leaves it to names, suffixes and values.

    Attributes:
        user_column, item_column, rating_column, time_column: names in the header; `none` for no ratings or no times.
        form: `csv`, `tsv`, `parquet`, or `lists` (a line for each user: `user item item …`).
        separator: one character between fields.
        header: whether the first line names the columns.
        encoding: of text files.
        items: a table of items.
        item_id_column: the ids in that table.
        positive_threshold: the rating from which an event counts as liked.
        duplicates: what becomes of a pair that stands there twice.
        min_interactions: users with fewer are left out; None refuses users with one.
    """

    user_column: str | None = None
    item_column: str | None = None
    rating_column: str | None = None
    time_column: str | None = None
    form: Literal["csv", "tsv", "parquet", "lists"] | None = None
    separator: str | None = None
    header: bool = True
    encoding: str = "utf-8"
    items: Path | None = None
    item_id_column: str | None = None
    positive_threshold: float | None = None
    duplicates: Duplicates = "error"
    min_interactions: int | None = None


def read_dataset(path: Path, options: FileOptions) -> Dataset:
    """The interactions in a file as a data set that is called by the file's stem.

    Raises:
        DataError: the file, a column or a value cannot be used; one message with file, lines and count.
    """
    if options.min_interactions is not None and options.min_interactions < 1:
        raise DataError(f"--min-interactions {options.min_interactions} is impossible; expected 1 or more")
    events = read_events(path, options)
    threshold = _threshold(events, options.positive_threshold)
    events = without_short_users(without_duplicates(events, options.duplicates), options.min_interactions)
    users = sorted_vocabulary("user", events.users)
    if options.items is None:
        items, item_table = sorted_vocabulary("item", events.items), None
    else:
        file = open_table(options.items, encoding=options.encoding)
        items, item_table = read_items(file, id_column=options.item_id_column)
        unknown = ~events.items.isin(items.ids).to_numpy()
        if unknown.all():
            raise DataError(
                f"{options.items}: none of its {len(items):,} ids is an item of {path} "
                f"(there {events.items.iloc[0]!r}, here {items.id(0)!r}); is another column meant? give --item-id-column"
            )
        if unknown.any():
            logger.warning(
                "%s: %d items of %s are not in it; they go without a title",
                options.items,
                events.items[unknown].nunique(),
                path,
            )
            items, item_table = with_unknown_items(items, item_table, events.items)
    interactions = to_interactions(events, users=users, items=items, positive_threshold=threshold)
    return Dataset(path.stem, interactions, pd.DataFrame(index=range(len(items))) if item_table is None else item_table)


def read_events(path: Path, options: FileOptions) -> Events:
    """The checked columns of a file of interactions, as they stand there.

    Raises:
        DataError: the file, a column or a value cannot be used.
    """
    return _read_lists(path, options) if options.form == "lists" else _read_columns(path, options)


def _read_lists(path: Path, options: FileOptions) -> Events:
    named = [
        name for name in ("user_column", "item_column", "rating_column", "time_column") if getattr(options, name) is not None
    ]
    if named:
        raise DataError(
            f"{path}: a file of lists has no columns, so --{named[0].replace('_', '-')} means nothing; leave it out"
        )
    table = read_lists(path, encoding=options.encoding)
    return Events(
        table, np.arange(len(table.frame)), read_ids(table, "user", "user"), read_ids(table, "item", "item"), None, None
    )


def _read_columns(path: Path, options: FileOptions) -> Events:
    file = open_table(path, form=options.form, separator=options.separator, header=options.header, encoding=options.encoding)
    nameless = isinstance(file, TextTableFile) and not file.header

    def choose(role: str, given: str | None, number: int) -> str | None:
        names = (str(number),) if nameless else None
        return choose_column(file, role, given, required=role in {"user", "item"}, names=names)

    user, item = choose("user", options.user_column, 1), choose("item", options.item_column, 2)
    rating, time = choose("rating", options.rating_column, 3), choose("time", options.time_column, 4)
    assert user is not None
    assert item is not None
    if user == item:
        raise DataError(
            f"{path}: the column {user!r} cannot be both user and item; name another with --user-column or --item-column"
        )
    table = file.read([name for name in file.names if name in {user, item, rating, time}])
    return Events(
        table=table,
        positions=np.arange(len(table.frame)),
        users=read_ids(table, user, "user"),
        items=read_ids(table, item, "item"),
        ratings=None if rating is None else read_ratings(table, rating),
        times=None if time is None else read_times(table, time),
    )


def _threshold(events: Events, given: float | None) -> float:
    path, ratings = events.table.path, events.ratings
    if ratings is None:
        if given is not None:
            raise DataError(
                f"{path}: --positive-threshold {given:g} has no ratings to apply to; name them with --rating-column"
            )
        return 0.0
    lowest, highest = float(ratings.min()), float(ratings.max())
    if given is None:
        if highest != _FIVE_STARS:
            raise DataError(
                f"{path}: ratings run from {lowest:g} to {highest:g}, and it is not clear which of them mean that an item was liked; "
                "give --positive-threshold, or --rating-column none if every line does (a retraining: data.positive_threshold)"
            )
        logger.info("%s: ratings of %g and more count as liked (--positive-threshold says otherwise)", path, _LIKED_OF_FIVE)
        given = _LIKED_OF_FIVE
    if not given <= highest:
        raise DataError(
            f"{path}: no rating reaches the threshold {given:g}, they run from {lowest:g} to {highest:g}; give a smaller --positive-threshold"
        )
    return given
