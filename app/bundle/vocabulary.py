"""External ids and row numbers: two types that meet only here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NewType

import numpy as np

from app.bundle.errors import ContentInvalid, UnknownId

ItemId = NewType("ItemId", str)
"""An item's name in the outside world."""
UserId = NewType("UserId", str)
"""A user's name in the outside world."""
Row = NewType("Row", int)
"""A position in a matrix of this bundle; it means nothing outside of it."""


class Vocabulary:
    """A fixed list of distinct external ids; an id's position in it is its row.

    Ids are strings: numbers in files and requests are written out in decimal, so that `1` and `"1"` name the same thing.

    Args:
        kind: what the ids name ("item" or "user"), for error messages.
        ids: the ids, in row order.

    Raises:
        ContentInvalid: an id stands there twice.
    """

    __slots__ = ("_ids", "_rows", "kind")

    def __init__(self, kind: str, ids: Iterable[str]) -> None:
        self.kind = kind
        self._ids = tuple(ids)
        self._rows = {external: row for row, external in enumerate(self._ids)}
        if len(self._rows) != len(self._ids):
            counted: set[str] = set()
            twice = next(i for i in self._ids if i in counted or counted.add(i))  # type: ignore[func-returns-value]
            raise ContentInvalid(f"{kind} id {twice!r} stands twice in the vocabulary; ids must be distinct")

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, external: object) -> bool:
        return external in self._rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.kind == other.kind and self._ids == other._ids

    def __hash__(self) -> int:
        return hash((self.kind, self._ids))

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, in row order."""
        return self._ids

    def id(self, row: int) -> str:
        """The id at `row`."""
        return self._ids[row]

    def row(self, external: str) -> Row:
        """The row of one id.

        Raises:
            UnknownId: the vocabulary does not hold it.
        """
        row = self._rows.get(external)
        if row is None:
            raise UnknownId(self.kind, [external])
        return Row(row)

    def find(self, external: str) -> Row | None:
        """The row of one id, or None."""
        row = self._rows.get(external)
        return None if row is None else Row(row)

    def rows(self, externals: Sequence[str]) -> np.ndarray:
        """The rows of many ids, int64 of the same length.

        Raises:
            UnknownId: at least one is not held; the error lists all of them.
        """
        missing = [e for e in externals if e not in self._rows]
        if missing:
            raise UnknownId(self.kind, missing)
        return np.fromiter((self._rows[e] for e in externals), dtype=np.int64, count=len(externals))
