"""`irgan train`: a ranker from data to bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.cli.kinds import GROUP_NAMES, refuse_foreign_options, saying_what_is_wanted
from training.cli.options import (
    DataFlags,
    TextFlags,
    default_run_dir,
    load_feature_splits,
    load_split,
    load_text_splits,
    log_to_stderr,
    needs_training_extra,
    spread,
)
from training.cli.studies import wide_console

if TYPE_CHECKING:
    from training.jobs import Outcome
    from training.registry import RankerSpec

_RUN = "Run"
_SHOWN = {
    "recommender": ("P@5", "P@10", "R@10", "nDCG@10", "AP", "RR", "coverage@10"),
    "search": ("nDCG@10", "AP", "R@100", "RR", "P@1", "P@5"),
    "rerank": ("nDCG@5", "nDCG@10", "AP", "RR", "P@5", "P@10"),
}
_HEADINGS = {"recommender": ("protocol",), "search": ("mode", "queries"), "rerank": ("queries",)}
_ERRORS = ("RMSE", "MAE")
"""Of rankers that predict ratings."""


@spread
def train(
    ranker: Annotated[str, typer.Argument(help="As in irgan rankers.", show_default=False)],
    data: DataFlags,
    texts: TextFlags,
    *,
    context: typer.Context,
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
        from training.jobs import train_ranker, train_reranker, train_search  # noqa: PLC0415 - heavy
        from training.loop import Run, choose_device  # noqa: PLC0415 - heavy
        from training.registry import ranker as registered  # noqa: PLC0415 - heavy

        spec = registered(ranker)
        refuse_foreign_options(context, spec.kind, ranker, everywhere=("device",))
        parsed = parse_config(spec.config(), file=config, assignments=assignments)
    chosen = choose_device(device)

    job: Callable[..., Outcome]
    with saying_what_is_wanted(spec.kind, ranker, data.data):
        match spec.kind:
            case "recommender":
                split = load_split(data)
                job, where = partial(train_ranker, spec, split), (split.dataset, split.name)
            case "search":
                searched = load_text_splits(data, texts)
                job, where = partial(train_search, spec, searched), (searched[0].collection.name, searched[0].name)
            case "rerank":
                ranked = load_feature_splits(data)
                job, where = partial(train_reranker, spec, ranked), (ranked[0].dataset, ranked[0].name)
    run = Run(
        seed=seed,
        device=chosen,
        time_budget=time_budget,
        folder=run_dir or default_run_dir(ranker, *where, seed),
        checkpoint_every=checkpoint_every,
        resume=resume,
        progress=True,
    )
    with log_to_stderr("training"):
        outcome = job(parsed, run, bundles=bundles, name=name)
    if as_json:
        typer.echo(json.dumps(outcome.as_json()))
    else:
        _print(spec, outcome)


def _print(spec: RankerSpec, outcome: Outcome) -> None:
    from rich.table import Table  # noqa: PLC0415 - heavy

    rows = list(_rows(spec.kind, outcome.metrics))
    if rows:
        table = Table(title=f"{outcome.ranker}, seed {outcome.seed}, {outcome.seconds:.1f} s", title_justify="left")
        for heading in _HEADINGS[spec.kind]:
            table.add_column(heading, no_wrap=True)
        shown = (*_SHOWN[spec.kind], *(error for error in _ERRORS if any(error in values for _, values in rows)))
        for metric in shown:
            table.add_column(metric, justify="right", no_wrap=True)
        for labels, values in rows:
            table.add_row(*labels, *(f"{values[metric]:.4f}" if metric in values else "—" for metric in shown))
        wide_console().print(table)
    else:
        typer.echo(f"{outcome.ranker}, seed {outcome.seed}, {outcome.seconds:.1f} s; there is no test part to measure it on")
    typer.echo(f"bundle: {outcome.bundle}")
    for variant, path in outcome.variants.items():
        typer.echo(f"{variant}: {path}")


def _rows(kind: str, metrics: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, float]]]:
    """What the table has: labels, and the value of each metric."""
    if kind == "recommender":
        yield from (((protocol,), values) for protocol, values in metrics.items())
    elif kind == "search" and metrics:
        modes = metrics["modes"] if len(metrics["modes"]) == 1 else {"as served": metrics, **metrics["modes"]}
        for mode, figures in modes.items():
            yield from (((mode, name), figures[group]) for group, name in GROUP_NAMES.items() if group in figures)
    elif metrics:
        yield ("all",), metrics["test"]
        yield from (((f"fold {number}",), values) for number, values in enumerate(metrics.get("folds", ())))
