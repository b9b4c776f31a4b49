"""A ranker as a target policy: at place j it shows what it ranks j-th.

Shapes: N rows of the log, G pairs of a user and a place, U users of the log, A actions, I items of the bundle.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from app.bundle import Bundle
from training.data import LoggedActions
from training.data.assemble import rows_of
from training.errors import DataError
from training.evaluation.counterfactual.targets import TargetPolicy, check_size

_CELLS = 4_000_000
"""Scores held at once."""


def ranked_policy(bundle: Bundle, log: LoggedActions, user_column: str) -> TargetPolicy:
    """The policy that ranks the log's actions for each row's user, as the service would if they were all there is.

    What a user had in the ranker's training comes last; people whom the ranker does not know get the most popular first; actions that it
    does not know are never shown.

    Args:
        bundle: a ranker of items for people.
        log: has users among its keys.
        user_column: which key they are.

    Raises:
        DataError: no action of the log is an item of the bundle, or there are more places than those.
    """
    name = bundle.manifest.name
    item_rows_A = rows_of(bundle.items, pd.Series(log.actions.ids, dtype="str"))
    is_known_A = item_rows_A >= 0
    num_known = int(is_known_A.sum())
    if not num_known:
        raise DataError(
            f"{bundle.path}: none of its {len(bundle.items):,} items is one of the {len(log.actions):,} actions of {log.name} "
            f"(there {bundle.items.id(0)!r}, here {log.actions.id(0)!r}); its catalogue has to be the log's actions"
        )
    lowest, highest = int(log.positions_N.min()), int(log.positions_N.max())
    if lowest < 1 or highest > num_known:
        raise DataError(
            f"{log.name} has rows at place {lowest if lowest < 1 else highest}; expected places from 1 to {num_known:,}, as many as "
            f"{name} knows actions"
        )
    users, user_rows_N = np.unique(log.keys[user_column], return_inverse=True)
    pairs_G, groups_N = np.unique(user_rows_N * (highest + 1) + log.positions_N, return_inverse=True)
    check_size(len(pairs_G), len(log.actions), name)
    known_rows_A = np.flatnonzero(is_known_A)
    order_UP = _best(bundle, users, item_rows_A[is_known_A], highest)
    probs_GA = np.zeros((len(pairs_G), len(log.actions)))
    shown_G = order_UP[pairs_G // (highest + 1), pairs_G % (highest + 1) - 1]
    probs_GA[np.arange(len(pairs_G)), known_rows_A[shown_G]] = 1.0
    return TargetPolicy(name=name, probs_GA=probs_GA, groups_N=groups_N)


def _best(bundle: Bundle, users: np.ndarray, items: np.ndarray, num_places: int) -> np.ndarray:
    """Which of some items each user gets at the first places, int64 [U, places]; equal scores by lower position in `items`."""
    known_U = rows_of(bundle.users, pd.Series(users, dtype="str"))
    found_UP = np.empty((len(users), num_places), dtype=np.int64)
    found_UP[:] = np.argsort(-bundle.popularity_I[items], kind="stable")[:num_places]
    asked = np.flatnonzero(known_U >= 0)
    size = max(1, _CELLS // len(bundle.items))
    for start in range(0, len(asked), size):
        rows = asked[start : start + size]
        histories = bundle.seen.take(known_U[rows])
        scores_BI = bundle.model.scores(histories, known_U[rows])
        had_BI = np.zeros(scores_BI.shape, dtype=bool)
        had_BI[histories.users, histories.items] = True
        order = np.lexsort((-scores_BI[:, items], had_BI[:, items]), axis=1)
        found_UP[rows] = order[:, :num_places]
    return found_UP
