"""`irgan compare`: which ranker is better, and whether chance could have made the difference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.kinds import refuse_foreign_options
from training.cli.logged import LoggedFlags, compare_logged, refuse_without_log
from training.cli.options import TextFlags, default_run_dir, needs_training_extra, spread
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
    load_whole,
    prepare_output,
    steps_on_stderr,
)
from training.errors import ConfigError

if TYPE_CHECKING:
    from training.data import Split

_BASELINES = ("ease", "ials", "popularity")
"""With --all, the first of them that the data suit is what all others are compared with."""


@spread
def compare(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Two or more folders NAME/VERSION, or NAME for the latest; of search also NAME:MODE.", show_default=False
        ),
    ] = None,
    *,
    context: typer.Context,
    data: RecordedDataFlags,
    texts: TextFlags,
    logs: LoggedFlags,
    every_ranker: Annotated[
        bool,
        typer.Option("--all", help="Compare every ranker there is on --data; those without a bundle are trained, with --seed."),
    ] = False,
    bundle_root: Annotated[
        Path, typer.Option("--bundles", help="With --all: the folder that has or gets the bundles NAME/VERSION.")
    ] = Path("bundles"),
    device: Annotated[str, typer.Option(help="With --all: auto, cpu or cuda.")] = "auto",
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Compare all others with this bundle: its name, NAME/VERSION or folder.",
            show_default="all pairs; with --all, ease",
        ),
    ] = None,
    metric: Annotated[str, typer.Option(help="What to compare, with commas between.")] = "nDCG@10,AP",
    protocol: ProtocolChoice = "both",
    mode: ModeChoice = None,
    output: Output = None,
    run_depth: RunDepth = None,
    interval: IntervalMethod = "percentile",
    resamples: Resamples = 10_000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare rankers user by user: differences with intervals, paired tests corrected for their number, effect sizes.

    With --logged, say what a policy would have earned in place of the one that wrote a log.
    """
    bundles = bundles or []
    if logs.logged is not None:
        compare_logged(context, logs, data, output=output, seed=seed, as_json=as_json)
        return
    refuse_without_log(context)
    if every_ranker and (bundles or data.data is None):
        raise ConfigError("--all compares every ranker on one data set; give that with --data, and no bundles")
    with needs_training_extra():
        kind = "recommender" if every_ranker or not bundles else kind_of_bundles(bundles)
    refuse_foreign_options(context, kind, "a ranker")
    if not every_ranker and len(bundles) < 2 and (kind != "search" or mode is None):
        raise ConfigError(f"{len(bundles)} bundle to compare; expected at least 2, or --all, or use irgan evaluate")
    metrics = tuple(dict.fromkeys(name.strip() for name in metric.split(",") if name.strip()))
    if not metrics:
        raise ConfigError(f"--metric {metric!r} names nothing to compare; expected for instance nDCG@10,AP")
    with needs_training_extra():
        from training.evaluation import check_metrics, run_study  # noqa: PLC0415 - heavy
        from training.evaluation.entrants import entrant_name, entrants_of, read_bundles  # noqa: PLC0415 - heavy
        from training.registry import ranker as registered  # noqa: PLC0415 - heavy

    if kind != "recommender":
        study_bundles(
            kind,
            bundles,
            data,
            texts,
            mode=mode,
            metrics=metrics,
            baseline=baseline,
            output=output,
            depth=run_depth,
            as_json=as_json,
            seed=seed,
            num_resamples=resamples,
            method=interval,
        )
        return
    check_metrics(metrics)
    if every_ranker:
        if baseline is not None:
            registered(baseline)
        split = load_whole(data)
        prepare_output(output, split, run_depth)  # before minutes of training
        judged = read_bundles(_whole_field(split, bundle_root, seed, device))
        baseline = baseline or next(name for name in _BASELINES if name in judged)
    else:
        judged, split = load_judged(bundles, data)
        prepare_output(output, split, run_depth)
    against = None if baseline is None else entrant_name(judged, baseline)
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


def _whole_field(split: Split, bundles: Path, seed: int, device: str) -> list[Path]:
    from training.jobs.field import whole_field  # noqa: PLC0415 - heavy
    from training.loop import Run, choose_device  # noqa: PLC0415 - heavy

    chosen = choose_device(device)

    def run(ranker: str) -> Run:
        folder = default_run_dir(ranker, split.dataset, split.name, seed)
        return Run(seed=seed, device=chosen, folder=folder, checkpoint_every=10, progress=True)

    return whole_field(split, bundles=bundles, run=run, announce=lambda line: typer.echo(line, err=True))
