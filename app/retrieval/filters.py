"""Metadata filters: from conditions on the item table's columns to the set of items that may be answered.

Shapes: I items, P postings (an item has one for each of its values).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Protocol

import numpy as np
import pandas as pd

from app.errors import FilterInvalid

Scalar = str | int | float | bool

_CACHED_BYTES = 64 * 2**20
"""Memory for compiled filters: at least 16 of them, however large the catalogue."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One demand on one column: any of some values, or a range.

    Attributes:
        field: the column.
        any_of: the values of which the item must have one; None for a range.
        gte, lte: the ends of the range, both included; None leaves it open.
        from_text: whether the values still are text from a URL, to be read as the column's type.
    """

    field: str
    any_of: tuple[Scalar, ...] | None = None
    gte: Scalar | None = None
    lte: Scalar | None = None
    from_text: bool = False


_TEXT_FORM = re.compile(r"(?P<field>[^:<>=]+)(?P<operator>:|>=|<=)(?P<value>.+)", re.DOTALL)


def parse_condition(text: str) -> Condition:
    """A condition from its form in a URL: `genres:Comedy`, `genres:Comedy|Drama`, `year>=1990`, `year<=1999`.

    Raises:
        FilterInvalid: the text has another form.
    """
    match = _TEXT_FORM.fullmatch(text)
    if match is None:
        raise FilterInvalid(
            f"filter {text!r} cannot be read; expected FIELD:VALUE, FIELD:VALUE|VALUE, FIELD>=VALUE or FIELD<=VALUE"
        )
    field, operator, value = match["field"].strip(), match["operator"], match["value"]
    if operator == ":":
        return Condition(field, any_of=tuple(value.split("|")), from_text=True)
    return Condition(field, gte=value, from_text=True) if operator == ">=" else Condition(field, lte=value, from_text=True)


class _Column(Protocol):
    kind: str

    def read(self, text: str) -> Scalar:
        """A value from its text; ValueError if it is none of this column's type."""
        ...

    def holds(self, value: Scalar) -> bool:
        """Whether the value is of this column's type."""
        ...

    def any_of(self, values: Sequence[Scalar]) -> np.ndarray: ...

    def between(self, gte: Scalar | None, lte: Scalar | None, /) -> np.ndarray: ...


class _TextColumn:
    """Strings."""

    kind = "text"

    def __init__(self, column: pd.Series) -> None:
        self._column = column.reset_index(drop=True)

    @cached_property
    def _postings(self) -> tuple[dict[str, int], np.ndarray, np.ndarray]:
        """Value → code, and the rows of code c at rows[starts[c]:starts[c + 1]]."""
        present = self._values().dropna()
        codes_P, values = pd.factorize(present.map(self._key))
        order_P = np.argsort(codes_P, kind="stable")
        starts = np.zeros(len(values) + 1, dtype=np.int64)
        np.cumsum(np.bincount(codes_P, minlength=len(values)), out=starts[1:])
        return {str(v): c for c, v in enumerate(values)}, present.index.to_numpy()[order_P], starts

    def _values(self) -> pd.Series:
        return self._column

    def _key(self, value: Any) -> str:
        return str(value)

    def read(self, text: str) -> Scalar:
        return text

    def holds(self, value: Scalar) -> bool:
        return isinstance(value, str)

    def any_of(self, values: Sequence[Scalar]) -> np.ndarray:
        code_of, rows_P, starts = self._postings
        allowed_I = np.zeros(len(self._column), dtype=bool)
        for code in (code_of.get(self._key(v)) for v in values):
            if code is not None:
                allowed_I[rows_P[starts[code] : starts[code + 1]]] = True
        return allowed_I

    def between(self, *_: Scalar | None) -> np.ndarray:
        raise ValueError("a range needs a column of numbers or dates")


