"""`irgan density`: how likely a model finds binary rows that it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.options import log_to_stderr, needs_training_extra, plain

if TYPE_CHECKING:
    from training.jobs.density import DensityOutcome

_RUN = "Run"
_CHECKPOINT_EVERY = 10
_COMPUTED = {
    "exact": "exact",
    "ais": "log Z by annealed importance sampling, with its 95% interval",
    "bound": "a lower bound by importance weighting, with its 95% interval",
}


def density(
    model: Annotated[str, typer.Argument(help="nade, rbm, vae or avb.", show_default=False)],
    *,
    data: Annotated[str, typer.Option(help="FOLDER/NAME for FOLDER/NAME.train.data, .valid.data and .test.data; or digits.")],
    config: Annotated[Path | None, typer.Option(help="A TOML file of hyper-parameters.")] = None,
    assignments: Annotated[list[str] | None, typer.Option("--set", help="One hyper-parameter, key=value; repeat.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.", rich_help_panel=_RUN)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_RUN)] = "auto",
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoints, TensorBoard logs and training.json.",
            rich_help_panel=_RUN,
            show_default="runs/density-MODEL-DATA-SEED",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's checkpoints.", rich_help_panel=_RUN)] = False,
    picture: Annotated[
        Path | None, typer.Option(help="A PNG of samples, and of what weights look like, for rows that are square images.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, and nothing else.")] = False,
) -> None:
    """Train a model of binary rows, choose by the valid part, and print the test part's mean log-likelihood in nats."""
    with needs_training_extra():
        from training.config import parse_config  # noqa: PLC0415 - heavy
        from training.data.binary import load_binary  # noqa: PLC0415 - heavy
        from training.densities import density_model  # noqa: PLC0415 - heavy
        from training.jobs.density import draw, measure_density, picture_shape  # noqa: PLC0415 - heavy
        from training.loop import Run, choose_device  # noqa: PLC0415 - heavy

        spec = density_model(model)
        parsed = parse_config(spec.config(), file=config, assignments=assignments)
        chosen = choose_device(device)
        rows = load_binary(data)
        shape = None if picture is None else picture_shape(picture, rows)
    run = Run(
        seed=seed,
        device=chosen,
        folder=run_dir or Path("runs") / f"density-{spec.name}-{plain(rows.name)}-{seed}",
        checkpoint_every=_CHECKPOINT_EVERY,
        resume=resume,
        progress=True,
    )
    with log_to_stderr("training"):
        outcome = measure_density(spec, rows, parsed, run)
        if picture is not None and shape is not None:
            draw(outcome.density, shape, picture, run)
    if as_json:
        typer.echo(json.dumps(outcome.as_json()))
    else:
        _print(outcome)


def _print(outcome: DensityOutcome) -> None:
    typer.echo(
        f"{outcome.model} on {outcome.data}, seed {outcome.seed}: {outcome.dimensions:,} dimensions, "
        f"{outcome.rows['train']:,} rows learned from, {outcome.seconds:.1f} s"
    )
    for part, estimate in outcome.log_likelihood.items():
        interval = "" if estimate.kind == "exact" else f" [{estimate.low:.2f}, {estimate.high:.2f}]"
        typer.echo(
            f"{part}: {estimate.value:.2f}{interval} nats a row over {outcome.rows[part]:,} rows ({_COMPUTED[estimate.kind]})"
        )
