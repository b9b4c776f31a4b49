"""Tables of items: titles and whatever else is known of each.

Shapes: I items.
"""

from __future__ import annotations

import logging
from datetime import date

import pandas as pd

from app.bundle import Vocabulary
from training.data.columns import USUAL_NAMES, choose_column, plain_name, read_ids
from training.data.jsonl import json_column
from training.data.tables import Table, TableFile

logger = logging.getLogger(__name__)

_ID_NAMES = (*USUAL_NAMES["item"], "id")
_TITLE_NAMES = ("title", "name", "movie_title", "item_name", "item_title", "product_name", "book_title", "track_name")
_LIST_SEPARATOR = "|"
"""What separates the values of a text column that holds several, such as `Comedy|War`."""


def read_items(file: TableFile, *, id_column: str | None = None) -> tuple[Vocabulary, pd.DataFrame]:
    """All items of a table in its order, and its other columns.

    The column that holds titles is called `title`. Text columns become numbers where every value is one, and lists where a value
    has a `|` in it, the title excepted.

    Args:
        file: the table, one row an item.
        id_column: the column of the ids; None goes by its name.

    Raises:
        DataError: no column of ids, missing ids, or an id that stands there twice.
    """
    id_name = choose_column(file, "item-id", id_column, required=True, names=_ID_NAMES)
    assert id_name is not None
    table = file.read(file.names)
    ids = read_ids(table, id_name, "item")
    twice = ids.duplicated().to_numpy()
    if twice.any():
        remedy = "expected a line for each item; correct or remove these lines"
        raise table.complaint(twice, f"an item id that stands there already (column {id_name!r})", remedy, values=ids)
    title = _title_column(file, id_name)
    metadata = {
        "title" if name == title else name: as_titles(table.frame[name]) if name == title else typed_column(table, name)
        for name in file.names
        if name != id_name
    }
    return Vocabulary("item", ids.tolist()), pd.DataFrame(metadata, index=range(len(ids)))


def _title_column(file: TableFile, id_name: str) -> str | None:
    plain = {plain_name(name): name for name in reversed(file.names) if name != id_name}
    title = next((plain[name] for name in _TITLE_NAMES if name in plain), None)
    if title not in {None, "title"}:
        logger.info("%s: the titles are in column %r (by its name)", file.path, title)
    return title


def as_titles(values: pd.Series) -> pd.Series:
    """Titles as text, whatever they look like: a film called 1941 is no number."""
    titles = values.map(str, na_action="ignore").astype("str")
    return titles.mask(titles == "")


def typed_column(table: Table, name: str) -> pd.Series:
    """A column of metadata: as the file types it, else numbers where every value is one, and lists where a value has a `|` in it."""
    values = table.frame[name]
    if table.values == "json":
        return json_column(values.tolist())
    if table.values == "typed":
        return _with_times(values)
    present = values[values != ""]
    if len(present) and present.str.fullmatch(r"[+-]?(0|[1-9]\d{0,17})").all():
        return pd.to_numeric(values.mask(values == "")).astype("Int64")
    if len(present) and present.str.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?").all():
        return pd.to_numeric(values.mask(values == "")).astype("Float64")
    if present.str.contains(_LIST_SEPARATOR, regex=False).any():
        lists = values.str.split(_LIST_SEPARATOR)
        return lists.map(lambda parts: [part for part in parts if part])
    return values.mask(values == "")


def _with_times(values: pd.Series) -> pd.Series:
    """A Parquet file's dates, which pandas reads as Python's own, as times; anything else as it is."""
    present = values.dropna()
    if values.dtype == object and len(present) and all(type(value) is date for value in present):
        return values.astype("datetime64[s]")
    return values


def with_unknown_items(items: Vocabulary, table: pd.DataFrame, ids: pd.Series) -> tuple[Vocabulary, pd.DataFrame]:
    """The item table with a row added for each id that it lacks; the added rows know nothing but the id."""
    held = ids.isin(items.ids)
    lacking = sorted(ids[~held].unique().tolist())
    if not lacking:
        return items, table
    return Vocabulary("item", [*items.ids, *lacking]), table.reindex(range(len(items) + len(lacking)))