class _NumberColumn:
    """Numbers and dates; an item without a value matches nothing."""

    def __init__(self, numbers_I: np.ndarray, *, kind: str) -> None:
        self.kind = kind
        self._numbers_I = numbers_I

    def read(self, text: str) -> Scalar:
        return float(text)

    def holds(self, value: Scalar) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    def _number(self, value: Scalar) -> float:
        return float(value)

    def any_of(self, values: Sequence[Scalar]) -> np.ndarray:
        allowed_I: np.ndarray = np.isin(self._numbers_I, [self._number(v) for v in values])
        return allowed_I

    def between(self, gte: Scalar | None, lte: Scalar | None) -> np.ndarray:
        allowed_I: np.ndarray = ~np.isnan(self._numbers_I)  # comparisons with NaN are false, but an open end compares nothing
        if gte is not None:
            allowed_I &= self._numbers_I >= self._number(gte)
        if lte is not None:
            allowed_I &= self._numbers_I <= self._number(lte)
        return allowed_I


class _DateColumn(_NumberColumn):
    """Times as seconds since 1970, UTC; values are ISO 8601 text, and a plain date is its midnight."""

    def __init__(self, column: pd.Series) -> None:
        utc = pd.to_datetime(column, utc=True)
        seconds_I = (utc - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan)
        super().__init__(seconds_I, kind="date")

    def read(self, text: str) -> Scalar:
        self._number(text)
        return text

    def holds(self, value: Scalar) -> bool:
        if not isinstance(value, str):
            return False
        try:
            self._number(value)
        except (ValueError, OverflowError):
            return False
        return True

    def _number(self, value: Scalar) -> float:
        stamp = pd.Timestamp(str(value))
        if not isinstance(stamp, pd.Timestamp) or pd.isna(stamp):
            raise ValueError(f"{value!r} is no date")
        return float((stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp).timestamp())


class _FlagColumn(_NumberColumn):
    """True and false."""

    def __init__(self, column: pd.Series) -> None:
        super().__init__(column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan), kind="true or false")

    def read(self, text: str) -> Scalar:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"

    def holds(self, value: Scalar) -> bool:
        return isinstance(value, bool)

    def between(self, *_: Scalar | None) -> np.ndarray:
        raise ValueError("a range needs a column of numbers or dates")


class _ListColumn(_TextColumn):
    """Lists of text, of numbers, or of truth values; an item matches by any of its own."""

    def __init__(self, column: pd.Series, *, kind: str) -> None:
        super().__init__(column)
        self.kind = kind
        self._element = _ELEMENTS[kind]

    def _values(self) -> pd.Series:
        return self._column.explode()

    def _key(self, value: Any) -> str:
        """What equal values have in common: 1 and 1.0 are equal."""
        is_number = self.kind == "list of numbers" and isinstance(value, int | float | np.number)
        return repr(float(value)) if is_number else str(value)

    def read(self, text: str) -> Scalar:
        return self._element.read(text)

    def holds(self, value: Scalar) -> bool:
        return self._element.holds(value)


_NOTHING = pd.Series([], dtype="Float64")
_ELEMENTS: dict[str, _Column] = {
    "list of text": _TextColumn(_NOTHING),
    "list of numbers": _NumberColumn(_NOTHING.to_numpy(dtype=np.float64), kind="number"),
    "list of true or false": _FlagColumn(_NOTHING),
}
"""What tells which values a list of each kind may have; empty columns, for nothing is looked for in them."""


def _column(column: pd.Series, known: str | None) -> _Column:
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind):
        return _FlagColumn(column)
    if pd.api.types.is_numeric_dtype(kind):
        return _NumberColumn(column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan), kind="number")
    if pd.api.types.is_datetime64_any_dtype(kind):
        return _DateColumn(column)
    if known in _ELEMENTS:
        return _ListColumn(column, kind=known)
    present = column.dropna()
    if kind.kind == "O" and len(present) and isinstance(present.iloc[0], list | tuple | np.ndarray):
        return _ListColumn(column, kind=_kind_of_lists(present))
    return _TextColumn(column)


def _kind_of_lists(lists: pd.Series) -> str:
    """By their first value: all have one type, in a bundle's table and in what is put, where one value may stand alone too."""
    values = (value for one in lists for value in (one if isinstance(one, list | tuple | np.ndarray) else [one]))
    match next((value for value in values if value is not None), None):
        case bool() | np.bool_():
            return "list of true or false"
        case int() | float() | np.number():
            return "list of numbers"
        case _:
            return "list of text"


