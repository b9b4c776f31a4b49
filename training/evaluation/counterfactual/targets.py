"""Policies to be evaluated: with which probability they would have done what, where.

Shapes: N rows of the log, G groups of rows that a policy treats alike, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.data import LoggedActions, ShownActions
from training.data.assemble import rows_of
from training.data.columns import USUAL_NAMES, choose_column, read_ids
from training.data.logged_files import as_keys, read_positions, read_probabilities
from training.data.tables import Table, TableFile
from training.errors import DataError

PROBABILITY_NAMES = ("probability", "prob", "target_probability")
_ITEM_NAMES = ("action", "action_id", *USUAL_NAMES["item"])
_SLACK = 1e-3
"""By how much the probabilities of a group may miss 1, as tables are rounded; they are scaled to 1."""
_LARGEST = 50_000_000
"""Cells of a policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPolicy:
    """π(a|x) for the rows of one log.

    Attributes:
        name: for people.
        probs_GA: float64 [G, A], each row adds up to one.
        groups_N: the group of each of the log's rows, int64 [N].
    """

    name: str
    probs_GA: np.ndarray
    groups_N: np.ndarray

    def of(self, actions_N: np.ndarray) -> np.ndarray:
        """π(aᵢ|xᵢ) of one action for each row, float64 [N]."""
        found: np.ndarray = self.probs_GA[self.groups_N, actions_N]
        return found


def shown_policy(shown: ShownActions, log: LoggedActions) -> tuple[TargetPolicy, LoggedActions]:
    """The policy that shows what another log shows, as often at each position; what came of it there is not looked at.

    Given the rows of that log its value is what can be expected of them: that the frequencies are a sample adds no error.

    Returns:
        The policy, and the log with the actions that it did not know.

    Raises:
        DataError: the other log has nothing at one of this log's positions.
    """
    log = log.with_actions(shown.actions.ids)
    positions, groups_N = np.unique(log.positions_N, return_inverse=True)
    if lacking := sorted({*positions.tolist()} - {*shown.positions_N.tolist()}):
        has = ", ".join(map(str, np.unique(shown.positions_N)[:20]))
        raise DataError(
            f"{shown.name} shows nothing at position {lacking[0]}, where {log.name} has rows; it has the positions {has}; "
            "give a log of the same positions, or --position-column none for both"
        )
    check_size(len(positions), len(log.actions), shown.name)
    kept_N = np.isin(shown.positions_N, positions)
    cells_N = np.searchsorted(positions, shown.positions_N[kept_N]) * len(log.actions)
    cells_N = cells_N + rows_of(log.actions, pd.Series(shown.actions.ids))[shown.action_rows_N[kept_N]]
    counts_GA = np.bincount(cells_N, minlength=len(positions) * len(log.actions)).reshape(len(positions), -1)
    probs_GA = counts_GA / counts_GA.sum(axis=1, keepdims=True)
    return TargetPolicy(name=shown.name, probs_GA=probs_GA, groups_N=groups_N), log


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """A file of probabilities whose columns are known, before it is matched with a log.

    Attributes:
        name: the file's stem.
        keys: columns that tell rows apart beside the position; the log has to have them, too.
    """

    name: str
    keys: tuple[str, ...]
    _table: Table
    _item: str
    _probability: str
    _position: str | None

    @classmethod
    def read(cls, file: TableFile, *, item_column: str | None = None, position_column: str | None = None) -> PolicyTable:
        """The table in a file: an action, a probability, the position if it matters, and any columns of the log.

        Raises:
            DataError: no such columns.
        """
        item = choose_column(file, "item", item_column if item_column in file.names else None, required=True, names=_ITEM_NAMES)
        probability = choose_column(file, "probability", None, required=True, names=PROBABILITY_NAMES, has_option=False)
        given = position_column if position_column in file.names else None
        position = choose_column(file, "position", given, required=False, names=("position", "rank", "slot"))
        assert item is not None
        assert probability is not None
        keys = tuple(name for name in file.names if name not in {item, probability, position, ""})
        return cls(file.path.stem, keys, file.read([name for name in file.names if name]), item, probability, position)

    def policy(self, log: LoggedActions) -> tuple[TargetPolicy, LoggedActions]:
        """What the table says of the log's rows.

        Returns:
            The policy, and the log with the actions that it did not know.

        Raises:
            DataError: probabilities that are none or do not add up to one, an action twice, or rows of which the table says nothing.
        """
        table, path = self._table, self._table.path
        ids = read_ids(table, self._item, "item")
        probs_T = read_probabilities(table, self._probability, "probability", least=-1e-300)
        here, there = {name: as_keys(table, name) for name in self.keys}, {name: log.keys[name] for name in self.keys}
        if self._position is not None:
            here["position"], there["position"] = read_positions(table, self._position), log.positions_N
        groups_T, groups_N, num_groups = _groups(here, there, len(ids), len(log))
        if (groups_N < 0).any():
            row = int(np.flatnonzero(groups_N < 0)[0])
            what = ", ".join(f"{name} {values[row]!s}" for name, values in there.items())
            raise DataError(
                f"{path} says nothing of {what}, and {np.count_nonzero(groups_N < 0):,} of {len(log):,} rows of {log.name} are of "
                "such a kind; expected probabilities for each"
            )
        log = log.with_actions(ids.unique().tolist())
        check_size(num_groups, len(log.actions), str(path))
        cells_T = groups_T * len(log.actions) + rows_of(log.actions, ids)
        twice_T = pd.Series(cells_T).duplicated().to_numpy()
        if twice_T.any():
            remedy = "expected one line for each action and each kind of row; correct or remove these lines"
            raise table.complaint(twice_T, f"an action that stands there already (column {self._item!r})", remedy, values=ids)
        probs_GA = np.zeros((num_groups, len(log.actions)))
        probs_GA.ravel()[cells_T] = probs_T
        sums_G = probs_GA.sum(axis=1)
        wrong_G = np.abs(sums_G - 1.0) > _SLACK
        if wrong_G.any():
            first_T = groups_T == np.flatnonzero(wrong_G)[0]
            where = f"those of {table.unit} {table.places(np.flatnonzero(first_T)[:1])[0]} and its like"
            raise DataError(
                f"{path}: probabilities of {np.count_nonzero(wrong_G):,} of {num_groups:,} kinds of rows do not add up to 1 "
                f"({where} add up to {sums_G[wrong_G][0]:.4g}); expected what the policy does with each action"
            )
        return TargetPolicy(name=self.name, probs_GA=probs_GA / sums_G[:, None], groups_N=groups_N), log


def _groups(
    here: dict[str, np.ndarray], there: dict[str, np.ndarray], num_here: int, num_there: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Numbers of the distinct kinds of rows in the table and in the log, -1 in the log for those that the table lacks."""
    if not here:
        return np.zeros(num_here, dtype=np.int64), np.zeros(num_there, dtype=np.int64), 1
    kinds = pd.MultiIndex.from_arrays(list(here.values()))
    distinct = kinds.unique()
    wanted = pd.MultiIndex.from_arrays(list(there.values()))
    return distinct.get_indexer(kinds), distinct.get_indexer(wanted), len(distinct)


def check_size(num_groups: int, num_actions: int, what: str) -> None:
    """Raises DataError where a policy has more probabilities than can be held."""
    if num_groups * num_actions > _LARGEST:
        raise DataError(
            f"{what}: {num_groups:,} kinds of rows with {num_actions:,} actions each are more than can be held; expected up to "
            f"{_LARGEST:,} probabilities: tell fewer kinds of rows apart"
        )
