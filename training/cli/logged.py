"""`irgan compare --logged`: what a policy would have earned, from the log of another one."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from training.cli.kinds import given_options
from training.cli.options import FileFlags, log_to_stderr, needs_training_extra, unescaped
from training.cli.studies import print_json, refuse_file, results_file, wide_console
from training.errors import ConfigError

if TYPE_CHECKING:
    from training.data import LoggedActions, LoggedOptions, ShownActions
    from training.evaluation.counterfactual import LoggedStudy, TargetPolicy
    from training.evaluation.counterfactual.intervals import Influence

_LOGGED = "Logged actions"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedFlags:
    """How to read a log and a target policy; see `training.data.LoggedOptions`."""

    logged: Annotated[
        str | None,
        typer.Option(
            help="Instead of bundles: a log of actions with their propensities, by name or as a file; needs --target.",
            rich_help_panel=_LOGGED,
        ),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(
            help="The policy to be evaluated on it: another log, whose frequencies are taken; a table of probabilities; or a ranker's "
            "bundle, for a log with users.",
            rich_help_panel=_LOGGED,
        ),
    ] = None
    reward_column: Annotated[str | None, typer.Option(help="What came of an action.", rich_help_panel=_LOGGED)] = None
    propensity_column: Annotated[
        str | None, typer.Option(help="The probability with which the log's policy acted so.", rich_help_panel=_LOGGED)
    ] = None
    position_column: Annotated[
        str | None, typer.Option(help="Where an action stood, from 1; or none.", rich_help_panel=_LOGGED)
    ] = None
    cluster_column: Annotated[
        str | None,
        typer.Option(
            help="What rows have in common that belong together, a user or an answer; or none.", rich_help_panel=_LOGGED
        ),
    ] = None
    context_columns: Annotated[
        str | None,
        typer.Option(
            help="What was known before acting, with commas between; the reward model learns from it.", rich_help_panel=_LOGGED
        ),
    ] = None
    reward_model: Annotated[
        Literal["linear", "trees"],
        typer.Option(help="Logistic or ridge regression, or LightGBM.", rich_help_panel=_LOGGED),
    ] = "linear"


_APPLY = {
    *(entry.name for entry in fields(LoggedFlags)),
    *("item_column", "user_column", "time_column", "items", "item_id_column", "format", "separator", "header", "encoding"),
    *("output", "seed", "as_json"),
}
"""Options that mean something to logs."""
_OF_FILES = ("reward_column", "propensity_column", "position_column", "cluster_column", "context_columns")


def refuse_without_log(context: typer.Context) -> None:
    """Raises ConfigError where an option of logs was given, and no log."""
    own = {entry.name for entry in fields(LoggedFlags)}
    given = [option for name, option in given_options(context).items() if name in own]
    if given:
        raise ConfigError(f"{', '.join(given)}: only with --logged, which names the log of actions to evaluate a policy on")


def compare_logged(
    context: typer.Context,
    flags: LoggedFlags,
    files: FileFlags,
    *,
    output: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Read log and target, estimate the target's value, and print what was found."""
    foreign = [option for name, option in given_options(context).items() if name not in _APPLY]
    if foreign:
        raise ConfigError(f"{', '.join(foreign)}: nothing to a log of actions (--logged); leave that out")
    if flags.logged is None or flags.target is None:
        raise ConfigError(
            f"--logged {flags.logged} needs a policy to evaluate: give --target, another log or a table of probabilities"
        )
    if output is not None:
        refuse_file(output)
    with needs_training_extra(), log_to_stderr():
        log, target, shown = _read(flags.logged, flags.target, _options(flags, files), files.user_column)
        from training.evaluation.counterfactual import study_logged  # noqa: PLC0415 - heavy

        study = study_logged(log, target, shown=shown, model=flags.reward_model, seed=seed)
    if output is not None:
        from app.bundle import write_file  # noqa: PLC0415 - heavy

        output.mkdir(parents=True, exist_ok=True)
        write_file(output / "results.json", results_file(study.as_json()))
    if as_json:
        print_json(study.as_json())
        return
    _print(study)
    if output is not None:
        typer.echo(f"wrote {output / 'results.json'}")


def _options(flags: LoggedFlags, files: FileFlags) -> LoggedOptions:
    from training.data import LoggedOptions  # noqa: PLC0415 - heavy

    if files.format == "lists":
        raise ConfigError("--format lists: a line for each user holds no log; expected csv, tsv or parquet")
    columns = (flags.context_columns or "").split(",")
    return LoggedOptions(
        item_column=files.item_column,
        position_column=flags.position_column,
        reward_column=flags.reward_column,
        propensity_column=flags.propensity_column,
        time_column=files.time_column,
        cluster_column=flags.cluster_column,
        context_columns=tuple(dict.fromkeys(name.strip() for name in columns if name.strip())),
        items=files.items,
        item_id_column=files.item_id_column,
        form=files.format,
        separator=unescaped(files.separator),
        header=files.header,
        encoding=files.encoding,
    )


