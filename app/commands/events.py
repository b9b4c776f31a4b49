"""`irgan events export`: what people did, as a file."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.errors import SettingsInvalid

if TYPE_CHECKING:
    from app.store import EventLog

events = typer.Typer(no_args_is_help=True, help="What people did with the answers: export it.")

_AT_ONCE = 10_000
"""Events in memory at once."""
_COLUMNS = ("number", "id", "type", "time", "user", "session", "item", "request_id", "value", "position", "properties")

Rows = Sequence[Mapping[str, Any]]
"""With the columns above; times as they are, properties as JSON text."""


@events.callback()
def _events() -> None:
    """So that the group stays one with a single command."""


@events.command()
def export(
    *,
    output: Annotated[
        Path, typer.Option(help="The file: CSV, JSONL or Parquet, by its ending .csv, .jsonl or .parquet.", show_default=False)
    ],
    since: Annotated[int, typer.Option(help="Only events with a greater number: where the export before ended.", min=0)] = 0,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only events of this type; repeat it for more.", show_default=False),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="The store's address.", envvar="IRGAN_STORE", show_default="sqlite:///irgan.db")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write events into a file, in the order in which they arrived; services may write meanwhile."""
    writing = _WRITERS.get(output.suffix.lower())
    if writing is None:
        raise SettingsInvalid(
            f"{output}: the kind of file is told by its ending; expected one of {', '.join(_WRITERS)} (option --output)"
        )
    from app.settings import read_settings  # noqa: PLC0415 - heavy
    from app.store import Database, EventLog, StoreUnusable  # noqa: PLC0415 - likewise

    settings = read_settings(store=store)
    database = Database(settings.store)
    if not database.is_there:
        raise StoreUnusable(f"there is no store {settings.store}; name it by --store or IRGAN_STORE")
    count, last = 0, since
    try:
        with _replacing(output) as path, writing(path) as write:
            for part, last in _parts(EventLog(database), since, frozenset(kinds or ())):  # noqa: B007 - the last one is told
                write(part)
                count += len(part)
    finally:
        database.close()
    if as_json:
        typer.echo(json.dumps({"output": str(output), "events": count, "last": last}))
    else:
        typer.echo(f"{count:,} events are in {output}; later ones: --since {last}")


def _parts(log: EventLog, since: int, kinds: frozenset[str]) -> Iterator[tuple[Rows, int]]:
    """The events, some at a time, each time with the number up to which they have been looked at."""
    for found in log.pages(since, limit=_AT_ONCE):
        rows = [
            {"number": number, **{name: getattr(event, name) for name in _COLUMNS[1:]}}
            for number, event in found
            if not kinds or event.type in kinds
        ]
        yield rows, found[-1][0]


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside the other, which takes its place when it is whole; its folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


Writing = Callable[[Path], AbstractContextManager[Callable[[Rows], None]]]


@contextmanager
def _csv(path: Path) -> Iterator[Callable[[Rows], None]]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        yield lambda rows: writer.writerows({**row, "time": row["time"].isoformat()} for row in rows)


@contextmanager
def _jsonl(path: Path) -> Iterator[Callable[[Rows], None]]:
    import orjson  # noqa: PLC0415 - only here

    with path.open("wb") as file:
        yield lambda rows: file.writelines(
            orjson.dumps(
                {**row, "properties": None if row["properties"] is None else orjson.Fragment(row["properties"])},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for row in rows
        )


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[[Rows], None]]:
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    types = {"number": pa.int64(), "time": pa.timestamp("us", tz="UTC"), "value": pa.float64(), "position": pa.int32()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in _COLUMNS])
    with pq.ParquetWriter(path, schema) as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(list(rows), schema=schema))


_WRITERS: dict[str, Writing] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
