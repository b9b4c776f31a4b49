"""Reports on much data, made in a process of their own: they take seconds of a core and hundreds of megabytes, and answers need both."""

from __future__ import annotations

import os
import subprocess
import sys

import orjson
from sqlalchemy import func, select

from app.errors import ExtraMissing
from app.experiments.errors import UnknownExperiment, WrongState
from app.experiments.reports import report_html, report_of
from app.store import Database, ExperimentRecords, StoreUnusable
from app.store.tables import EVENTS, IMPRESSIONS

MOST_ROWS = 100_000
"""With more events and answers in the store a report takes longer than a process takes to start."""
_STORE = "IRGAN_STORE"
_MOST_SECONDS = 600.0
"""A report on millions of rows takes a minute. What takes longer than this hangs, and all others wait for their turn behind it."""
_NICENESS = 5
"""Answers come first."""
_TOLD = {kind.__name__: kind for kind in (ExtraMissing, StoreUnusable, UnknownExperiment, WrongState)}


def whole_report(database: Database, name: str) -> tuple[bytes, str]:
    """The report on an experiment as JSON and as a page; raises what `report_of` and `report_html` raise."""
    record = ExperimentRecords(database).get(name)
    if record is not None and record.started is not None and _is_large(database):
        return made_apart(database, name)
    report = report_of(database, name)
    return orjson.dumps(report.as_json()), report_html(report)


def _is_large(database: Database) -> bool:
    with database.read() as connection:
        numbers = (connection.scalar(select(func.max(table.c.number))) for table in (EVENTS, IMPRESSIONS))
        return sum(number or 0 for number in numbers) > MOST_ROWS


def made_apart(database: Database, name: str) -> tuple[bytes, str]:
    """The same from another process, however much it is about; raises StoreUnusable where that does not end."""
    # Safe (-P): the folder that the service was started in may have an `app` of its own.
    command = [sys.executable, "-P", "-m", __name__]
    # The address is no argument, since it may hold a password, and everybody sees arguments.
    environment = {**os.environ, _STORE: database.address}
    try:
        done = subprocess.run(  # noqa: S603 - this very program, and no argument of anybody
            command, env=environment, input=name.encode(), capture_output=True, check=False, timeout=_MOST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise StoreUnusable(
            f"the report on {name!r} was given up after {_MOST_SECONDS:g} s; ask for it when the store has less to do"
        ) from error
    kind, _, rest = done.stdout.partition(b"\n")
    if done.returncode or not kind:
        raise RuntimeError(
            f"the process that makes reports ended with {done.returncode}: {done.stderr.decode(errors='replace')}"
        )
    if (known := _TOLD.get(kind.decode())) is not None:
        raise known(rest.decode())
    json, _, page = rest.partition(b"\n")
    return json, page.decode()


def main() -> None:
    """Make the report that stdin names, from the store that the environment names."""
    os.nice(_NICENESS)
    database = Database(os.environ[_STORE])
    try:
        report = report_of(database, sys.stdin.buffer.read().decode())
        told = [b"made", orjson.dumps(report.as_json()), report_html(report).encode()]
    except tuple(_TOLD.values()) as error:
        told = [type(error).__name__.encode(), str(error).encode()]
    finally:
        database.close()
    sys.stdout.buffer.write(b"\n".join(told))


if __name__ == "__main__":
    main()
