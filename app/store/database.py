"""The database: opened when there is something to write, or something to read."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from app.errors import SettingsInvalid
from app.store.errors import StoreUnusable

METADATA = MetaData()
"""All tables of the store."""

_BUSY_SECONDS = 5
"""How long a writer waits for another."""


class Database:
    """A database by its URL; any thread may use it.

    Args:
        url: such as `sqlite:///irgan.db`; the file of SQLite is made when something is first written.

    Raises:
        SettingsInvalid: no such kind of database, or one that would keep nothing.
    """

    def __init__(self, url: str) -> None:
        try:
            self._url = make_url(url)
            self._engine: Engine = create_engine(self._url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise SettingsInvalid(
                f"the store's address {url!r} cannot be used: {error}; expected such as sqlite:///irgan.db (IRGAN_STORE)"
            ) from error
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        if self._is_sqlite and self._url.database in {None, "", ":memory:"}:
            raise SettingsInvalid(
                f"the store's address {url!r} names no file, so nothing would be kept; expected such as sqlite:///irgan.db (IRGAN_STORE)"
            )
        self._is_ready = False
        self._lock = threading.Lock()
        if self._is_sqlite:
            event.listen(self._engine, "connect", _set_up_sqlite)

    @property
    def is_there(self) -> bool:
        """Whether anything can have been written."""
        return self._is_ready or not self._is_sqlite or Path(str(self._url.database)).is_file()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, durable when the block ends well, and undone when it does not.

        Raises:
            StoreUnusable: the database cannot be opened, read or written.
        """
        try:
            self._make_ready()
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            reason = getattr(error, "orig", None) or error
            shown = self._url.render_as_string(hide_password=True)
            raise StoreUnusable(f"the store {shown} cannot be used: {reason}; see IRGAN_STORE") from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _make_ready(self) -> None:
        with self._lock:
            if self._is_ready:
                return
            if self._is_sqlite:
                Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
            with self._engine.begin() as connection:  # another process may be doing the same
                for table in METADATA.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
                    for index in table.indexes:
                        connection.execute(CreateIndex(index, if_not_exists=True))
            self._is_ready = True


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """Readers never wait for writers, and what is committed survives a power cut."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
    deadline = monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:  # of this one statement SQLite does not wait for others that begin to write
            if "locked" not in str(error) or monotonic() > deadline:
                raise
            sleep(0.01)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
