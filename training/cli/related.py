"""`irgan related`: which documents are related to which, learned from the documents alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.options import FileFlags, TextFlags, load_texts, log_to_stderr, needs_training_extra, plain, spread
from training.cli.studies import Json, figure_table, print_json, wide_console
from training.errors import ConfigError, DataError

if TYPE_CHECKING:
    from training.data import Collection
    from training.jobs.related import Neighbour, RelatedStudy

_RUN = "Run"
_CHECKPOINT_EVERY = 10
_SHOWN_TITLE = 90


@spread
def related(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="vae-gan, vae, lsa, tfidf, bm25.", show_default="all of them"),
    ] = None,
    *,
    data: Annotated[
        str, typer.Option(help="A collection of documents: its name (irgan data list), a folder as BEIR has it, a file.")
    ],
    texts: TextFlags,
    of: Annotated[str | None, typer.Option(help="Print the list of this document, by its id, and measure nothing.")] = None,
    top: Annotated[int, typer.Option(min=1, help="With --of: the length of the list.")] = 10,
    config: Annotated[Path | None, typer.Option(help="A TOML file of hyper-parameters, of vae-gan and vae.")] = None,
    assignments: Annotated[list[str] | None, typer.Option("--set", help="One hyper-parameter, key=value; repeat.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Compare all others with this model.", show_default="all pairs")] = None,
    metric: Annotated[str, typer.Option(help="What to compare, with commas between.")] = "nDCG@10",
    num_seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each model that learns.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the first training; the others follow.", rich_help_panel=_RUN)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_RUN)] = "auto",
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoints, TensorBoard logs and training.json of each training.",
            rich_help_panel=_RUN,
            show_default="runs/related-DATA",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's checkpoints.", rich_help_panel=_RUN)] = False,
    as_json: Json = False,
) -> None:
    """Find each document's related ones, and measure the lists: documents that are relevant to the same query are related."""
    with needs_training_extra():
        from training.config import parse_config  # noqa: PLC0415 - heavy
        from training.jobs.related import check_models, related_to, study_related  # noqa: PLC0415 - heavy
        from training.loop import Run, choose_device  # noqa: PLC0415 - heavy
        from training.recipes.vae_gan.documents import DocumentConfig  # noqa: PLC0415 - heavy

        names = check_models(models or [])
        metrics = _metrics(metric)
        if baseline is not None and baseline not in names:
            raise ConfigError(f"--baseline {baseline} does not take part; expected one of {', '.join(names)}")
        parsed = parse_config(DocumentConfig, file=config, assignments=assignments)
        chosen = choose_device(device)
        collection = load_texts(data, texts, FileFlags())
        row = None if of is None else _row(collection, of)
    folder = run_dir or Path("runs") / f"related-{plain(collection.name)}"

    def run(name: str, seed: int = seed) -> Run:
        return Run(
            seed=seed,
            device=chosen,
            folder=folder / f"{name}-{seed}",
            checkpoint_every=_CHECKPOINT_EVERY,
            resume=resume,
            progress=True,
        )

    with log_to_stderr("training"):
        if row is not None:
            lists = related_to(collection, row, names, parsed, run=run, top=top)
            _tell_lists(collection, row, lists, as_json=as_json)
            return
        study = study_related(
            collection, names, parsed, seeds=range(seed, seed + num_seeds), run=run, metrics=metrics, baseline=baseline
        )
    if as_json:
        print_json(study.as_json())
    else:
        _print(study)


def _metrics(given: str) -> tuple[str, ...]:
    from training.evaluation.query_study import check_query_metrics  # noqa: PLC0415 - heavy
    from training.evaluation.related import RELATED_METRICS  # noqa: PLC0415 - heavy

    metrics = tuple(part.strip() for part in given.split(",") if part.strip())
    check_query_metrics(metrics, RELATED_METRICS)
    return metrics


def _row(collection: Collection, document: str) -> int:
    """Its row.

    Raises:
        DataError: there is no such document.
    """
    row = collection.documents.find(document)
    if row is None:
        raise DataError(f"--of {document}: {collection.name} has no such document; expected the id of one, as in its file")
    return row


def _title(collection: Collection, row: int) -> str:
    """The title, or the beginning of the text."""
    table = collection.item_table
    title = table["title"].iloc[row] if "title" in table else None
    words = title if isinstance(title, str) and title else str(table["text"].iloc[row])
    return words if len(words) <= _SHOWN_TITLE else f"{words[:_SHOWN_TITLE]}…"


def _tell_lists(collection: Collection, row: int, lists: dict[str, list[Neighbour]], *, as_json: bool) -> None:
    """Print a list for each model; what is known to be related is marked with a star."""
    ids = collection.documents.ids
    if as_json:
        told = {
            model: [
                {"id": ids[n.row], "title": _title(collection, n.row), "score": n.score, "related": n.is_related} for n in own
            ]
            for model, own in lists.items()
        }
        print_json({"data": collection.name, "document": ids[row], "lists": told})
        return
    typer.echo(f"{ids[row]}  {_title(collection, row)}")
    for model, own in lists.items():
        typer.echo(f"\n{model}")
        for neighbour in own:
            mark = "*" if neighbour.is_related else " "
            typer.echo(f"{mark} {neighbour.score:8.3f}  {ids[neighbour.row]}  {_title(collection, neighbour.row)}")


def _print(study: RelatedStudy) -> None:
    from training.evaluation.related import RELATED_METRICS  # noqa: PLC0415 - heavy
    from training.evaluation.significance import figure  # noqa: PLC0415 - heavy

    title = (
        f"{study.data}: {study.num_related:,} of {study.num_documents:,} documents have a related one, {study.num_pairs:,} pairs, "
        f"{study.num_terms:,} terms" + (f"; means over {len(study.seeds)} seeds" if len(study.seeds) > 1 else "")
    )
    rows = ((model, study.means(model), study.intervals[model]) for model in study.per_document)
    wide_console().print(figure_table(title, RELATED_METRICS, rows))
    for model, deviations in study.spread.items():
        typer.echo(f"{model} over seeds: " + ", ".join(f"{metric} ± {figure(sd)}" for metric, sd in deviations.items()))
    for comparison in study.comparisons:
        typer.echo(comparison.sentence)
