"""How the lists of rankers differ, in the terminal: how much alike they are, and for whom they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from training.evaluation.agreement import Agreement
    from training.evaluation.changes import Change, Changes

_ALIKE = {"overlap@1": "overlap@1", "overlap@10": "overlap@10", "overlap@50": "overlap@50", "rbo": "RBO", "tau": "Kendall's τ"}
_MOST_PAIRS = 3
"""Of more pairs a terminal does not list who changed."""
_EACH = 2
"""Gains, and losses, of the only pair; of several pairs one of each."""
_ITEMS = 3
"""Of each list."""
_LONGEST = 42
"""Characters of an item's name, so that it keeps to a line."""
_QUERY = 38
"""Characters of a line of a query's text."""


def print_differences(
    console: Console, agreements: Sequence[Agreement], changes: Sequence[Changes], *, key: str, unit: str
) -> None:
    """A table of how much alike lists are, and for few pairs one of who changed most on the metric that was named first.

    Args:
        console: what prints tables.
        agreements: of each pair; nothing is printed where there are none.
        changes: of each pair on each metric.
        key: the protocol, or the queries.
        unit: `users` or `queries`.
    """
    if not agreements:
        return
    _print_agreements(console, agreements, f"{key}: how much alike the lists are, means over {unit} and [quartiles]")
    first = [one for one in changes if one.metric == changes[0].metric]
    if len(first) > _MOST_PAIRS:
        typer.echo(f"{key}: of {len(first)} pairs, the {unit} that changed most are in --json and in the page of --output\n")
        return
    for one in first:
        if one.gains or one.losses:
            _print_changes(console, one, key, unit, _EACH if len(first) == 1 else 1)


def _print_agreements(console: Console, agreements: Sequence[Agreement], title: str) -> None:
    from rich.table import Table  # noqa: PLC0415 - heavy

    from training.evaluation import figure  # noqa: PLC0415 - heavy

    table = Table(title=title, title_justify="left")
    table.add_column("rankers", overflow="fold")
    for name in _ALIKE.values():
        table.add_column(name, justify="right", no_wrap=True)
    for one in agreements:
        spreads = [one.measures[measure] for measure in _ALIKE]
        cells = [
            "—" if s is None else f"{figure(s.mean, 3)} [{figure(s.quartiles[0], 2)}, {figure(s.quartiles[2], 2)}]"
            for s in spreads
        ]
        table.add_row(f"{one.ranker} and {one.against}", *cells)
    console.print(table)
    typer.echo()


def _print_changes(console: Console, changes: Changes, key: str, unit: str, each: int) -> None:
    from rich.table import Table  # noqa: PLC0415 - heavy

    from training.evaluation import figure  # noqa: PLC0415 - heavy

    title = f"{key}: {unit} that changed most on {changes.metric}, {changes.ranker} − {changes.against}; * is relevant"
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("user" if unit == "users" else "query", overflow="fold", max_width=_QUERY)
    for name in (changes.ranker, changes.against):
        table.add_column(f"first of {name}", overflow="fold")
    for change in (*changes.gains[:each], *changes.losses[:each]):
        sign = "+" if change.difference > 0 else ""
        table.add_row(
            f"{sign}{figure(change.difference)}\n{figure(change.value)} : {figure(change.against)}",
            _who(change),
            *(
                "\n".join(f"{'*' if listed.grade else ' '} {_cut(listed.name)}" for listed in top[:_ITEMS])
                for top in (change.top, change.top_against)
            ),
        )
    console.print(table)
    typer.echo()


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _who(change: Change) -> str:
    lines = [change.id]
    if change.text:
        lines.append(change.text)
    if change.num_positives is not None:
        lines.append(f"{change.num_positives:,} liked in training")
    return "\n".join([*lines, f"{change.num_relevant:,} to be found"])