def _read(
    logged: str, target: str, options: LoggedOptions, user_column: str | None
) -> tuple[LoggedActions, TargetPolicy, ShownActions | None]:
    """The log, the policy, and the policy's own log if there is one."""
    from training.data import SOURCES, LoggedOptions, load_logged, load_shown  # noqa: PLC0415 - heavy
    from training.evaluation.counterfactual import shown_policy  # noqa: PLC0415 - heavy

    # Options are for files: where one of the two has a name, they are meant for the other.
    of_log = LoggedOptions() if logged in SOURCES and target not in SOURCES else options
    of_target = LoggedOptions() if target in SOURCES and logged not in SOURCES else options
    path = None if target in SOURCES or not Path(target).exists() else Path(target)
    if path is not None and path.is_dir():
        return *_of_bundle(logged, path, of_log, user_column), None
    if user_column is not None:
        raise ConfigError(
            "--user-column: only for a ranker's bundle as --target; --cluster-column says which rows belong together"
        )
    if path is not None and (found := _of_table(logged, path, of_log, of_target)) is not None:
        return *found, None
    log = load_logged(logged, of_log)
    shown = load_shown(target, of_target)
    policy, log = shown_policy(shown, log)
    return log, policy, shown


def _of_table(
    logged: str, path: Path, of_log: LoggedOptions, of_target: LoggedOptions
) -> tuple[LoggedActions, TargetPolicy] | None:
    """The log and a table's policy; None where the file is no table of probabilities."""
    from training.data import load_logged  # noqa: PLC0415 - heavy
    from training.data.tables import open_table  # noqa: PLC0415 - heavy
    from training.evaluation.counterfactual import PolicyTable  # noqa: PLC0415 - heavy
    from training.evaluation.counterfactual.targets import PROBABILITY_NAMES  # noqa: PLC0415 - heavy

    form, separator, header, encoding = of_target.form, of_target.separator, of_target.header, of_target.encoding
    file = open_table(path, form=form, separator=separator, header=header, encoding=encoding)
    if not any(name in PROBABILITY_NAMES for name in file.names):
        return None
    table = PolicyTable.read(file, item_column=of_target.item_column, position_column=of_target.position_column)
    policy, log = table.policy(load_logged(logged, replace(of_log, key_columns=table.keys)))
    return log, policy


def _of_bundle(logged: str, path: Path, options: LoggedOptions, user_column: str | None) -> tuple[LoggedActions, TargetPolicy]:
    """The log and a ranker's policy."""
    from app.bundle import read_recommender  # noqa: PLC0415 - heavy
    from training.data import SOURCES, load_logged  # noqa: PLC0415 - heavy
    from training.evaluation.counterfactual import ranked_policy  # noqa: PLC0415 - heavy
    from training.evaluation.entrants import bundle_folder  # noqa: PLC0415 - heavy

    if logged in SOURCES:
        raise ConfigError(
            f"--target {path}: a ranker ranks for people, and {logged} does not say who they are; give a log with users"
        )
    user = user_column or "user_id"
    log = load_logged(logged, replace(options, key_columns=(user,)))
    return log, ranked_policy(read_recommender(bundle_folder(path)), log, user)


def _print(study: LoggedStudy) -> None:
    """A table of estimates, what they rest on, a sentence and the warnings."""
    from rich.table import Table  # noqa: PLC0415 - heavy

    from training.evaluation.counterfactual import ESTIMATORS  # noqa: PLC0415 - heavy

    table = Table(
        title=f"What {study.target} would have earned a row, from {study.num_rows:,} rows of {study.log}", title_justify="left"
    )
    for name in ("", "value", f"{study.level:.0%} interval", "− logging policy", f"{study.level:.0%} interval"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    table.add_row(f"logging policy, {study.log}", *_cells(study.logging), "", "", end_section=True)
    for name, words in ESTIMATORS.items():
        table.add_row(
            words, *_cells(study.estimates[name]), *_cells(study.difference(name)), end_section=name == [*ESTIMATORS][-1]
        )
    if study.truth is not None:
        table.add_row(f"truth, in {study.target} itself", *_cells(study.truth), "", "")
    wide_console().print(table)
    weights = study.weights
    together = "each row by itself" if study.cluster is None else f"{study.num_clusters:,} clusters by {study.cluster}"
    typer.echo(
        f"effective sample {weights.effective_rows:,.0f} of {study.num_rows:,} rows, {weights.effective_rewards:,.1f} with a reward; "
        f"weights: mean {weights.mean:.3f} ± {weights.mean_error:.3f}, largest {weights.largest:,.1f}; {together}"
    )
    bias = study.estimates["switch-dr"].bias
    typer.echo(
        f"the switch leaves weights above {study.threshold:,.2f} to the reward model ({study.model}), for a bias of about {bias:.5f}"
    )
    typer.echo(study.sentence)
    for warning in study.warnings:
        typer.echo(f"warning: {warning}")


def _cells(found: Influence) -> tuple[str, str]:
    """A value and its interval, with as many decimals as the error is worth."""
    error = found.standard_error
    decimals = 4 if error == 0 else min(8, max(0, 1 - math.floor(math.log10(error))))
    numbers = (found.value, found.interval.low, found.interval.high)
    value, low, high = (f"{number:.{decimals}f}".replace("-", "−") for number in numbers)
    return value, f"[{low}, {high}]"
