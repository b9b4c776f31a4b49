"""`irgan experiment report`: what came of an experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.experiment import experiment

if TYPE_CHECKING:
    from app.experiments.reports.figures import Comparison, Report

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

    console = Console(highlight=False)
    console.print(f"[{_STYLES.get(found.decision.status, 'bold')}]{escape(found.decision.sentence)}[/]\n", soft_wrap=True)
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{found.name}: {found.kind} on {found.surface}, {found.state}",
        title_justify="left",
        pad_edge=False,  # every column counts: figures and what they are of must not be cut in a terminal of 80
        padding=(0, 1, 0, 0),
    )
    table.add_column("metric", no_wrap=True)
    table.add_column("variant", overflow="fold")
    table.add_column("value", no_wrap=True, justify="right")
    for heading in ("difference", "p", "verdict"):
        table.add_column(heading, no_wrap=heading != "verdict")
    for place, variant in enumerate(found.variants):
        table.add_row("" if place else f"{found.unit}s", variant.name, f"{variant.units:,}")
    for metric in found.metrics:
        compared = {one.variant: one for one in metric.comparisons}
        for place, variant in enumerate(found.variants):
            told = () if variant.name not in compared else _told(compared[variant.name])
            table.add_row("" if place else metric.name, variant.name, _shown(metric.values[variant.name]), *told)
    console.print(table)
    for check in found.checks:
        console.print(f"{_SIGNS[check.state]} {check.name}: {escape(check.text)}", soft_wrap=True)


def _told(one: Comparison) -> tuple[str, str, str]:
    from rich.markup import escape  # noqa: PLC0415 - only here

    from app.experiments.reports.decision import difference  # noqa: PLC0415 - light, but not for the command line's start
    from app.experiments.reports.words import chance  # noqa: PLC0415 - likewise

    verdict = one.guardrail.state if one.guardrail else one.verdict
    return escape(difference(one)), chance(one.p_value if one.p_holm is None else one.p_holm), verdict


def _shown(value: float | None) -> str:
    from app.experiments.reports.words import number  # noqa: PLC0415 - likewise

    return "—" if value is None else number(value)
