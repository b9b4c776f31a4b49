"""What `irgan evaluate` and `irgan compare` share: options, the data to judge bundles on, tables and files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from training.cli.differences import print_differences
from training.cli.options import FileFlags, SplitName, load_data
from training.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from app.bundle import Bundle, SplitInfo
    from training.data import Dataset, Split
    from training.evaluation import Interval, Protocol, Study

_SPLIT = "Split"

SHOWN = ("P@5", "P@10", "R@10", "nDCG@10", "AP", "RR")

ProtocolChoice = Annotated[
    Literal["paper", "standard", "both"],
    typer.Option(help="Candidates are all items but the user's training positives (paper), or but all rated (standard)."),
]
ModeChoice = Annotated[
    str | None,
    typer.Option(
        help="Of search: lexical, dense or hybrid, several with commas between, or all.", show_default="as each bundle says"
    ),
]
Output = Annotated[
    Path | None, typer.Option(help="A folder for results.json, TREC runs and qrels, and report.html.", show_default=False)
]
RunDepth = Annotated[int | None, typer.Option(min=1, help="Items of each user in the runs; all by default.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the resamples.")]
Resamples = Annotated[int, typer.Option(min=100, help="Of the bootstrap and of the randomisation test.")]
IntervalMethod = Annotated[Literal["percentile", "bca"], typer.Option(help="How intervals are read off the bootstrap.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, and nothing else.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDataFlags(FileFlags):
    """Which data and how to cut them; what is not given is as the bundles record it."""

    data: Annotated[
        str | None, typer.Option(help="A data set's name or a file; wanted where the rankers learned from a file of yours.")
    ] = None
    split: Annotated[SplitName | None, typer.Option(help="How test events were set apart.", rich_help_panel=_SPLIT)] = None
    test_fraction: Annotated[
        float | None, typer.Option(help="The share of test events of the splits random and time.", rich_help_panel=_SPLIT)
    ] = None
    folds: Annotated[int | None, typer.Option(help="Parts of the split kfold.", rich_help_panel=_SPLIT)] = None
    fold: Annotated[int | None, typer.Option(help="Which part of kfold is the test, from 0.", rich_help_panel=_SPLIT)] = None
    split_seed: Annotated[int | None, typer.Option(help="Of the splits random and kfold.", rich_help_panel=_SPLIT)] = None


def load_judged(paths: Sequence[Path], flags: RecordedDataFlags) -> tuple[dict[str, Bundle], Split]:
    """Bundles by their names, and the split that they were trained on.

    Raises:
        BundleError: a bundle cannot be read.
        DataError: they learned from other events than the split's training part, or the data cannot be used.
        ConfigError: impossible settings, or a bundle given twice.
    """
    from training.evaluation.entrants import (  # noqa: PLC0415 - heavy
        check_trained_on,
        common_data,
        common_threshold,
        read_bundles,
    )

    bundles = read_bundles(paths)
    recorded = common_data(bundles)
    if flags.positive_threshold is None:
        flags = replace(flags, positive_threshold=common_threshold(bundles))
    split = _cut(_load(recorded.name, flags), recorded.split, flags)
    check_trained_on(bundles, split)
    return bundles, split


def load_whole(flags: RecordedDataFlags) -> Split:
    """The data that were asked for by name, cut as they usually are where nothing else is said.

    Raises:
        DataError, ConfigError: the data cannot be used, or not be cut so.
    """
    from app.bundle import SplitInfo  # noqa: PLC0415 - heavy
    from training.data import default_split  # noqa: PLC0415 - heavy

    assert flags.data is not None
    dataset = load_data(flags.data, flags)
    return _cut(dataset, SplitInfo(name=default_split(dataset)), flags)


def _load(recorded: str, flags: RecordedDataFlags) -> Dataset:
    from training.data import SOURCES  # noqa: PLC0415 - heavy

    if flags.data is None and recorded not in SOURCES:
        raise DataError(f"the rankers learned from {recorded!r}, which is no named data set; give its file with --data FILE")
    return load_data(flags.data or recorded, flags)


def _cut(dataset: Dataset, recorded: SplitInfo, flags: RecordedDataFlags) -> Split:
    from training.data import SPLITS, make_split  # noqa: PLC0415 - heavy

    name = flags.split or recorded.name
    if name not in SPLITS:
        raise DataError(
            f"the rankers record the split {name!r}, which sets no test events apart that could be found again; "
            f"expected one of {', '.join(SPLITS)}"
        )
    return make_split(dataset, name, **split_parameters(recorded, flags, name))


def split_parameters(recorded: SplitInfo, flags: RecordedDataFlags, name: str) -> dict[str, Any]:
    """Those that were given, and the recorded ones beside them where the split is the recorded one.

    Raises:
        DataError: what is recorded makes no sense.
    """
    known = recorded.parameters if name == recorded.name else {}
    given = {"seed": flags.split_seed, "folds": flags.folds, "fold": flags.fold, "fraction": flags.test_fraction}
    parameters = {key: known[key] for key in given if key in known}
    parameters |= {key: value for key, value in given.items() if value is not None}
    wrong = [key for key, value in parameters.items() if not isinstance(value, int if key != "fraction" else int | float)]
    if wrong:
        raise DataError(f"the rankers record impossible parameters of the split {name}: {parameters}; expected numbers")
    return parameters


def prepare_output(output: Path | None, split: Split, depth: int | None) -> None:
    """Find out before any work whether files can be written.

    Raises:
        ConfigError: no folder, or runs that would be too long.
        OSError: the folder cannot be made.
    """
    from training.evaluation import check_depth  # noqa: PLC0415 - heavy

    if output is not None:
        refuse_file(output)
        check_depth(split, depth)
        output.mkdir(parents=True, exist_ok=True)


def refuse_file(output: Path) -> None:
    """Raises ConfigError where no folder can be made."""
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output} is a file; expected a folder, or a name that is free")


def results_file(found: dict[str, Any]) -> bytes:
    """The content of results.json."""
    return (json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def wide_console() -> Console:
    """Standard output for tables: as wide as the terminal, and wide enough where it is none."""
    from rich.console import Console  # noqa: PLC0415 - heavy

    plain = Console(file=sys.stdout, markup=False, highlight=False)
    return plain if plain.is_terminal else Console(file=sys.stdout, markup=False, highlight=False, width=160)


def figure_table(
    title: str,
    metrics: Sequence[str],
    rows: Iterable[tuple[str, Mapping[str, float], Mapping[str, Interval]]],
) -> Table:
    """A row for each ranker: its name, means and their intervals."""
    from rich.table import Table  # noqa: PLC0415 - heavy

    from training.evaluation import figure  # noqa: PLC0415 - heavy

    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("ranker", overflow="fold")
    for metric in metrics:
        table.add_column(metric, justify="right", no_wrap=True)
    for name, means, intervals in rows:
        cells = (
            f"{figure(means[metric])}\n[{figure(intervals[metric].low, 3)}, {figure(intervals[metric].high, 3)}]"
            for metric in metrics
        )
        table.add_row(name, *cells)
    return table


def chosen_protocols(choice: Literal["paper", "standard", "both"]) -> tuple[Protocol, ...]:
    """What `--protocol` stands for."""
    return ("paper", "standard") if choice == "both" else (choice,)


@contextmanager
def steps_on_stderr() -> Iterator[Callable[[str], None]]:
    """Tell what is being computed, where somebody is looking."""
    from rich.console import Console  # noqa: PLC0415 - heavy

    with Console(stderr=True).status("starting") as status:
        yield status.update


def print_study(study: Study) -> None:
    """Tables of means with intervals, a sentence for each comparison, and how the lists differ."""
    console = wide_console()
    metrics = tuple(dict.fromkeys(SHOWN + study.metrics))
    for protocol in study.protocols:
        title = f"{study.split.dataset}, split {study.split.name}, protocol {protocol}, {study.num_users} users"
        found, intervals = study.evaluations[protocol], study.intervals[protocol]
        rows = ((entrant.name, found[entrant.name].means, intervals[entrant.name]) for entrant in study.entrants)
        console.print(figure_table(title, metrics, rows))
        _print_errors(study, protocol)
        for comparison in study.comparisons[protocol]:
            typer.echo(f"{protocol}: {comparison.sentence}")
        if study.comparisons[protocol]:
            typer.echo()
        print_differences(console, study.agreements[protocol], study.changes[protocol], key=protocol, unit="users")


def _print_errors(study: Study, protocol: Protocol) -> None:
    """A line for each ranker that predicts ratings."""
    for entrant in study.entrants:
        overall = study.evaluations[protocol][entrant.name].overall
        if "RMSE" in overall:
            num_ratings = len(study.split.test)
            typer.echo(
                f"{entrant.name} predicts {num_ratings:,} test ratings with RMSE {overall['RMSE']:.4f}, MAE {overall['MAE']:.4f}"
            )


def write_study(study: Study, output: Path, depth: int | None) -> list[Path]:
    """Write results.json, qrels.txt, a run of each ranker under each protocol and report.html; each file whole or not at all.

    Returns:
        The files.

    Raises:
        OSError: a file cannot be written.
    """
    from app.bundle import write_file  # noqa: PLC0415 - heavy
    from training.evaluation import write_qrels, write_run  # noqa: PLC0415 - heavy
    from training.evaluation.report import render_report  # noqa: PLC0415 - heavy

    written = [output / "results.json", output / "report.html", output / "qrels.txt"]
    write_file(written[0], results_file(study.as_json()))
    write_file(written[1], render_report(study).encode())
    write_qrels(written[2], study.split)
    for entrant in study.entrants:
        for protocol in study.protocols:
            path = output / f"{entrant.name}.{protocol}.run"
            write_run(path, entrant.model, study.split, protocol=protocol, tag=entrant.name, depth=depth)
            written.append(path)
    return written


def print_json(found: dict[str, Any]) -> None:
    """One object on standard output."""
    typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))


def give_out(study: Study, *, output: Path | None, depth: int | None, as_json: bool) -> None:
    """Files where they were asked for, then the tables or the JSON object."""
    written = [] if output is None else write_study(study, output, depth)
    if as_json:
        print_json(study.as_json())
        return
    print_study(study)
    for path in written:
        typer.echo(f"wrote {path}")
