"""Tables in files: CSV, TSV and Parquet, read so that every complaint can name its lines.

Shapes: N rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from training.data.text import SHOWN, check_is_file, read_text, trouble
from training.errors import DataError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".inter": "\t", ".item": "\t"}
"""What separates fields, by the file's suffix."""
PARQUET_SUFFIXES = (".parquet", ".pq")
_WHOLE = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
"""The types of pandas that hold whole numbers and know missing ones, by Arrow's."""


@dataclass(frozen=True, slots=True)
class Table:
    """Some columns of a file.

    Attributes:
        path: the file.
        frame: N rows; columns of a text file are strings, missing ones empty.
        unit: what `places` counts: `line` or `row`.
        places: from positions to 1-based lines or rows of the file.
        values: what they are: text, of the types that the file gives its columns, or JSON.
    """

    path: Path
    frame: pd.DataFrame
    unit: str
    places: Callable[[np.ndarray], np.ndarray]
    values: Literal["text", "typed", "json"] = "text"

    def complaint(
        self, bad: np.ndarray, found: str, remedy: str, *, values: pd.Series | None = None, notes: Sequence[str] = ()
    ) -> DataError:
        """The one message about rows that cannot be used.

        Args:
            bad: which rows, bool [N] or positions.
            found: what is wrong with them, without their count.
            remedy: what was expected and what to do.
            values: what stands in a row, N values; shown for the first of the bad ones.
            notes: in place of values, what to say of each of the first `SHOWN` bad rows.
        """
        positions = np.flatnonzero(bad) if bad.dtype == bool else bad
        shown = positions[:SHOWN]
        if values is not None:
            notes = [_shorten(value) for value in values.iloc[shown]]
        where = [f"{self.unit} {place}" for place in self.places(shown)]
        if notes:
            where = [f"{place}: {note}" for place, note in zip(where, notes, strict=True)]
        return trouble(self.path, count=len(positions), unit=self.unit, where=where, found=found, remedy=remedy)


def _shorten(value: object) -> str:
    if value is None:
        return "missing"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 40 else text[:37] + "…'"


class TableFile(Protocol):
    """A file whose columns are known before it is read."""

    path: Path
    names: list[str]
    head: str
    """What says the names, for messages."""

    def read(self, columns: list[str]) -> Table:
        """Some of the columns, all rows."""
        ...


class TextTableFile:
    """A CSV or TSV file; all its columns are text.

    Args:
        path: the file.
        separator: one character.
        header: whether the first line names the columns; without it they are called `1`, `2`, ….
        encoding: as Python names it.

    Raises:
        DataError: no such file, nothing in it, or not text.
    """

    def __init__(self, path: Path, *, separator: str = ",", header: bool = True, encoding: str = "utf-8") -> None:
        if len(separator) != 1:
            raise DataError(f"the separator {separator!r} is impossible; expected one character, such as ',' or ';'")
        self.path = path
        self.separator = separator
        self.header = header
        self._content = read_text(path, encoding)
        first, self._header_lines = self._first_record()
        self.names = first if header else [str(number) for number in range(1, len(first) + 1)]
        blank_lines = len(self._content) - len(self._content.lstrip(b"\n"))
        self.head = f"line {blank_lines + 1}"
        twice = [name for name in dict.fromkeys(self.names) if self.names.count(name) > 1]
        if twice:
            raise DataError(f"{path}: {self.head} names the column {twice[0]!r} twice; give each column a name of its own")

    def _first_record(self) -> tuple[list[str], int]:
        """The fields of the first line that is not blank, and the number of lines it takes, blank ones before it included."""
        reader = csv.reader(io.StringIO(self._content[:1_000_000].decode("utf-8", errors="ignore")), delimiter=self.separator)
        try:
            first = next(record for record in reader if record)
        except csv.Error as error:
            raise DataError(f"{self.path}: line 1 cannot be read: {error}") from error
        return [name.strip() for name in first] if self.header else first, reader.line_num

    def read(self, columns: list[str]) -> Table:
        """Some of the columns, all rows.

        Raises:
            DataError: no row, or rows with too many or too few fields.
        """
        ragged: list[tuple[int, int]] = []

        def note(row: Any) -> str:
            ragged.append((row.number, row.actual_columns))
            return "skip"

        skipped = self._header_lines if self.header else 0
        try:
            read = pyarrow.csv.read_csv(
                pa.BufferReader(self._content),
                # One thread, so that rows come with their number.
                read_options=pyarrow.csv.ReadOptions(use_threads=False, skip_rows=skipped, column_names=self.names),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=self.separator, newlines_in_values=True, invalid_row_handler=note
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()), include_columns=columns, strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid as error:
            raise DataError(f"{self.path} is no table of fields separated by {self.separator!r}: {error}") from error
        if ragged:
            # pyarrow counts records from 1, blank lines left out, after as many lines as it was told to skip.
            records = [number - 1 - skipped + (1 if self.header else 0) for number, _ in ragged[:SHOWN]]
            lines = self._record_lines[records]
            where = [f"line {line}: {fields} fields" for line, (_, fields) in zip(lines, ragged, strict=False)]
            remedy = f"expected {len(self.names)} fields separated by {self.separator!r}, as in {self.head}; correct or remove these lines"
            raise trouble(
                self.path, count=len(ragged), unit="line", where=where, found="another number of fields", remedy=remedy
            )
        frame = read.to_pandas()
        if not len(frame):
            raise DataError(f"{self.path} is empty: it has a header and no line after it; expected a table")
        return Table(self.path, frame, "line", self._line_of)

    @cached_property
    def _record_lines(self) -> np.ndarray:
        """The line that each record starts at, blank lines left out; a quoted newline does not end a record."""
        data = np.frombuffer(self._content, dtype=np.uint8)
        is_newline = data == ord("\n")
        inside_quotes = np.cumsum(data == ord('"'), dtype=np.uint8) % 2 == 1  # the sum may wrap, its parity stays
        starts = np.concatenate([[0], np.flatnonzero(is_newline & ~inside_quotes) + 1])
        starts = starts[starts < len(data)]
        starts = starts[~is_newline[starts]]
        lines: np.ndarray = np.searchsorted(np.flatnonzero(is_newline), starts) + 1
        return lines

    def _line_of(self, positions: np.ndarray) -> np.ndarray:
        lines: np.ndarray = self._record_lines[positions + (1 if self.header else 0)]
        return lines


