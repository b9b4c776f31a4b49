"""`irgan rankers`: all rankers, or one's hyper-parameters."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


def rankers(
    name: Annotated[str | None, typer.Argument(help="Show this one's hyper-parameters.", show_default=False)] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List the rankers with their papers and what they answer; with a name, its settings and their defaults."""
    from training.cli.options import needs_training_extra  # noqa: PLC0415 - heavy
    from training.registry import RANKERS, ranker  # noqa: PLC0415 - heavy

    if name is None:
        table = [
            {
                "name": spec.name,
                "paper": spec.paper,
                "queries": list(spec.queries),
                "needs": spec.needs,
                "figures": spec.figures,
            }
            for spec in RANKERS.values()
        ]
        if as_json:
            typer.echo(json.dumps({"rankers": table}, ensure_ascii=False))
            return
        for row in table:
            typer.echo(
                f"{row['name']:<14} {row['paper']}\n{'':<14} learns from {row['needs']}; answers {', '.join(row['queries'])}"
            )
            if row["figures"]:
                typer.echo(f"{'':<14} {row['figures']}")
        typer.echo("\nirgan rankers NAME shows the settings of one.")
        return
    with needs_training_extra():
        fields = ranker(name).config().model_fields
    settings: list[dict[str, Any]] = [
        {"setting": key, "default": field.default, "meaning": " ".join((field.description or "").split())}
        for key, field in fields.items()
    ]
    if as_json:
        typer.echo(json.dumps({"ranker": name, "settings": settings}, ensure_ascii=False))
        return
    for row in settings:
        typer.echo(f"{row['setting']} = {row['default']}\n    {row['meaning']}")
    if not settings:
        typer.echo(f"{name} has no settings")
