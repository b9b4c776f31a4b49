"""A PostgreSQL server of the tests' own, from the programs that are installed; it lasts as long as the tests do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest

REQUIRED = "IRGAN_TEST_POSTGRES"
"""`required` there makes the absence of PostgreSQL a failure instead of a reason to skip."""

_SETTINGS = (
    "listen_addresses=",
    "max_connections=100",
    "fsync=off",  # the tests end processes, not machines
    "full_page_writes=off",
    "shared_buffers=16MB",
    "log_min_messages=fatal",
)


@contextmanager
def postgres_server(*settings: str) -> Iterator[str]:
    """A server on a socket in a folder of its own; gives the address of its database `postgres`, without a password."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="irgan-pg-", dir="/tmp"))  # a socket's path is short
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        _run(programs / "initdb", "--pgdata", folder / "data", "--auth=trust", "--username=postgres", "--no-sync", "-E", "UTF8")
        options = " ".join(f"-c {setting}" for setting in (*_SETTINGS, f"unix_socket_directories={folder}", *settings))
        (folder / "options").write_text(options, encoding="utf-8")
        address = f"postgresql://postgres@/postgres?host={folder}"
        start(address)
        try:
            yield address
        finally:
            stop(address, "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(server: str) -> None:
    """Start a server that was stopped, with the settings that it had."""
    folder = _folder(server)
    options = (folder / "options").read_text(encoding="utf-8")
    data, log = folder / "data", folder / "log"
    _run(_programs() / "pg_ctl", "--pgdata", data, "--log", log, "--options", options, "--wait", "start")


def stop(server: str, mode: Literal["fast", "immediate"]) -> None:
    """Stop a server: `fast` ends its sessions, `immediate` is as if it had been killed."""
    _run(_programs() / "pg_ctl", "--pgdata", _folder(server) / "data", "--mode", mode, "--wait", "stop")


def main_process(server: str) -> int:
    """The id of the process that all others of a server are children of."""
    return int((_folder(server) / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """An empty database on a server, dropped in the end."""
    import psycopg  # noqa: PLC0415 - only with the extra `postgres`

    name = f"t{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield server.replace("/postgres?", f"/{name}?")
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _folder(server: str) -> Path:
    return Path(server.rpartition("host=")[2])


def _programs() -> Path:
    """The folder of the newest version's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    reason = ""
    if not found and on_path is None:
        reason = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    try:
        import psycopg  # noqa: F401, PLC0415 - only with the extra `postgres`
    except ModuleNotFoundError:
        reason = "psycopg is not installed (the extra postgres brings it)"
    if reason and os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{reason}, and {REQUIRED}=required")
    if reason:
        pytest.skip(reason)
    return found[-1].parent if found else Path(str(on_path)).parent


def _run(*command: str | Path) -> None:
    as_postgres = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()  # the server refuses to run as root
    done = subprocess.run(
        [*as_postgres, *map(str, command)], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/"
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stderr}"
