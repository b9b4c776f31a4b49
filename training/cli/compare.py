"""`irgan compare`: which ranker is better, and whether chance could have made the difference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.options import needs_training_extra, spread
from training.cli.studies import (
    IntervalMethod,
    Json,
    Output,
    ProtocolChoice,
    RecordedDataFlags,
    Resamples,
    RunDepth,
    Seed,
    chosen_protocols,
    give_out,
    load_judged,
    prepare_output,
    steps_on_stderr,
)
from training.errors import ConfigError


@spread
def compare(
    bundles: Annotated[
        list[Path], typer.Argument(help="Two or more folders NAME/VERSION, or NAME for the latest.", show_default=False)
    ],
    data: RecordedDataFlags,
    *,
    baseline: Annotated[
        str | None, typer.Option(help="Compare all others with this bundle: its name, NAME/VERSION or folder.")
    ] = None,
    metric: Annotated[str, typer.Option(help="What to compare, with commas between.")] = "nDCG@10,AP",
    protocol: ProtocolChoice = "both",
    output: Output = None,
    run_depth: RunDepth = None,
    interval: IntervalMethod = "percentile",
    resamples: Resamples = 10_000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare rankers user by user: differences with intervals, paired tests corrected for their number, effect sizes."""
    if len(bundles) < 2:
        raise ConfigError(f"{len(bundles)} bundle to compare; expected at least 2, or use irgan evaluate")
    metrics = tuple(dict.fromkeys(name.strip() for name in metric.split(",") if name.strip()))
    if not metrics:
        raise ConfigError(f"--metric {metric!r} names nothing to compare; expected for instance nDCG@10,AP")
    with needs_training_extra():
        from training.evaluation import run_study  # noqa: PLC0415 - heavy
        from training.evaluation.entrants import entrant_name, entrants_of  # noqa: PLC0415 - heavy

    judged, split = load_judged(bundles, data)
    against = None if baseline is None else entrant_name(judged, baseline)
    prepare_output(output, split, run_depth)
    with steps_on_stderr() as on_step:
        study = run_study(
            entrants_of(judged),
            split,
            protocols=chosen_protocols(protocol),
            metrics=metrics,
            baseline=against,
            seed=seed,
            num_resamples=resamples,
            method=interval,
            on_step=on_step,
        )
    give_out(study, output=output, depth=run_depth, as_json=as_json)
