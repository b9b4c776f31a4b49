"""`irgan train`: a ranker from data to bundle."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.options import DataFlags, default_run_dir, load_split, log_to_stderr, needs_training_extra, spread

if TYPE_CHECKING:
    from training.jobs import Outcome

_RUN = "Run"
_SHOWN = ("P@5", "P@10", "R@10", "nDCG@10", "AP", "RR", "coverage@10")
_ERRORS = ("RMSE", "MAE")
"""Of rankers that predict ratings."""


@spread
def train(
    ranker: Annotated[str, typer.Argument(help="As in irgan rankers.", show_default=False)],
    data: DataFlags,
    *,
    config: Annotated[Path | None, typer.Option(help="A TOML file of hyper-parameters.")] = None,
    assignments: Annotated[list[str] | None, typer.Option("--set", help="One hyper-parameter, key=value; repeat.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.", rich_help_panel=_RUN)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_RUN)] = "auto",
    time_budget: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which training stops at the next epoch.", rich_help_panel=_RUN)
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoints, TensorBoard logs and training.json.",
            rich_help_panel=_RUN,
            show_default="runs/RANKER-DATA-SPLIT-SEED",
        ),
    ] = None,
    checkpoint_every: Annotated[int | None, typer.Option(min=1, help="Epochs between checkpoints.", rich_help_panel=_RUN)] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's checkpoints.", rich_help_panel=_RUN)] = False,
    bundles: Annotated[Path, typer.Option(help="The folder that gets the bundle NAME/VERSION.")] = Path("bundles"),
    name: Annotated[str | None, typer.Option(help="The bundle's NAME.", show_default="the ranker's")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, and nothing else.")] = False,
) -> None:
    """Train a ranker, measure it on the test part and write its bundle; progress goes to stderr, Ctrl-C keeps a checkpoint."""
    with needs_training_extra():
        from training.config import parse_config  # noqa: PLC0415 - heavy
        from training.jobs import train_ranker  # noqa: PLC0415 - heavy
        from training.loop import Run, choose_device  # noqa: PLC0415 - heavy
        from training.registry import ranker as registered  # noqa: PLC0415 - heavy

        spec = registered(ranker)
        parsed = parse_config(spec.config(), file=config, assignments=assignments)
    chosen = choose_device(device)
    split = load_split(data)
    run = Run(
        seed=seed,
        device=chosen,
        time_budget=time_budget,
        folder=run_dir or default_run_dir(ranker, split, seed),
        checkpoint_every=checkpoint_every,
        resume=resume,
        progress=True,
    )
    with log_to_stderr("training"):
        outcome = train_ranker(spec, split, parsed, run, bundles=bundles, name=name)
    if as_json:
        typer.echo(json.dumps(outcome.as_json()))
    else:
        _print(outcome)


def _print(outcome: Outcome) -> None:
    from rich.console import Console  # noqa: PLC0415 - heavy
    from rich.table import Table  # noqa: PLC0415 - heavy

    table = Table(title=f"{outcome.ranker}, seed {outcome.seed}, {outcome.seconds:.1f} s", title_justify="left")
    table.add_column("protocol")
    shown = (*_SHOWN, *(error for error in _ERRORS if any(error in values for values in outcome.metrics.values())))
    for metric in shown:
        table.add_column(metric, justify="right")
    for protocol, values in outcome.metrics.items():
        table.add_row(protocol, *(f"{values[metric]:.4f}" if metric in values else "—" for metric in shown))
    Console(file=sys.stdout).print(table)
    typer.echo(f"bundle: {outcome.bundle}")
    for variant, path in outcome.variants.items():
        typer.echo(f"{variant}: {path}")
