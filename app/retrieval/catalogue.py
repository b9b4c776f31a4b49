"""The items of a release as people see them: ids, what they can be filtered and counted by, cards, and texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from app.bundle import Vocabulary, item_texts
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
        kinds: types of fields whose values may not tell, see `ItemFilters`.
    """

    def __init__(self, items: Vocabulary, item_table: pd.DataFrame, kinds: Mapping[str, str] | None = None) -> None:
        shown = item_table.drop(columns=_TEXT, errors="ignore")
        self.items = items
        self.table = shown
        self.filters = ItemFilters(shown, kinds)
        self.cards = ItemCards(shown)
        self._has_texts = _TEXT in item_table
        self._texts = item_table[_TEXT].astype(str).tolist() if self._has_texts else item_texts(shown)

    def __len__(self) -> int:
        return len(self.items)

    def text(self, row: int) -> str:
        """What is quoted of an item: its text, or what is known of it besides."""
        return self._texts[row]

    def searched(self, document: Document) -> str:
        """What is searched of a document that comes to these items."""
        if self._has_texts:
            return f"{document.title} {document.text}" if document.title else document.text
        row = pd.DataFrame([{"title": document.title, **document.metadata, _TEXT: document.text}])
        return item_texts(row)[0]

    def misfits(self, document: Document) -> dict[str, str]:
        """The fields of a document whose values are of another type than these items', and that type in words."""
        fields = self.filters.fields
        return {
            name: fields[name]
            for name, value in document.metadata.items()
            if name in fields and value is not None and not self.filters.fits(name, value)
        }

    def beside(self, documents: Sequence[Document]) -> Catalogue:
        """A catalogue of other documents whose fields have the types of this one's."""
        columns = [name for name in self.table.columns if name not in {"id", "title"}]
        columns += sorted({name for document in documents for name in document.metadata} - set(columns))
        table = pd.DataFrame({"id": pd.Series([document.id for document in documents], dtype="string")})
        table["title"] = pd.Series([document.title for document in documents], dtype="object")
        for name in columns:
            values = [document.metadata.get(name) for document in documents]
            table[name] = _column(self.filters.kept(name, values), self.filters.fields.get(name))
        table[_TEXT] = [document.text or self.searched(document) for document in documents]
        return Catalogue(Vocabulary("item", table["id"].tolist()), table, self.filters.fields)

    def counts(self, name: str, rows: Iterable[int]) -> Counter[Scalar]:
        """How many of some items have each value of a field; none where the field is not theirs."""
        counted: Counter[Scalar] = Counter()
        if name in self.table:
            for value in map(plain, self.table[name].take(list(rows)).tolist()):
                values = value if isinstance(value, list) else [value]
                counted.update({one for one in values if isinstance(one, str | int | float | bool)})
        return counted


def most_frequent(counted: Counter[Scalar]) -> list[dict[str, Any]]:
    """The most frequent values with their counts, ties in the values' order."""
    ordered = sorted(counted.items(), key=lambda pair: (-pair[1], str(pair[0])))
    return [{"value": value, "count": count} for value, count in ordered[:_LARGEST_FACET]]


def _column(values: list[Any], kind: str | None) -> pd.Series:
    """Values, None where there is none, as a column of a kind that `ItemFilters` knows; by default of what the values are."""
    present = [value for value in values if value is not None]
    if kind is None and present and all(isinstance(value, bool) for value in present):
        kind = "true or false"
    if kind is None and present and all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
        kind = "number"
    series = pd.Series(values, dtype="object")
    match kind:
        case "true or false":
            return series.astype("boolean")
        case "number":
            are_whole = all(isinstance(value, int) and abs(value) < 2**63 for value in present)
            return series.astype("Int64" if are_whole else "Float64")
        case "date":
            return pd.to_datetime(series, utc=True, format="mixed", errors="coerce")
        case "list of text" | "list of numbers" | "list of true or false":
            return series.map(lambda value: value if value is None or isinstance(value, list) else [value])
        case _:
            return series
