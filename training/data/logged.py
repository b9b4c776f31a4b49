"""Logged actions: what was shown at which position with which probability, and what came of it.

Shapes: N rows of a log, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np

from app.bundle import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOptions:
    """How to read a file of logged actions; None leaves it to names and suffixes.

    Attributes:
        item_column: the actions.
        position_column: where an action stood, counted from 1; `none` if there is but one place.
        reward_column: what came of it.
        propensity_column: the probability with which the logging policy acted so.
        time_column: when, or `none`.
        cluster_column: what rows have in common that belong together, such as a user or an answer; `none` if each stands for itself.
        context_columns: what was known before acting.
        key_columns: further columns by whose values a target policy tells rows apart.
        items: a table of the actions and what is known of them.
        item_id_column: the ids in that table.
        form: `csv`, `tsv` or `parquet`.
        separator: one character between fields.
        header: whether the first line names the columns.
        encoding: of text files.
    """

    item_column: str | None = None
    position_column: str | None = None
    reward_column: str | None = None
    propensity_column: str | None = None
    time_column: str | None = None
    cluster_column: str | None = None
    context_columns: tuple[str, ...] = ()
    key_columns: tuple[str, ...] = ()
    items: Path | None = None
    item_id_column: str | None = None
    form: Literal["csv", "tsv", "parquet"] | None = None
    separator: str | None = None
    header: bool = True
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownActions:
    """What a policy showed; all that can be asked of a log whose policy is merely to be imitated.

    Attributes:
        name: for people.
        actions: the ids of the actions.
        action_rows_N: what was shown, int64 [N].
        positions_N: where, int64 [N]; 1 everywhere if there is but one place.
        clusters_N: which rows belong together, int64 [N], from 0.
        cluster: what a cluster is; None where each row is one.
        rewards_N: what came of it, float64 [N]; None if the file does not say.
    """

    name: str
    actions: Vocabulary
    action_rows_N: np.ndarray
    positions_N: np.ndarray
    clusters_N: np.ndarray
    cluster: str | None = None
    rewards_N: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.action_rows_N)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedActions:
    """A log whose policy wrote down the probability of everything that it did.

    Attributes:
        name: for people.
        actions: the ids of the actions.
        action_rows_N: what was shown, int64 [N].
        positions_N: where, int64 [N]; 1 everywhere if there is but one place.
        rewards_N: what came of it, float64 [N].
        propensities_N: the logging policy's probability of this action here, float64 [N], in (0, 1].
        clusters_N: which rows belong together, int64 [N], from 0.
        cluster: what a cluster is; None where each row is one.
        times_N: seconds since 1970, int64 [N], or None.
        context: what was known before acting, name → N numbers or texts.
        keys: by what target policies tell rows apart, name → N texts; all of the context is in it.
        action_features: what is known of the actions, name → A numbers or texts.
    """

    name: str
    actions: Vocabulary
    action_rows_N: np.ndarray
    positions_N: np.ndarray
    rewards_N: np.ndarray
    propensities_N: np.ndarray
    clusters_N: np.ndarray
    cluster: str | None = None
    times_N: np.ndarray | None = None
    context: Mapping[str, np.ndarray] = field(default_factory=dict)
    keys: Mapping[str, np.ndarray] = field(default_factory=dict)
    action_features: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.action_rows_N)

    @property
    def num_clusters(self) -> int:
        """C."""
        return int(self.clusters_N.max()) + 1

    def with_actions(self, ids: Sequence[str]) -> Self:
        """The log with further actions, of which nothing is known but their ids."""
        added = list(dict.fromkeys(action for action in ids if action not in self.actions))
        if not added:
            return self
        unknown = {
            name: np.concatenate([values, np.full(len(added), np.nan if values.dtype.kind == "f" else "")])
            for name, values in self.action_features.items()
        }
        return replace(self, actions=Vocabulary("item", [*self.actions.ids, *added]), action_features=unknown)