class ItemFilters:
    """Compiles conditions on an item table; what was compiled is kept.

    Args:
        item_table: metadata in row order, I rows.
        kinds: of fields whose values may not tell, such as lists that are all empty: the type in words, see `fields`.
    """

    def __init__(self, item_table: pd.DataFrame, kinds: Mapping[str, str] | None = None) -> None:
        known = kinds or {}
        self._columns = {str(name): _column(item_table[name], known.get(str(name))) for name in item_table.columns}
        self._num_items = len(item_table)
        size = max(16, min(4096, _CACHED_BYTES // max(1, self._num_items)))
        # Of no method of its own: what holds itself is not freed before somebody looks for such circles.
        self._compiled = lru_cache(maxsize=size)(partial(_compiled, self._columns, self._num_items))

    @property
    def fields(self) -> dict[str, str]:
        """Each field that can be filtered by, and its type in words."""
        return {name: column.kind for name, column in self._columns.items()}

    def allowed(self, conditions: Iterable[Condition]) -> np.ndarray | None:
        """The items that meet all conditions, bool [I], not to be written to; None where there are no conditions.

        Raises:
            FilterInvalid: an unknown field, or a value that is not of the column's type.
        """
        key = tuple(conditions)
        return self._compiled(key) if key else None

    def check_field(self, name: str, place: str = "filters") -> None:
        """Refuse a field that there is not.

        Args:
            name: the field.
            place: in the request where it was named.

        Raises:
            FilterInvalid: the message lists the fields there are.
        """
        if name not in self._columns:
            raise no_such_field(name, self.fields, place)

    def fits(self, name: str, value: Any) -> bool:
        """Whether an item may have the value in a field that is known."""
        column = self._columns[name]
        values = value if isinstance(value, list) and column.kind in _ELEMENTS else [value]
        return all(isinstance(one, str | int | float | bool) and column.holds(one) for one in values)

    def kept(self, name: str, values: Iterable[Any]) -> list[Any]:
        """The values of a field, None in the place of those that do not fit."""
        known = name in self._columns
        return [None if value is None or (known and not self.fits(name, value)) else value for value in values]


def _compiled(columns: Mapping[str, _Column], num_items: int, conditions: tuple[Condition, ...]) -> np.ndarray:
    """The items that meet all conditions, bool [I]."""
    allowed_I = np.ones(num_items, dtype=bool)
    for condition in conditions:
        allowed_I &= _met(columns, condition)
    allowed_I.flags.writeable = False
    return allowed_I


def _met(columns: Mapping[str, _Column], condition: Condition) -> np.ndarray:
    field = condition.field
    column = columns.get(field)
    if column is None:
        raise no_such_field(field, {name: column.kind for name, column in columns.items()}, "filters")
    try:
        if condition.any_of is not None:
            return column.any_of([_typed(column, v, condition.from_text) for v in condition.any_of])
        ends = (None if v is None else _typed(column, v, condition.from_text) for v in (condition.gte, condition.lte))
        return column.between(*ends)
    except (ValueError, OverflowError) as error:
        message = f"field {field!r} is a {column.kind}: {error}"
        raise FilterInvalid(message, [(f"filters.{field}", str(error))]) from error


def no_such_field(name: str, fields: Mapping[str, str], place: str) -> FilterInvalid:
    """What is said of a field that there is not.

    Args:
        name: the field.
        fields: those there are, and their types in words.
        place: in the request where it was named.
    """
    known = ", ".join(f"{known} ({kind})" for known, kind in fields.items())
    return FilterInvalid(f"there is no field {name!r}; there are {known}", [(f"{place}.{name}", "unknown field")])


def _typed(column: _Column, value: Scalar, from_text: bool) -> Scalar:
    if from_text:
        return column.read(str(value))
    if not column.holds(value):
        raise ValueError(f"{value!r} is not of that type")
    return value
