"""What people see of an item, encoded as JSON once for each release."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pandas as pd


class ItemCards:
    """A JSON fragment for each item: `"id": …, "title": …, "metadata": {…}`, without the braces around it.

    Args:
        item_table: metadata in row order; column `id`, perhaps `title`, and any others.
    """

    def __init__(self, item_table: pd.DataFrame) -> None:
        ids = item_table["id"].astype(str).tolist()
        titles = [None] * len(ids)
        if "title" in item_table:
            titles = [plain(value) for value in item_table["title"].tolist()]
        others = item_table.drop(columns=["id", "title"], errors="ignore")
        names = [str(name) for name in others.columns]
        records: Any = zip(*(others[name].tolist() for name in others.columns), strict=True) if names else ((),) * len(ids)
        self._fragments = [
            orjson.dumps({"id": item, "title": title, "metadata": dict(zip(names, map(plain, values), strict=True))})[1:-1]
            for item, title, values in zip(ids, titles, records, strict=True)
        ]

    def fragment(self, row: int) -> bytes:
        """The fragment of one item."""
        return self._fragments[row]

    def ranked(self, rows: list[int], scores: list[float]) -> bytes:
        """A JSON array of the items in the order given, each with its rank and score."""
        fragments = self._fragments
        return as_ranked([fragments[row] for row in rows], scores)


def as_ranked(fragments: Sequence[bytes], scores: Sequence[float]) -> bytes:
    """A JSON array of items, best first, each with its rank and score.

    Args:
        fragments: of the items.
        scores: of the items.

    Raises:
        ValueError: a score is no finite number, which JSON has no word for.
    """
    if not all(map(math.isfinite, scores)):
        raise ValueError("the ranker's scores are not finite")
    return b"[%b]" % b",".join(
        [
            b'{"rank":%d,"score":%b,%b}' % (rank, repr(score).encode(), fragment)
            for rank, (fragment, score) in enumerate(zip(fragments, scores, strict=True), 1)
        ]
    )


def plain(value: Any) -> Any:  # noqa: PLR0911 - a table of types
    """A value that JSON has; missing values become null, times ISO 8601."""
    match value:
        case np.generic():  # first, since some of them are Python's floats too
            return plain(value.item())
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple() | np.ndarray():
            return [plain(element) for element in value]
        case dict():
            return {str(key): plain(element) for key, element in value.items()}
        case _ if pd.isna(value):
            return None
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)
