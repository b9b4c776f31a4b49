"""`irgan evaluate`: how good rankers are on the test part of the data that they learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.kinds import refuse_foreign_options
from training.cli.options import TextFlags, needs_training_extra, spread
from training.cli.query_studies import kind_of_bundles, study_bundles
from training.cli.studies import (
    IntervalMethod,
    Json,
    ModeChoice,
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


@spread
def evaluate(
    bundles: Annotated[
        list[Path],
        typer.Argument(help="Folders NAME/VERSION, or NAME for the latest; of search also NAME:MODE.", show_default=False),
    ],
    data: RecordedDataFlags,
    texts: TextFlags,
    *,
    context: typer.Context,
    mode: ModeChoice = None,
    protocol: ProtocolChoice = "both",
    output: Output = None,
    run_depth: RunDepth = None,
    interval: IntervalMethod = "percentile",
    resamples: Resamples = 10_000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure rankers on the test part of the data that they learned from, with intervals over users or queries."""
    with needs_training_extra():
        from training.evaluation import run_study  # noqa: PLC0415 - heavy
        from training.evaluation.entrants import entrants_of  # noqa: PLC0415 - heavy

    with needs_training_extra():
        kind = kind_of_bundles(bundles)
    refuse_foreign_options(context, kind, "a ranker")
    if kind != "recommender":
        study_bundles(
            kind,
            bundles,
            data,
            texts,
            mode=mode,
            metrics=(),
            baseline=None,
            output=output,
            depth=run_depth,
            as_json=as_json,
            seed=seed,
            num_resamples=resamples,
            method=interval,
        )
        return
    judged, split = load_judged(bundles, data)
    prepare_output(output, split, run_depth)
    with steps_on_stderr() as on_step:
        study = run_study(
            entrants_of(judged),
            split,
            protocols=chosen_protocols(protocol),
            seed=seed,
            num_resamples=resamples,
            method=interval,
            on_step=on_step,
        )
    give_out(study, output=output, depth=run_depth, as_json=as_json)
