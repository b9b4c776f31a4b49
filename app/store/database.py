"""The database: SQLite in a file, or PostgreSQL; opened, made or brought up to date when there is something to write or to read."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from app.errors import SettingsInvalid
from app.store.errors import StoreUnusable
from app.store.migrations import HEAD

logger = logging.getLogger(__name__)

_BUSY_SECONDS = 5
"""How long a writer waits for another, and everybody for a server."""
_WRITERS_LOCK = 0x69726761
"""The number of PostgreSQL's advisory lock that writers take turns by."""
_PATIENCE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""How soon a server's machine that is gone is given up, instead of waited for without end."""
_POOL = 5
"""Connections kept open."""


class Database:
    """A database by its URL; any thread may use it.

    Writers take turns, those of other processes too: numbers that rows get grow in the order in which rows become visible, so that a reader
    who asks for what is newer than what it knows misses nothing.

    Args:
        url: such as `sqlite:///irgan.db` or `postgresql://user@host/irgan`; the file of SQLite is made when something is first written.

    Raises:
        SettingsInvalid: no such kind of database, one that would keep nothing, or one whose driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url = _address(url)
        try:
            # Each transaction begins as `_begin` says: the drivers' own ways differ.
            options: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {"connect_timeout": _BUSY_SECONDS, **_PATIENCE}}
            if self._is_sqlite:
                options = {"connect_args": {"isolation_level": None, "check_same_thread": False}}
            self._engine: Engine = create_engine(self._url, pool_size=_POOL, max_overflow=20, **options)
        except (ArgumentError, NoSuchModuleError) as error:
            raise SettingsInvalid(_unusable(url, error)) from error
        except ModuleNotFoundError as error:
            raise SettingsInvalid(
                f"the store's address {_without_secrets(url)!r} needs the package {error.name}; pip install 'irgan[postgres]' (IRGAN_STORE)"
            ) from error
        self._is_ready = False
        self._file: tuple[int, ...] = ()
        self._lock = threading.Lock()
        event.listen(self._engine, "connect", _set_up_sqlite if self._is_sqlite else _set_up_postgresql)
        event.listen(self._engine, "begin", self._begin)

    @property
    def address(self) -> str:
        """Its URL, a password included: for another process, never for a message."""
        return self._url.render_as_string(hide_password=False)

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    @property
    def is_there(self) -> bool:
        """Whether anything can have been written."""
        return self._is_ready or not self._is_sqlite or Path(str(self._url.database)).is_file()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes, durable when the block ends well, and undone when it does not.

        Raises:
            StoreUnusable: the database cannot be opened, read or written.
        """
        with self._usable():
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                yield connection
            if self._file != self._file_now():
                raise OSError("its file was deleted or replaced while it was written")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One state of the database to read from, whoever writes meanwhile.

        Raises:
            StoreUnusable: the database cannot be opened or read.
        """
        with self._usable(), self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            self._make_ready()
            yield
        except (SQLAlchemyError, OSError) as error:
            reason = getattr(error, "orig", None) or error
            raise StoreUnusable(f"the store {self._shown} cannot be used: {reason}; see IRGAN_STORE") from error

    @property
    def _shown(self) -> str:
        return _without_secrets(self._url.render_as_string(hide_password=True))

    def _begin(self, connection: Connection) -> None:
        """Writers take turns from their first statement on, so that none waits for another with half its work done."""
        writes = connection.get_execution_options().get("writes", False)
        if self._is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        elif writes:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def _make_ready(self) -> None:
        with self._lock:
            if self._is_ready and self._file == self._file_now():
                return
            if self._is_ready:
                # What is written to a file that has no name any more is nobody's. A new one is made, or the other taken.
                logger.warning("the store %s was deleted or replaced; it is opened anew", self._shown)
                self._is_ready = False
                self._engine.dispose()
            if self._is_sqlite:
                Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                found = _revision(connection)
                if found != HEAD:
                    self._upgrade(connection, found)
            self._file = self._file_now()
            self._is_ready = True

    def _file_now(self) -> tuple[int, ...]:
        """What tells the files by the store's name from others that had it before: SQLite's, and the log that it writes first.

        The log stays as long as a connection is open, and one is, in the pool.
        """
        if not self._is_sqlite:
            return ()
        identity = []
        for path in (str(self._url.database), f"{self._url.database}-wal"):
            try:
                found = os.stat(path)  # noqa: PTH116 - for each transaction, and a Path takes as long as the system does
            except FileNotFoundError:
                identity += [0, 0]
            else:
                identity += [found.st_dev, found.st_ino]
        return tuple(identity)

    def _upgrade(self, connection: Connection, found: str | None) -> None:
        from alembic import command, script  # noqa: PLC0415 - only where there is something to do
        from alembic.config import Config  # noqa: PLC0415 - likewise

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "app.store:migrations")
        known = {step.revision for step in script.ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise StoreUnusable(
                f"the store {self._shown} is of a newer irgan (step {found}, this one knows {HEAD}); use that version, or another store"
            )
        command.upgrade(config, "head")


def _address(url: str) -> URL:
    try:
        address = make_url(url)
        kind = address.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise SettingsInvalid(_unusable(url, error)) from error
    if kind not in {"sqlite", "postgresql"}:
        raise SettingsInvalid(_unusable(url, f"no store is kept in {kind}"))
    if "@" in (address.host or ""):  # before it stands the end of a password, and drivers tell the host
        raise SettingsInvalid(_unusable(url, "an @ in a password is written %40"))
    if kind == "sqlite" and address.database in {None, "", ":memory:"}:
        raise SettingsInvalid(
            f"the store's address {url!r} names no file, so nothing would be kept; expected such as sqlite:///irgan.db (IRGAN_STORE)"
        )
    return address.set(drivername="postgresql+psycopg") if address.drivername == "postgresql" else address


def _unusable(url: str, reason: object) -> str:
    return (
        f"the store's address {_without_secrets(url)!r} cannot be used: {reason}; expected such as sqlite:///irgan.db "
        "or postgresql://user:password@host/irgan (IRGAN_STORE)"
    )


def _without_secrets(url: str) -> str:
    """An address to be shown, also one that cannot be parsed: no password, wherever it stands."""
    return re.sub(r"(?i)(password=)[^&]*", r"\1***", re.sub(r"^((?:[^:/]*://)?[^/:@]*:).*@", r"\1***@", url, flags=re.DOTALL))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


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


def _set_up_postgresql(connection: Any, _: Any) -> None:
    """A writer that waits for others gives up some time, as it does with SQLite."""
    connection.execute(f"SET lock_timeout = '{_BUSY_SECONDS}s'")
    connection.commit()
