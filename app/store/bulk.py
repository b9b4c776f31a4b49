"""Rows by the hundred in few statements.

The thread that writes shares Python's lock with the one that answers requests, and gives it away at every statement: row by row it would
wait for its turn as often as there are rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Float, Integer, String, Table, TypeDecorator

_AT_ONCE = 128
"""Rows in one statement of SQLite at most, a power of two; each number of rows is a statement of its own."""


class BulkInsert:
    """Inserts rows into a table; those that break a uniqueness that the table has are left out.

    Args:
        table: the table.
        columns: their names; a row has a value for each, as the database keeps it (times as microseconds).
        key: the column, of unique texts, by which is told what was left out.
    """

    def __init__(self, table: Table, columns: Sequence[str], *, key: str | None = None) -> None:
        self._table = table
        self._columns = [table.c[name] for name in columns]
        self._key = key
        self._place = 0 if key is None else columns.index(key)
        self._statements: dict[int, str] = {}

    def __call__(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> set[str]:
        """Insert the rows, in their order; no two have the same key.

        Returns:
            The keys of those that were there already.
        """
        if not rows:
            return set()
        if connection.dialect.name == "postgresql":
            return self._insert_arrays(connection, rows)
        there = self._there(connection, rows)
        for part in _parts(rows):
            statement = self._statements.get(len(part))
            if statement is None:
                row = f"({', '.join('?' * len(self._columns))})"
                statement = self._statements[len(part)] = self._into(connection, f"VALUES {', '.join([row] * len(part))}")
            connection.exec_driver_sql(statement, tuple(value for row in part for value in row))
        return there

    def _there(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> set[str]:
        if self._key is None:
            return set()
        wanted = (
            f"SELECT json_group_array({self._key}) FROM {self._table.name} "  # noqa: S608 - names of ours
            f"WHERE {self._key} IN (SELECT value FROM json_each(?))"
        )
        keys = json.dumps([row[self._place] for row in rows])
        return set(json.loads(connection.exec_driver_sql(wanted, (keys,)).scalar_one()))

    def _insert_arrays(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> set[str]:
        # Asking first would need a plan, and PostgreSQL's of a table that was small a moment ago reads it from end to end.
        statement = self._statements.get(0)
        if statement is None:
            arrays = ", ".join(map(_array, self._columns))
            statement = self._into(connection, f"SELECT * FROM unnest({arrays})")  # noqa: S608 - names of ours
            if self._key is not None:
                statement += f" RETURNING {self._key}"
            self._statements[0] = statement
        values = (_of_one_type(column, given) for column, given in zip(self._columns, zip(*rows, strict=True), strict=True))
        done = connection.exec_driver_sql(statement, tuple(values))
        return set() if self._key is None else {row[self._place] for row in rows}.difference(done.scalars())

    def _into(self, connection: Connection, source: str) -> str:
        quoted = connection.dialect.identifier_preparer
        names = ", ".join(map(quoted.format_column, self._columns))
        return f"INSERT INTO {quoted.format_table(self._table)} ({names}) {source} ON CONFLICT DO NOTHING"


def _of_one_type(column: Column[Any], values: Sequence[Any]) -> list[Any]:
    return [None if value is None else float(value) for value in values] if isinstance(column.type, Float) else list(values)


def _parts(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The rows in parts of as few different sizes as there can be: powers of two."""
    start = 0
    while left := len(rows) - start:
        size = min(_AT_ONCE, 1 << (left.bit_length() - 1))
        yield rows[start : start + size]
        start += size


_KINDS = {String: "text", BigInteger: "bigint", Integer: "integer", Float: "double precision", Boolean: "boolean"}
"""PostgreSQL's names of what columns hold; the first that fits counts."""


def _array(column: Column[Any]) -> str:
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    return f"%s::{next(name for base, name in _KINDS.items() if isinstance(kind, base))}[]"
