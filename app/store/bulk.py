"""Rows by the hundred in few statements.

The thread that writes shares Python's lock with the one that answers requests, and gives it away at every statement: row by row it would
wait for its turn as often as there are rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Connection, Float, Integer, String, Table, TypeDecorator

_AT_ONCE = 128
"""Rows in one statement of SQLite at most, a power of two; each number of rows is a statement of its own."""


class BulkInsert:
    """Inserts rows into a table; those that break a uniqueness that the table has are left out.

    Args:
        table: the table.
        columns: their names; a row has a value for each, as the database keeps it (times as microseconds).
    """

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self._table = table
        self._columns = [table.c[name] for name in columns]
        self._statements: dict[int, str] = {}
        self._arrays: str | None = None

    def __call__(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert the rows, in their order."""
        if not rows:
            return
        if connection.dialect.name == "postgresql":
            if self._arrays is None:
                arrays = ", ".join(map(_array, self._columns))
                self._arrays = self._into(connection, f"SELECT * FROM unnest({arrays})")  # noqa: S608 - names of ours
            connection.exec_driver_sql(self._arrays, tuple(map(list, zip(*rows, strict=True))))
            return
        for part in _parts(rows):
            statement = self._statements.get(len(part))
            if statement is None:
                row = f"({', '.join('?' * len(self._columns))})"
                statement = self._statements[len(part)] = self._into(connection, f"VALUES {', '.join([row] * len(part))}")
            connection.exec_driver_sql(statement, tuple(value for row in part for value in row))

    def _into(self, connection: Connection, source: str) -> str:
        quoted = connection.dialect.identifier_preparer
        names = ", ".join(map(quoted.format_column, self._columns))
        return f"INSERT INTO {quoted.format_table(self._table)} ({names}) {source} ON CONFLICT DO NOTHING"


def _parts(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The rows in parts of as few different sizes as there can be: powers of two."""
    start = 0
    while left := len(rows) - start:
        size = min(_AT_ONCE, 1 << (left.bit_length() - 1))
        yield rows[start : start + size]
        start += size


_KINDS = {String: "text", BigInteger: "bigint", Integer: "integer", Float: "double precision", Boolean: "boolean"}
"""PostgreSQL's names of what columns hold; the first that fits counts."""


def _array(column: Any) -> str:
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    return f"%s::{next(name for base, name in _KINDS.items() if isinstance(kind, base))}[]"
