"""Which column is which, and what its values mean.

Shapes: N rows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from training.data.tables import Table, TableFile
from training.errors import DataError

logger = logging.getLogger(__name__)

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "user": ("user_id", "userid", "user", "uid", "customer_id", "customerid", "visitor_id", "visitorid", "reviewer_id", "reviewerid", "session_id", "sessionid"),
    "item": ("item_id", "itemid", "item", "iid", "movie_id", "movieid", "product_id", "productid", "article_id", "track_id", "book_id", "business_id", "asin"),
    "rating": ("rating", "ratings", "stars", "score", "overall"),
    "time": ("timestamp", "time", "ts", "datetime", "date", "unix_time", "unixtime", "unixreviewtime", "created_at"),
}  # fmt: skip
"""Names that are recognised without an option, the likeliest first; case, blanks and a type after a colon do not count."""

NO_COLUMN = "none"
"""What an option gives to say that a column is to be left alone."""

_MISSING = ("", "nan", "NaN", "null", "NULL", "None", "<NA>")
"""Texts that stand for no id."""
_MILLISECONDS_FROM = 1e11
"""Times from here on are milliseconds: as seconds they would lie after the year 5000."""


def choose_column(
    file: TableFile,
    role: str,
    given: str | None = None,
    *,
    required: bool,
    names: Sequence[str] | None = None,
    has_option: bool = True,
) -> str | None:
    """The column that plays a role, from an option or from its name.

    Args:
        file: whose columns they are.
        role: in a word; its option is called after it.
        given: what the option says.
        required: whether there must be one.
        names: that are recognised, the likeliest first; None for the usual ones of this role.
        has_option: whether there is such an option, for messages.

    Raises:
        DataError: the column that was named is not there, or a required one is not found.
    """
    option = f"--{role}-column"
    columns = ", ".join(repr(name) for name in file.names[:20]) + (" …" if len(file.names) > 20 else "")
    if given == NO_COLUMN and not required and NO_COLUMN not in file.names:
        return None
    if given is not None:
        if given not in file.names:
            raise DataError(f"{file.path}: {file.head} has no column {given!r}; it has {columns}; correct {option}")
        return given
    plain = {plain_name(name): name for name in reversed(file.names)}
    usual = USUAL_NAMES[role] if names is None else names
    found = next((plain[name] for name in usual if name in plain), None)
    if found is not None and (has_option or found != usual[0]):
        told = f"by its name; {option} says otherwise" if has_option else "by its name"
        logger.info("%s: the column of the %s is %r (%s)", file.path, role, found, told)
    if found is None and required:
        hint = ""
        if len(file.names) == 1:
            hint = "; it has one column only: is another --separator meant?"
        elif any(_is_number(name) for name in file.names):
            hint = "; it looks like data: if the file has no header, give --no-header"
        raise DataError(
            f"{file.path}: {file.head} has no column for the {role}; it has {columns}; "
            f"expected one of {', '.join(usual)}{f', or name it with {option}' if has_option else ''}{hint}"
        )
    return found


def plain_name(name: str) -> str:
    """A column's name as it is compared: without case, type after a colon, or blanks."""
    return name.split(":", maxsplit=1)[0].strip().lower().replace(" ", "_")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_ids(table: Table, column: str, kind: str) -> pd.Series:
    """A column of external ids as text; whole numbers are written in decimal, whatever their type.

    Raises:
        DataError: missing ids.
    """
    values = table.frame[column]
    missing = values.isna().to_numpy()
    if pd.api.types.is_bool_dtype(values):
        texts = values.astype("str")
    elif pd.api.types.is_integer_dtype(values):
        texts = values.astype("Int64").astype("str")
    elif pd.api.types.is_float_dtype(values):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        missing = missing | ~np.isfinite(numbers)
        texts = pd.Series(numbers, dtype="Float64").astype("str").str.removesuffix(".0")
        whole = ~missing & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2.0**63)
        texts = texts.mask(whole, pd.Series(np.where(whole, numbers, 0).astype(np.int64)).astype("str"))
    else:
        texts = _as_text(values)
        present = texts[~missing]
        # A table written by a program that took its ids for floats: 1.0 is the id 1, if all of them look so.
        if len(present) and present.str.fullmatch(r"-?\d+\.0+").all():
            texts = texts.str.replace(r"\.0+$", "", regex=True)
        missing = missing | texts.isin(_MISSING).to_numpy()
    if missing.any():
        raise table.complaint(
            missing,
            f"no {kind} id (column {column!r})",
            "expected an id in every line; correct or remove these lines",
            values=values,
        )
    return texts.reset_index(drop=True)


def _as_text(values: pd.Series) -> pd.Series:
    if values.dtype == object:
        values = values.map(
            lambda value: value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value), na_action="ignore"
        )
    return values.astype("str").str.strip()


def read_ratings(table: Table, column: str) -> np.ndarray:
    """A column of ratings, float32 [N].

    Raises:
        DataError: values that are no finite numbers.
    """
    values = table.frame[column]
    if pd.api.types.is_bool_dtype(values):
        values = values.astype("Float64")
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        ratings = numbers.astype(np.float32)
    bad = ~np.isfinite(ratings)
    if bad.any():
        remedy = "expected a finite number such as 4 or 3.5 in every line; correct or remove these lines"
        raise table.complaint(bad, f"no usable rating (column {column!r})", remedy, values=values)
    return ratings


def read_times(table: Table, column: str) -> np.ndarray:
    """A column of times as seconds since 1970, int64 [N]: numbers of seconds or milliseconds, or ISO 8601 in UTC if it names no zone.

    Raises:
        DataError: values that are neither.
    """
    values = table.frame[column]
    if pd.api.types.is_datetime64_any_dtype(values):
        return _seconds(table, column, values, pd.to_datetime(values, utc=True))
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    usable = np.isfinite(numbers) & (np.abs(numbers) < 2.0**62)
    if 2 * np.count_nonzero(usable) < len(numbers):
        texts = values.astype("str")
        return _seconds(table, column, values, pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce"))
    if not usable.all():
        raise _bad_times(table, column, ~usable, values)
    if np.median(numbers) > _MILLISECONDS_FROM:
        logger.info("%s: the times in column %r are read as milliseconds", table.path, column)
        numbers = numbers / 1000.0
    seconds: np.ndarray = np.floor(numbers).astype(np.int64)
    return seconds


def _seconds(table: Table, column: str, values: pd.Series, moments: pd.Series) -> np.ndarray:
    bad = moments.isna().to_numpy()
    if bad.any():
        raise _bad_times(table, column, bad, values)
    seconds: np.ndarray = moments.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    return seconds


def _bad_times(table: Table, column: str, bad: np.ndarray, values: pd.Series) -> DataError:
    remedy = "expected seconds since 1970 or a date such as 2024-05-31T12:00:00Z in every line; correct or remove these lines"
    return table.complaint(bad, f"no usable time (column {column!r})", remedy, values=values)
