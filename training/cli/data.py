"""`irgan data`: what data sets there are, fetching them, and looking into data before training on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.cli.kinds import kind_of_path, refuse_foreign_options
from training.cli.options import FileFlags, TextFlags, load_candidates, load_data, load_texts, log_to_stderr, spread
from training.errors import DataError

if TYPE_CHECKING:
    from training.data.catalogue import Kind

data = typer.Typer(name="data", help="Data sets: list, fetch, describe.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]

_RANKERS: dict[Kind, str] = {"interactions": "recommender", "documents": "search", "features": "rerank"}
"""The kind of ranker that learns from a kind of data."""


@data.command("list")
def list_(*, as_json: Json = False) -> None:
    """The data sets that have a name, and whether they are at hand."""
    from training.data import SOURCES  # noqa: PLC0415 - heavy
    from training.data.catalogue import KINDS, names_of  # noqa: PLC0415 - heavy
    from training.data.fetch import find  # noqa: PLC0415 - heavy

    found = {name: find(spec) for name, spec in SOURCES.items()}
    if as_json:
        rows = [
            {
                "name": name,
                "kind": spec.kind,
                "title": spec.title,
                "terms": spec.terms,
                "folder": str(found[name]) if found[name] else None,
                "fetchable": bool(spec.origins),
            }
            for name, spec in SOURCES.items()
        ]
        typer.echo(json.dumps({"datasets": rows}, ensure_ascii=False))
        return
    for kind, words in KINDS.items():
        typer.echo(f"{words[0].upper()}{words[1:]}")
        for name in names_of(kind):
            spec = SOURCES[name]
            absent = f"irgan data fetch {name}" if spec.origins else f"put its files into $IRGAN_DATA_DIR/{name}"
            typer.echo(f"  {name}\n    {spec.title}\n    {found[name] or f'not here; {absent}'}")


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
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="A data set's name or a path, as irgan train takes them.")],
    files: FileFlags,
    texts: TextFlags,
    *,
    as_json: Json = False,
) -> None:
    """Count what is in data: events, documents and judgements, or candidates and features; and check them on the way."""
    from training.cli.described import (  # noqa: PLC0415 - heavy
        describe_collection,
        describe_dataset,
        describe_features,
    )

    kind = _kind_of(dataset, texts)
    refuse_foreign_options(context, _RANKERS[kind], dataset)
    match kind:
        case "documents":
            description = describe_collection(load_texts(dataset, texts, files))
        case "features":
            description = describe_features(load_candidates(dataset))
        case _:
            description = describe_dataset(load_data(dataset, files))
    if as_json:
        typer.echo(json.dumps(description, ensure_ascii=False))
    else:
        _print(description)


def _kind_of(dataset: str, texts: TextFlags) -> Kind:
    """What is meant: by name, by an option that only documents have, or by what the path seems to hold.

    Raises:
        DataError: a name that stands for no data.
    """
    from training.data import SOURCES  # noqa: PLC0415 - heavy

    if dataset in SOURCES:
        kind = SOURCES[dataset].kind
        if kind == "logged":
            raise DataError(
                f"{dataset} is a log of actions, from which no ranker learns; irgan compare --logged {dataset} --target … evaluates "
                "another policy on it"
            )
        if kind == "weights":
            raise DataError(
                f"{dataset} holds the weights of a network and nothing to describe; irgan data fetch {dataset} brings them"
            )
        return kind
    path = Path(dataset)
    ranker = "search" if texts != TextFlags() else kind_of_path(path) if path.exists() else None
    return next((kind for kind, learner in _RANKERS.items() if learner == ranker), "interactions")


def _print(description: dict[str, Any], indent: str = "") -> None:
    for key, value in description.items():
        name = indent + key.replace("_", " ")
        if isinstance(value, dict):
            typer.echo(f"{name}:")
            _print(value, indent + "  ")
        else:
            typer.echo(f"{name:<22} {_shown(value)}")


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
