"""Reading logged actions from files and by name, checked.

Shapes: N rows of a log, A actions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from app.bundle import Vocabulary
from training.data.assemble import rows_of, sorted_vocabulary
from training.data.catalogue import SOURCES, check_kind, names_of
from training.data.columns import NO_COLUMN, USUAL_NAMES, choose_column, read_ids, read_times
from training.data.items import read_items, typed_column, with_unknown_items
from training.data.load import fetched
from training.data.logged import LoggedActions, LoggedOptions, ShownActions
from training.data.tables import Table, TableFile, open_table
from training.errors import DataError

logger = logging.getLogger(__name__)

_NAMES = {
    "item": ("action", "action_id", *USUAL_NAMES["item"]),
    "position": ("position", "rank", "slot"),
    "reward": ("reward", "click", "clicked", "clicks"),
    "propensity": ("propensity", "propensity_score", "pscore", "action_prob"),
    "time": USUAL_NAMES["time"],
    "cluster": (
        *(name for name in USUAL_NAMES["user"] if not name.startswith("session")),
        "session_id",
        "sessionid",
        "request_id",
        "impression_id",
        "answer_id",
    ),
}
"""Names that are recognised without an option, the likeliest first."""


_OPEN_BANDIT = LoggedOptions(
    item_column="item_id",
    position_column="position",
    reward_column="click",
    propensity_column="propensity_score",
    time_column="timestamp",
    cluster_column="timestamp",  # to the microsecond: rows of the same moment are places of one answer
    # 502 of the 800,000 user-item affinities are not zero: they are left out.
    context_columns=tuple(f"user_feature_{number}" for number in range(4)),
    item_id_column="item_id",
)


def load_logged(
    spec: str, options: LoggedOptions | None = None, *, announce: Callable[[str], None] = logger.info
) -> LoggedActions:
    """The logged actions of this name, fetched if need be, or those in this file.

    Args:
        spec: a name of the catalogue, or the path of a CSV, TSV or Parquet file.
        options: how to read a file; of a named log only `key_columns` can be chosen.
        announce: told what is being downloaded, and its terms of use.

    Raises:
        DataError: neither a name nor a file, or a log that cannot be used; one message with file, lines and count.
    """
    path, name, options = _where(spec, options or LoggedOptions(), announce)
    file = _open(path, options)
    roles = _Roles.choose(file, options, required=("item", "reward", "propensity"))
    table = file.read(roles.columns)
    assert roles.reward is not None
    assert roles.propensity is not None
    ids, positions_N, clusters_N = _read_shown(table, roles)
    actions, action_features = _read_actions(path, ids, options)
    context = {column: _as_feature(typed_column(table, column)) for column in options.context_columns}
    return LoggedActions(
        name=name,
        actions=actions,
        action_rows_N=rows_of(actions, ids),
        positions_N=positions_N,
        rewards_N=_read_rewards(table, roles.reward),
        propensities_N=read_probabilities(table, roles.propensity, "propensity", least=0.0),
        clusters_N=clusters_N,
        cluster=roles.cluster,
        times_N=None if roles.time is None else read_times(table, roles.time),
        context=context,
        keys={column: as_keys(table, column) for column in (*options.context_columns, *options.key_columns)},
        action_features=action_features,
    )


def load_shown(
    spec: str, options: LoggedOptions | None = None, *, announce: Callable[[str], None] = logger.info
) -> ShownActions:
    """What a policy showed, from a log of this name or in this file; see `load_logged`, but propensities are no matter.

    Raises:
        DataError: neither a name nor a file, or a log that cannot be used.
    """
    path, name, options = _where(spec, options or LoggedOptions(), announce)
    file = _open(path, options)
    # What a log has to have, a target need not.
    absent: dict[str, Any] = {
        f"{role}_column": NO_COLUMN
        for role in ("reward", "cluster")
        if getattr(options, f"{role}_column") not in {None, *file.names}
    }
    roles = _Roles.choose(
        file,
        replace(options, propensity_column=NO_COLUMN, time_column=NO_COLUMN, context_columns=(), key_columns=(), **absent),
    )
    table = file.read(roles.columns)
    ids, positions_N, clusters_N = _read_shown(table, roles)
    actions, _ = _read_actions(path, ids, replace(options, items=None))
    return ShownActions(
        name=name,
        actions=actions,
        action_rows_N=rows_of(actions, ids),
        positions_N=positions_N,
        clusters_N=clusters_N,
        cluster=roles.cluster,
        rewards_N=None if roles.reward is None else _read_rewards(table, roles.reward),
    )


def _where(spec: str, options: LoggedOptions, announce: Callable[[str], None]) -> tuple[Path, str, LoggedOptions]:
    """The file that is meant, what to call it, and how to read it."""
    if spec in SOURCES:
        check_kind(SOURCES[spec], "logged")
        default = LoggedOptions(key_columns=options.key_columns)
        given = [entry.name for entry in fields(options) if getattr(options, entry.name) != getattr(default, entry.name)]
        if given:
            raise DataError(
                f"{', '.join('--' + name.replace('_', '-') for name in given)}: only for files; {spec} is a named log with a layout of its own"
            )
        folder = fetched(SOURCES[spec], announce)
        own = replace(_OPEN_BANDIT, key_columns=options.key_columns, items=folder / "item_context.csv")
        return folder / "all.csv", spec, own
    path = Path(spec)
    if not path.exists() and not path.suffix:
        raise DataError(f"no log and no file {spec!r}; there are {', '.join(names_of('logged'))}, or give the path of a file")
    return path, path.stem, options


def _open(path: Path, options: LoggedOptions) -> TableFile:
    return open_table(path, form=options.form, separator=options.separator, header=options.header, encoding=options.encoding)


@dataclass(frozen=True, slots=True)
class _Roles:
    """Which column plays which role."""

    item: str
    position: str | None
    reward: str | None
    propensity: str | None
    time: str | None
    cluster: str | None
    others: tuple[str, ...]

    @classmethod
    def choose(cls, file: TableFile, options: LoggedOptions, *, required: Sequence[str] = ("item",)) -> Self:
        found: dict[str, str | None] = {}
        for role, names in _NAMES.items():
            given = getattr(options, f"{role}_column")
            if given == NO_COLUMN and role not in required:
                found[role] = None
            else:
                found[role] = choose_column(file, role, given, required=role in required, names=names)
        others = tuple(dict.fromkeys((*options.context_columns, *options.key_columns)))
        missing = [column for column in others if column not in file.names]
        if missing:
            raise DataError(
                f"{file.path}: {file.head} has no column {missing[0]!r} to tell rows apart by; it has "
                f"{', '.join(map(repr, file.names[:20]))}; correct --context-columns or --user-column, or the target's table"
            )
        outcome = {column for column in (found["reward"], found["propensity"], found["item"]) if column is not None}
        if leaking := [column for column in options.context_columns if column in outcome]:
            raise DataError(f"{file.path}: the column {leaking[0]!r} was not known before acting and can be no context")
        twice = [column for column in outcome if [*found.values()].count(column) > 1]
        if twice:
            taken = " and ".join(role for role, column in found.items() if column == twice[0])
            raise DataError(
                f"{file.path}: the column {twice[0]!r} cannot be {taken}; name others with --{taken.split()[0]}-column …"
            )
        item = found.pop("item")
        assert item is not None
        return cls(item=item, others=others, **found)

    @property
    def columns(self) -> list[str]:
        roles = (self.item, self.position, self.reward, self.propensity, self.time, self.cluster)
        return list(dict.fromkeys([*(column for column in roles if column is not None), *self.others]))


def _read_shown(table: Table, roles: _Roles) -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """Ids of actions, positions and clusters."""
    ids = read_ids(table, roles.item, "item")
    positions_N = np.ones(len(ids), dtype=np.int64) if roles.position is None else read_positions(table, roles.position)
    clusters_N = np.arange(len(ids)) if roles.cluster is None else pd.factorize(read_ids(table, roles.cluster, "cluster"))[0]
    return ids, positions_N, clusters_N.astype(np.int64)


def _read_actions(path: Path, ids: pd.Series, options: LoggedOptions) -> tuple[Vocabulary, dict[str, np.ndarray]]:
    """All actions: those of their table where there is one, and those that were shown."""
    if options.items is None:
        return sorted_vocabulary("item", ids), {}
    actions, item_table = read_items(open_table(options.items, encoding=options.encoding), id_column=options.item_id_column)
    unknown = ~ids.isin(actions.ids).to_numpy()
    if unknown.all():
        raise DataError(
            f"{options.items}: none of its {len(actions):,} ids is an action of {path} (there {ids.iloc[0]!r}, here "
            f"{actions.id(0)!r}); is another column meant? give --item-id-column"
        )
    actions, item_table = with_unknown_items(actions, item_table, ids)
    known = [column for column in item_table.columns if column and column != "title"]
    return actions, {column: _as_feature(item_table[column]) for column in known}


def _as_feature(values: pd.Series) -> np.ndarray:
    """Numbers as float64, anything else as texts."""
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return values.map(str, na_action="ignore").fillna("").to_numpy(dtype="U")


def as_keys(table: Table, column: str) -> np.ndarray:
    """A column as texts that can be compared between files: whole numbers in decimal whatever their type, nothing as nothing."""
    values = table.frame[column]
    missing_N = (values.isna() | (values.astype("str").str.strip() == "")).to_numpy()
    keys_N = np.full(len(values), "", dtype=object)
    if not missing_N.all():
        keys_N[~missing_N] = read_ids(replace(table, frame=table.frame[~missing_N]), column, "value")
    return keys_N.astype("U")


def read_positions(table: Table, column: str) -> np.ndarray:
    """A column of positions, int64 [N].

    Raises:
        DataError: values that are no whole numbers.
    """
    numbers_N = _numbers(table.frame[column])
    bad_N = ~(np.isfinite(numbers_N) & (numbers_N == np.floor(numbers_N)) & (np.abs(numbers_N) < 2**31))
    if bad_N.any():
        remedy = "expected a whole number in every line; correct these lines, or give --position-column none"
        raise table.complaint(bad_N, f"no usable position (column {column!r})", remedy, values=table.frame[column])
    return numbers_N.astype(np.int64)


def read_probabilities(table: Table, column: str, what: str, *, least: float) -> np.ndarray:
    """A column of probabilities, float64 [N]: above `least`, or from it on if that is below zero, up to 1.

    Raises:
        DataError: values that are none.
    """
    numbers_N = _numbers(table.frame[column])
    with np.errstate(invalid="ignore"):
        bad_N = ~((numbers_N > least) & (numbers_N <= 1.0))
    if bad_N.any():
        span = "above 0 and up to 1" if least >= 0 else "from 0 to 1"
        remedy = f"expected a probability {span} in every line; correct or remove these lines"
        raise table.complaint(bad_N, f"no usable {what} (column {column!r})", remedy, values=table.frame[column])
    return numbers_N


def _read_rewards(table: Table, column: str) -> np.ndarray:
    numbers_N = _numbers(table.frame[column])
    bad_N = ~np.isfinite(numbers_N)
    if bad_N.any():
        remedy = "expected a finite number such as 0, 1 or 3.5 in every line; correct or remove these lines"
        raise table.complaint(bad_N, f"no usable reward (column {column!r})", remedy, values=table.frame[column])
    return numbers_N


def _numbers(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_bool_dtype(values):
        values = values.astype("Float64")
    return pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
