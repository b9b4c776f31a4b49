"""The items of a release as people see them: ids, what they can be filtered and counted by, cards, and texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from app.bundle import Vocabulary, item_texts
from app.errors import FilterInvalid
from app.retrieval.cards import ItemCards, plain
from app.retrieval.filters import ItemFilters, Scalar

_TEXT = "text"
_LARGEST_FACET = 20
"""Values of one field that are counted apart, the most frequent ones."""


@dataclass(frozen=True, slots=True)
class Document:
    """An item as it comes in over HTTP.

    Attributes:
        id: its name in the outside world.
        title: shown to people, searched with the text.
        text: what is searched; empty for an item that has metadata alone.
        metadata: any other fields.
    """

    id: str
    title: str | None = None
    text: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Catalogue:
    """Items and their metadata; nothing in it changes. I items.

    Args:
        items: ids in row order.
        item_table: metadata in row order; the column `text`, where there is one, is searched and quoted, and neither filtered by nor shown whole.
    """

    def __init__(self, items: Vocabulary, item_table: pd.DataFrame) -> None:
        shown = item_table.drop(columns=_TEXT, errors="ignore")
        self.items = items
        self.table = shown
        self.filters = ItemFilters(shown)
        self.cards = ItemCards(shown)
        self._has_texts = _TEXT in item_table
        self._texts = item_table[_TEXT].tolist() if self._has_texts else None

    def __len__(self) -> int:
        return len(self.items)

    def text(self, row: int) -> str:
        """What is quoted of an item: its text, or what is known of it besides."""
        if self._texts is not None:
            return str(self._texts[row])
        return item_texts(self.table.iloc[[row]])[0]

    def searched(self, document: Document) -> str:
        """What is searched of a document that comes to these items."""
        if self._has_texts:
            return f"{document.title} {document.text}" if document.title else document.text
        row = pd.DataFrame([{"title": document.title, **document.metadata, _TEXT: document.text}])
        return item_texts(row)[0]

    def check(self, document: Document) -> None:
        """Whether a document's metadata fit those of the items that are there.

        Raises:
            FilterInvalid: a field that is known has a value of another type.
        """
        wrong = []
        for name, value in document.metadata.items():
            kind = self.filters.fields.get(name)
            if kind is not None and value is not None and not self.filters.fits(name, value):
                wrong.append((f"body.metadata.{name}", f"{value!r} does not fit; the other items have a {kind} there"))
        if wrong:
            raise FilterInvalid("; ".join(f"{place}: {message}" for place, message in wrong), wrong)

    def beside(self, documents: Sequence[Document]) -> Catalogue:
        """A catalogue of other documents whose fields have the types of this one's."""
        columns = [name for name in self.table.columns if name not in {"id", "title"}]
        columns += sorted({name for document in documents for name in document.metadata} - set(columns))
        table = pd.DataFrame({"id": pd.Series([document.id for document in documents], dtype="string")})
        table["title"] = pd.Series([document.title for document in documents], dtype="object")
        for name in columns:
            values = [document.metadata.get(name) for document in documents]
            table[name] = _column_like(self.table.get(name), values)
        table[_TEXT] = [document.text or self.searched(document) for document in documents]
        return Catalogue(Vocabulary("item", table["id"].tolist()), table)

    def counts(self, name: str, rows: Iterable[int]) -> Counter[Scalar]:
        """How many of some items have each value of a field.

        Raises:
            FilterInvalid: there is no such field.
        """
        self.filters.check_field(name, "facets")
        values = self.table[name].to_numpy()
        counted: Counter[Scalar] = Counter()
        for row in rows:
            value = plain(values[row])
            counted.update(value if isinstance(value, list) else () if value is None else (value,))
        return counted


def most_frequent(counted: Counter[Scalar]) -> list[dict[str, Any]]:
    """The most frequent values with their counts, ties in the values' order."""
    ordered = sorted(counted.items(), key=lambda pair: (-pair[1], str(pair[0])))
    return [{"value": value, "count": count} for value, count in ordered[:_LARGEST_FACET]]


def _column_like(column: pd.Series | None, values: list[Any]) -> pd.Series:
    """Values as a column of the same type as another one; those that do not fit are missing."""
    series = pd.Series(values, dtype="object")
    if column is None:
        return series.infer_objects()
    if pd.api.types.is_bool_dtype(column.dtype):
        return series.astype("boolean")
    if pd.api.types.is_numeric_dtype(column.dtype):
        return pd.to_numeric(series, errors="coerce").astype("Float64")
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return pd.to_datetime(series, utc=True, errors="coerce")
    present = column.dropna()
    if len(present) and isinstance(present.iloc[0], list | tuple | np.ndarray):
        return series.map(lambda value: [value] if isinstance(value, str) else value)
    return series
