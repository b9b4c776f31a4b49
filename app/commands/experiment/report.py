"""`irgan experiment report`: what came of an experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.experiment import experiment

if TYPE_CHECKING:
    from app.experiments.reports.figures import Report

_STYLES = {"better": "bold green", "worse": "bold green", "unusable": "bold red"}
_SIGNS = {"good": "[green]✓[/]", "warning": "[yellow]![/]", "bad": "[red]✕[/]"}


@experiment.command()
def report(
    name: Annotated[str, typer.Argument(help="The experiment.", show_default=False)],
    *,
    store: Annotated[
        str | None, typer.Option(help="The store's address.", envvar="IRGAN_STORE", show_default="sqlite:///irgan.db")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the page there as well.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say which variant is better, how sure that is, and whether all is well with the experiment."""
    from app.experiments.reports import report_html, report_of  # noqa: PLC0415 - heavy
    from app.settings import read_settings  # noqa: PLC0415 - heavy
    from app.store import Database  # noqa: PLC0415 - heavy

    database = Database(read_settings(store=store).store)
    try:
        found = report_of(database, name)
    finally:
        database.close()
    if output is not None:
        page = report_html(found)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        _show(found)
        if output is not None:
            typer.echo(f"the page is {output}")


def _show(found: Report) -> None:
    from rich import box  # noqa: PLC0415 - only here
    from rich.console import Console  # noqa: PLC0415 - only here
    from rich.markup import escape  # noqa: PLC0415 - only here
    from rich.table import Table  # noqa: PLC0415 - only here

    from app.experiments.reports.decision import difference  # noqa: PLC0415 - light, but not for the command line's start
    from app.experiments.reports.words import chance  # noqa: PLC0415 - likewise

    console = Console(highlight=False)
    console.print(f"[{_STYLES.get(found.decision.status, 'bold')}]{escape(found.decision.sentence)}[/]\n", soft_wrap=True)
    table = Table(
        box=box.SIMPLE_HEAD, title=f"{found.name}: {found.kind} on {found.surface}, {found.state}", title_justify="left"
    )
    table.add_column("metric", no_wrap=True)  # what a figure is of must not be cut, not even in 80 columns
    for variant in found.variants:
        table.add_column(f"{variant.name}\n{variant.units:,} {found.unit}s", justify="right")
    for heading in ("difference", "p", "verdict"):
        table.add_column(heading, no_wrap=heading == "difference")
    for metric in found.metrics:
        values = [_shown(metric.values[variant.name]) for variant in found.variants]
        differences = "\n".join(_named(one.variant, difference(one), len(metric.comparisons)) for one in metric.comparisons)
        chances = "\n".join(chance(one.p_value if one.p_holm is None else one.p_holm) for one in metric.comparisons)
        verdicts = "\n".join(one.guardrail.state if one.guardrail else one.verdict for one in metric.comparisons)
        table.add_row(metric.name, *values, escape(differences), chances, verdicts)
    console.print(table)
    for check in found.checks:
        console.print(f"{_SIGNS[check.state]} {check.name}: {escape(check.text)}", soft_wrap=True)


def _named(variant: str, text: str, num: int) -> str:
    return f"{variant}: {text}" if num > 1 else text


def _shown(value: float | None) -> str:
    from app.experiments.reports.words import number  # noqa: PLC0415 - likewise

    return "—" if value is None else number(value)
