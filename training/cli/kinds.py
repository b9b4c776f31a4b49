"""Rankers are of several kinds, and options and data of one kind mean nothing to the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import islice
from pathlib import Path

import typer

from training.cli.options import FileFlags, TextFlags
from training.errors import ConfigError, DataError

LEARNS_FROM = {
    "recommender": "ratings or clicks",
    "search": "documents to search",
    "rerank": "candidates of queries as feature vectors",
}
"""What a kind needs, in words."""
_DOES = {
    "recommender": "ranks items for people",
    "search": "searches documents",
    "rerank": "ranks a query's candidates by their features",
}

GROUP_NAMES = {"test": "all", "test_seen": "seen", "test_unseen": "unseen"}
"""What tables call groups of test queries."""

_OWN = {
    **{field.name: ("recommender",) for field in fields(FileFlags)},
    **{field.name: ("search",) for field in fields(TextFlags)},
    **dict.fromkeys(("format", "separator", "header", "encoding"), ("recommender", "search")),
    "test_fraction": ("recommender", "search"),
    "protocol": ("recommender",),
    "every_ranker": ("recommender",),
    "bundle_root": ("recommender",),
    "device": ("recommender",),
    "mode": ("search",),
}
"""Option → the kinds that it means something to; others mean something to all."""


def refuse_foreign_options(context: typer.Context, kind: str, what: str, *, everywhere: tuple[str, ...] = ()) -> None:
    """Refuse options of the running command that were given and mean nothing here.

    Args:
        context: of the running command.
        kind: of ranker.
        what: which ranker, or rankers, for the message.
        everywhere: options that do mean something to this command whatever the kind.

    Raises:
        ConfigError: there are some.
    """
    given = [
        option
        for name, option in given_options(context).items()
        if name not in everywhere and kind not in _OWN.get(name, (kind,))
    ]
    if given:
        verb = "does not apply" if len(given) == 1 else "do not apply"
        raise ConfigError(f"{', '.join(given)} {verb} to {what}, which {_DOES[kind]}; leave that out")


def given_options(context: typer.Context) -> dict[str, str]:
    """The options of the running command that were given: their parameter's name, and as they are typed."""
    return {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.name is not None and getattr(context.get_parameter_source(parameter.name), "name", "DEFAULT") != "DEFAULT"
    }


_LONGEST = 10_000
"""Bytes of a first line that are looked at."""


@contextmanager
def saying_what_is_wanted(kind: str, ranker: str, data: str) -> Iterator[None]:
    """Where data cannot be read because they are of another kind, say so instead of what is wrong with them.

    Raises:
        DataError: whatever was raised within, in other words where they are clearer.
    """
    try:
        yield
    except DataError as error:
        path = Path(data)
        found = kind_of_path(path) if path.exists() else None
        if found is None or found == kind:
            raise
        raise DataError(
            f"{data} looks like {LEARNS_FROM[found]}, and {ranker} learns from {LEARNS_FROM[kind]}; "
            "give other data, or choose another ranker (irgan rankers)"
        ) from error


def kind_of_path(path: Path) -> str | None:
    """What a path seems to hold; None where it is not clear."""
    if not path.is_dir():
        return _kind_of_file(path)
    if (path / "corpus.jsonl").is_file():
        return "search"
    kinds = {_kind_of_file(file) for file in islice(sorted(path.iterdir()), 100) if file.is_file()}
    return "rerank" if "rerank" in kinds else None


def _kind_of_file(path: Path) -> str | None:
    """The same of a file, by its suffix and its first line."""
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return "search"
    try:
        with path.open("rb") as file:
            first = file.readline(_LONGEST).decode(errors="replace")
    except OSError:
        return None
    if re.match(r"-?\d+\s+qid:", first):
        return "rerank"
    names = {name.strip().strip('"').lower() for name in re.split(r"[,\t;|]", first)}
    if any(name.startswith(("user", "customer", "item", "rating")) for name in names):
        return "recommender"
    return "search" if names & {"text", "body", "abstract", "content"} else None
