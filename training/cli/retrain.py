"""`irgan retrain`: from data to a published release, once or again and again."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.cli.options import log_to_stderr, needs_training_extra
from training.cli.studies import wide_console
from training.errors import ConfigError, Interrupted

if TYPE_CHECKING:
    from training.jobs.retrain import Places, RetrainConfig, RetrainOutcome

_log = logging.getLogger(__name__)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def retrain(
    config: Annotated[Path, typer.Argument(help="A TOML file, see docs/retraining.md.", show_default=False)],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and touch nothing.")] = False,
    every: Annotated[
        str | None,
        typer.Option(help="Run again and again, so much time from start to start: 30m, 24h, 7d. SIGTERM or Ctrl-C ends it."),
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Show the runs that there were, and run nothing.")] = False,
    accept_change: Annotated[
        bool, typer.Option("--accept-change", help="Train this once on data that changed more than \\[validation] allows.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a run on stdout, and nothing else.")] = False,
) -> None:
    """Retrain rankers, compare them with the live release, and publish the best that is not worse.

    Exit codes: 0 published, 10 nothing passed the gate, 11 the data were refused, 12 another retraining is at work, 2 a mistake in CONFIG.
    """
    pause = None if every is None else _pause(every)
    with needs_training_extra():
        from training.jobs.retrain import Places, plan_of, read_retrain_config  # noqa: PLC0415 - heavy

    if pause is not None and not (history or dry_run):
        with log_to_stderr("training"), _sigterm_as_ctrl_c():
            _again_and_again(config, pause, as_json=as_json)
        return
    told = read_retrain_config(config)
    places = Places.of(told, os.environ)
    if history:
        _show_history(told, as_json=as_json)
    elif dry_run:
        plan = plan_of(told, places)
        typer.echo(json.dumps(plan, ensure_ascii=False, indent=None if as_json else 2))
    else:
        with log_to_stderr("training"), _sigterm_as_ctrl_c():
            outcome = _once(told, places, accept_change=accept_change)
        _give_out(outcome, as_json=as_json)
        raise typer.Exit(outcome.exit_code)


def _once(config: RetrainConfig, places: Places, *, accept_change: bool = False) -> RetrainOutcome:
    from training.jobs.retrain import retrain as run  # noqa: PLC0415 - heavy

    return run(config, places, accept_change=accept_change)


def _again_and_again(file: Path, pause: float, *, as_json: bool) -> None:
    """Runs until it is told to stop; one that fails is reported, and the next one happens."""
    from training.jobs.retrain import Places, read_retrain_config  # noqa: PLC0415 - heavy

    while True:
        started = time.monotonic()
        try:
            config = read_retrain_config(file)  # as it is now: mended meanwhile, perhaps
            _give_out(_once(config, Places.of(config, os.environ)), as_json=as_json)
        except Interrupted:
            raise
        except Exception as error:
            expected = isinstance(getattr(error, "exit_code", None), int) or isinstance(error, OSError)
            _log.error("this run failed: %s", error, exc_info=not expected)
        wait = max(0.0, started + pause - time.monotonic())
        _log.info("the next run begins in %.0f s", wait)
        try:
            time.sleep(wait)
        except KeyboardInterrupt:
            _log.info("told to stop")
            return


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """What a scheduler sends to stop a process keeps a checkpoint as Ctrl-C does."""

    def stop(_: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # started in the background by a shell, which has Ctrl-C ignored, but not this
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _pause(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if found is None or float(found[1]) == 0:
        raise ConfigError(f"--every {text}: expected a number and a unit, such as 30m, 24h or 7d")
    return float(found[1]) * _SECONDS[found[2]]


def _give_out(outcome: RetrainOutcome, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(outcome.as_json(), ensure_ascii=False, allow_nan=False))
        return
    _print_figures(outcome.record)
    typer.echo(outcome.sentence)


def _print_figures(record: dict[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415 - heavy

    judged = record.get("judged")
    if judged is None:
        return
    gate = record["config"]["gate"]
    metric, protocol = gate["metric"], gate["protocol"]
    table = Table(title=f"run {record['run']}, {judged['users']:,} users", title_justify="left")
    for heading in ("ranker", metric, "against live", "coverage@10", "novelty@10", "popular", "ms"):
        table.add_column(heading, justify="left" if heading == "ranker" else "right", no_wrap=True)
    rows = (
        dict(judged["candidates"])
        if judged["live"] is None
        else {**judged["candidates"], judged["live"]["release"]: judged["live"]}
    )
    for name, figures in rows.items():
        found = figures["metrics"][protocol]
        compared = judged["comparisons"].get(name)
        shown = "—" if compared is None else "{:+.4f} [{:+.4f}, {:+.4f}]".format(compared["difference"], *compared["interval"])
        values = (found[metric], found["coverage@10"], found["novelty@10"])
        value, coverage, novelty = ("—" if one is None else f"{one:.4f}" for one in values)
        table.add_row(name, value, shown, coverage, novelty, f"{figures['popular']:.1%}", f"{figures['latency_ms']:.2f}")
    wide_console().print(table)


def _show_history(config: RetrainConfig, *, as_json: bool) -> None:
    from training.jobs.retrain import RunsFolder  # noqa: PLC0415 - heavy

    runs = RunsFolder(config.run.folder).runs()
    records = [run.record or {"run": run.name, "decision": "unfinished", "why": ""} for run in runs]
    if as_json:
        typer.echo(json.dumps({"runs": records}, ensure_ascii=False, allow_nan=False))
        return
    for record in records:
        release = record.get("release", {}).get("release", "—")
        typer.echo(
            f"{record['run']}  {record['decision']:<10}  {release}  {record['why'].splitlines()[0] if record['why'] else ''}"
        )
    if not records:
        typer.echo(f"no runs in {config.run.folder}")
