"""`irgan experiment plan`: how many units a comparison needs, and for how long."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.experiment import experiment
from app.errors import ExtraMissing, SettingsInvalid

if TYPE_CHECKING:
    from app.experiments.statistics import Plan


@experiment.command()
def plan(
    *,
    baseline: Annotated[float, typer.Option(help="The metric's value in the control; for a share of units between 0 and 1.")],
    minimum_effect: Annotated[
        float, typer.Option(help="The smallest difference worth knowing of, as a part of the baseline: 0.02 is 2%.")
    ],
    sd: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of what units have; of a ratio that of (n − R d) / mean(d).",
            show_default="that of a share of units",
        ),
    ] = None,
    level: Annotated[float, typer.Option(help="Of the intervals, over all variants together.")] = 0.95,
    power: Annotated[float, typer.Option(help="The chance to find the minimum effect if it is there.")] = 0.8,
    variants: Annotated[int, typer.Option(help="How many, with the control, of equal size.")] = 2,
    weights: Annotated[str | None, typer.Option(help="Their sizes if they differ, the control first: 8,1,1.")] = None,
    correlation: Annotated[
        float, typer.Option(help="Of what units have with what they had before the experiment, for CUPED.")
    ] = 0.0,
    units_a_day: Annotated[float | None, typer.Option(help="New units a day.")] = None,
    traffic: Annotated[float, typer.Option(help="The part of them that takes part.")] = 1.0,
    looks: Annotated[int, typer.Option(help="How often somebody looks before the end.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how many units it takes to find a difference of a given size, looking once or daily, and how many days that is."""
    try:
        from app.experiments.statistics import plan as make  # noqa: PLC0415 - heavy
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"app", "training"}:
            raise  # a mistake of ours
        raise ExtraMissing(f"a plan needs the package {package}; pip install 'irgan[experiments]'") from error
    found = make(
        baseline=baseline,
        minimum_effect=minimum_effect,
        deviation=sd,
        level=level,
        power=power,
        weights=[1.0] * variants if weights is None else _numbers(weights),
        correlation=correlation,
        units_a_day=units_a_day,
        traffic=traffic,
        looks=looks,
    )
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        _show(found)


def _numbers(weights: str) -> list[float]:
    try:
        return [float(part) for part in weights.split(",")]
    except ValueError:
        raise SettingsInvalid(
            f"the weights are {weights!r}; expected numbers with commas between them, such as 8,1,1"
        ) from None


def _show(found: Plan) -> None:
    from rich.console import Console  # noqa: PLC0415 - takes its time
    from rich.table import Table  # noqa: PLC0415

    console = Console(highlight=False)
    console.print(
        f"To tell {found.baseline:g} from {found.baseline + found.absolute_effect:g} (a difference of {100 * found.minimum_effect:.3g}%) "
        f"with power {found.power:g} at level {found.level:g}:",
        soft_wrap=True,
    )
    rows = [
        ("looking once, at the end", found.units, found.days),
        (f"looking {found.looks} times, at most", found.always_valid_units, found.always_valid_days),
        ("… half of such experiments stop by", found.typical_units, _scaled(found)),
    ]
    table = Table("", box=None, pad_edge=False)
    table.add_column("units", justify="right")
    if found.days is not None:
        table.add_column("days", justify="right")
    for label, units, days in rows:
        table.add_row(label, f"{units:,}", *([] if days is None else [f"{math.ceil(days):,}"]))
    console.print(table)
    console.print(
        "Looking once, units of each variant, the control first: "
        + ", ".join(f"{units:,}" for units in found.units_by_variant),
        soft_wrap=True,
    )
    console.print(
        f"Looking often, intervals are narrowest there: irgan experiment create … --planned-units {found.always_valid_units}",
        soft_wrap=True,
    )


def _scaled(found: Plan) -> float | None:
    return None if found.days is None else found.days * found.typical_units / found.units
