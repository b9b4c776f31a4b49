"""`irgan ablate`: a ranker's open choices, changed one at a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.options import DataFlags, load_split, needs_training_extra, spread

if TYPE_CHECKING:
    from training.data import Split


@spread
def ablate(
    ranker: Annotated[str, typer.Argument(help="irgan or irgan-history.", show_default=False)],
    data: DataFlags,
    *,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 0.")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            help="A Markdown page; the part between its ablation marks is replaced.", show_default="docs/rankers/RANKER.md"
        ),
    ] = None,
    run_dir: Annotated[Path, typer.Option(help="Keeps every result; an interrupted ablation goes on from there.")] = Path(
        "runs/ablate"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Rerun a ranker's whole grid of choices with several seeds and write the tables into its page."""
    with needs_training_extra():
        from training.jobs.ablate import METRICS, markdown, run_ablation  # noqa: PLC0415 - heavy
        from training.jobs.ablations import ablation  # noqa: PLC0415 - heavy
        from training.jobs.pages import replace_part  # noqa: PLC0415 - heavy
        from training.loop import Run, choose_device  # noqa: PLC0415 - heavy
        from training.registry import ranker as registered  # noqa: PLC0415 - heavy

        spec, groups = registered(ranker), ablation(ranker)
    chosen = choose_device(device)
    split = load_split(data)
    tables = run_ablation(
        spec,
        split,
        groups,
        seeds=range(seeds),
        folder=run_dir / ranker,
        run=lambda seed: Run(seed=seed, device=chosen, progress=True),
        announce=lambda line: typer.echo(line, err=True),
    )
    page = output or Path("docs/rankers") / f"{ranker}.md"
    replace_part(page, "ablation", f"{_told(split, seeds)}\n\n{markdown(tables)}")
    if as_json:
        rows = [
            {
                "question": group.question,
                "variant": row.variant.name,
                "settings": row.variant.settings | row.chosen,
                **{metric: row.seed_means(metric).tolist() for metric in METRICS},
            }
            for group, variants in tables
            for row in variants
        ]
        typer.echo(json.dumps({"ranker": ranker, "page": str(page), "rows": rows}))
    else:
        typer.echo(f"the tables stand in {page}")


def _told(split: Split, seeds: int) -> str:
    return (
        f"{split.dataset}, split `{split.name}`, protocol `paper`; {datetime.now(UTC):%Y-%m-%d}; seeds 0 to {seeds - 1}: mean ± standard "
        "deviation over seeds. A difference is from the first row of its table, with a 95 % paired bootstrap interval over users (each "
        "user's mean over seeds). Sweeps were decided on validation data."
    )