class ParquetTableFile:
    """A Parquet file.

    Raises:
        DataError: no such file, or it is no Parquet file.
    """

    def __init__(self, path: Path) -> None:
        check_is_file(path)
        self.path = path
        self.head = "its schema"
        try:
            self._file = pyarrow.parquet.ParquetFile(path)
            self.names: list[str] = list(self._file.schema_arrow.names)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is no Parquet file, or a damaged one: {error}") from error

    def read(self, columns: list[str]) -> Table:
        """Some of the columns, all rows.

        Raises:
            DataError: no row, or a damaged file.
        """
        try:
            read = self._file.read(columns=columns)
            frame = read.to_pandas(ignore_metadata=True)
            for field in read.schema:  # whole numbers stay so where some are missing
                if pa.types.is_integer(field.type) and read[field.name].null_count:
                    frame[field.name] = read[field.name].to_pandas(types_mapper=_WHOLE.get)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{self.path} is a damaged Parquet file: {error}") from error
        if not len(frame):
            raise DataError(f"{self.path} is empty: it has columns and no rows; expected a table")
        return Table(self.path, frame, "row", lambda positions: positions + 1, values="typed")


def open_table(
    path: Path, *, form: str | None = None, separator: str | None = None, header: bool = True, encoding: str = "utf-8"
) -> TableFile:
    """A table file by its suffix, or by what the caller says of it.

    Args:
        path: the file.
        form: `csv`, `tsv` or `parquet`; None goes by the suffix.
        separator: what separates fields in text; None goes by form or suffix.
        header: whether the first line names the columns.
        encoding: of text.

    Raises:
        DataError: the file cannot be read, or its form is not clear.
    """
    check_is_file(path)
    suffix = path.suffix.lower()
    if form == "parquet" or (form is None and suffix in PARQUET_SUFFIXES):
        return ParquetTableFile(path)
    known = {"csv": ",", "tsv": "\t"}.get(form) if form else SEPARATORS.get(suffix)
    separator = separator or known
    if separator is None:
        raise DataError(
            f"{path}: the form of a file that ends in {path.suffix!r} is not clear; "
            f"expected one of {', '.join([*SEPARATORS, *PARQUET_SUFFIXES])}, or give --format csv, tsv, parquet or lists"
        )
    return TextTableFile(path, separator=separator, header=header, encoding=encoding)
