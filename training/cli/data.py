"""`irgan data`: what data sets there are, fetching them, and looking into data before training on them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.cli.options import FileFlags, load_data, log_to_stderr, spread

if TYPE_CHECKING:
    import numpy as np

    from training.data import Dataset

data = typer.Typer(name="data", help="Data sets: list, fetch, describe.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]

_MOST_VALUES = 20
"""Distinct ratings up to which each gets its own line; beyond, they are counted in ten ranges."""


@data.command("list")
def list_(*, as_json: Json = False) -> None:
    """The data sets that have a name, and whether they are at hand."""
    from training.data import SOURCES  # noqa: PLC0415 - heavy
    from training.data.fetch import find  # noqa: PLC0415 - heavy

    found = {name: find(spec) for name, spec in SOURCES.items()}
    if as_json:
        rows = [
            {
                "name": name,
                "title": spec.title,
                "terms": spec.terms,
                "folder": str(found[name]) if found[name] else None,
                "fetchable": bool(spec.origins),
            }
            for name, spec in SOURCES.items()
        ]
        typer.echo(json.dumps({"datasets": rows}, ensure_ascii=False))
        return
    for name, spec in SOURCES.items():
        absent = (
            f"not here; irgan data fetch {name}" if spec.origins else f"not here; put its files into $IRGAN_DATA_DIR/{name}"
        )
        typer.echo(f"{name}\n  {spec.title}\n  {found[name] or absent}")


@data.command()
def fetch(name: Annotated[str, typer.Argument(help="As in irgan data list.")], *, as_json: Json = False) -> None:
    """Find a data set's files, or download them into the cache; verify them and print their terms of use."""
    from training.data import fetch as fetch_data  # noqa: PLC0415 - heavy
    from training.data import source  # noqa: PLC0415 - heavy

    spec = source(name)
    with log_to_stderr():
        folder = fetch_data(name)
    if as_json:
        typer.echo(json.dumps({"name": name, "folder": str(folder), "terms": spec.terms}, ensure_ascii=False))
    else:
        typer.echo(f"{name}: {folder}, verified\nTerms of use: {spec.terms}")


@data.command()
@spread
def describe(
    dataset: Annotated[str, typer.Argument(help="A data set's name or a CSV, TSV or Parquet file.")],
    files: FileFlags,
    *,
    as_json: Json = False,
) -> None:
    """Count what is in a data set: users, items, ratings, times; and check it on the way."""
    description = describe_dataset(load_data(dataset, files))
    if as_json:
        typer.echo(json.dumps(description, ensure_ascii=False))
        return
    for key, value in description.items():
        if isinstance(value, dict):
            typer.echo(f"{key.replace('_', ' ')}:")
            for inner, count in value.items():
                typer.echo(f"  {inner:<20} {_shown(count)}")
        else:
            typer.echo(f"{key.replace('_', ' '):<22} {_shown(value)}")


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """Counts of a data set, JSON values only; None where it has no such thing."""
    import numpy as np  # noqa: PLC0415 - heavy

    from training.data import SOURCES, default_split  # noqa: PLC0415 - heavy

    events = dataset.interactions
    given = dataset.given_split
    return {
        "name": dataset.name,
        "users": events.num_users,
        "items": events.num_items,
        "interactions": len(events),
        "density": len(events) / (events.num_users * events.num_items),
        "per_user": _spread_of(np.bincount(events.user_rows, minlength=events.num_users)),
        "per_item": _spread_of(np.bincount(events.item_rows, minlength=events.num_items)),
        "ratings": None if events.ratings is None else _histogram(events.ratings),
        "positive_threshold": None if events.ratings is None else float(events.positive_threshold),
        "positives": int(np.count_nonzero(events.is_positive)),
        "times": None if events.times is None else {"first": _iso(events.times.min()), "last": _iso(events.times.max())},
        "item_columns": [str(column) for column in dataset.item_table.columns],
        "default_split": default_split(dataset),
        "given_split": None
        if given is None
        else {str(part): int(np.count_nonzero(given == part)) for part in np.unique(given)},
        "fingerprint": events.fingerprint(),
        "terms": SOURCES[dataset.name].terms if dataset.name in SOURCES else None,
    }


def _spread_of(counts: np.ndarray) -> dict[str, float]:
    import numpy as np  # noqa: PLC0415 - heavy

    return {"least": int(counts.min()), "median": float(np.median(counts)), "most": int(counts.max())}


def _histogram(ratings: np.ndarray) -> dict[str, int]:
    import numpy as np  # noqa: PLC0415 - heavy

    values, counts = np.unique(ratings, return_counts=True)
    if len(values) <= _MOST_VALUES:
        return {f"{value:g}": int(count) for value, count in zip(values, counts, strict=True)}
    counts, edges = np.histogram(ratings.astype(np.float64), bins=10)
    return {f"{low:.4g} to {high:.4g}": int(count) for low, high, count in zip(edges, edges[1:], counts, strict=False)}


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(int(seconds), tz=UTC).isoformat()


def _shown(value: object) -> str:
    match value:
        case None:
            return "—"
        case list():
            return ", ".join(map(str, value)) or "—"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.6g}"
        case _:
            return str(value)
