"""How much alike the lists of two rankers are: shared items at the top, rank-biased overlap, Kendall's τ.

Shapes: U users (or queries), K the length of the kept lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CUTOFFS = (1, 5, 10, 20, 50, 100)
PERSISTENCE = 0.9
"""p of rank-biased overlap: with .9 the first ten places carry 86 % of the weight (Webber, Moffat and Zobel 2010)."""
DEPTH = 100
"""Places that are looked at; what lies deeper has less than a ten-thousandth of that weight."""
MEASURES = (*(f"overlap@{k}" for k in CUTOFFS), "rbo", "tau")

_CELLS = 8_000_000
"""Pairs of places held at once."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure over users.

    Attributes:
        mean: over those that have a value.
        deviation: standard deviation.
        quartiles: a quarter, half and three quarters of the users have no more.
        num_users: those that have a value.
    """

    mean: float
    deviation: float
    quartiles: tuple[float, float, float]
    num_users: int

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "quartiles": list(self.quartiles),
            "users": self.num_users,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two rankers' lists beside each other.

    Attributes:
        ranker, against: the two; their order does not matter.
        measures: name, one of `MEASURES` → its spread; None where no user has a value.
    """

    ranker: str
    against: str
    measures: Mapping[str, Spread | None]

    def as_json(self) -> dict[str, Any]:
        """JSON values only; see `docs/evaluation.md`."""
        told = {name: None if spread is None else spread.as_json() for name, spread in self.measures.items()}
        return {"ranker": self.ranker, "against": self.against, "rbo_p": PERSISTENCE, **told}


def agreements(
    tops: Mapping[str, np.ndarray], taus: Mapping[tuple[str, str], np.ndarray], *, of: np.ndarray | None = None
) -> list[Agreement]:
    """How much alike the lists of some pairs of rankers are.

    Args:
        tops: ranker → rows of each user's items, best first, int64 [U, K]; −1 where there are no more.
        taus: pair → Kendall's τ of each user's orders, float64 [U].
        of: which users, bool [U]; all by default.
    """
    chosen = slice(None) if of is None else of
    found = []
    for (ranker, against), tau_U in taus.items():
        measured = list_measures(tops[ranker][chosen], tops[against][chosen]) | {"tau": tau_U[chosen]}
        spreads = {name: spread(values_U) for name, values_U in measured.items()}
        found.append(Agreement(ranker=ranker, against=against, measures=spreads))
    return found


def spread(values_U: np.ndarray) -> Spread | None:
    """Over the users that have a value; None where nobody has one."""
    present = values_U[np.isfinite(values_U)]
    if not len(present):
        return None
    low, middle, high = np.quantile(present, [0.25, 0.5, 0.75]).tolist()
    return Spread(float(present.mean()), float(present.std()), (low, middle, high), len(present))


def list_measures(first_UK: np.ndarray, second_UK: np.ndarray) -> dict[str, np.ndarray]:
    """`overlap@k` and `rbo` of each user's two lists, float64 [U] each; NaN where both are empty.

    overlap@k is the number of items that stand in the first k of both, divided by k, or by the longer of the two lists where that is
    shorter.

    Args:
        first_UK: rows of each user's items, best first; −1 where there are no more.
        second_UK: the same of the other ranker.
    """
    first_UK, second_UK = first_UK[:, :DEPTH], second_UK[:, :DEPTH]
    lengths = np.count_nonzero(first_UK >= 0, axis=1), np.count_nonzero(second_UK >= 0, axis=1)
    longer_U, shorter_U = np.maximum(*lengths), np.minimum(*lengths)
    shared_UK = shared_counts(first_UK, second_UK)
    depth = shared_UK.shape[1]
    measures = {}
    for k in CUTOFFS:
        possible_U = np.minimum(k, longer_U)
        shared_U = shared_UK[:, min(k, depth) - 1] if depth else np.zeros(len(longer_U))
        measures[f"overlap@{k}"] = np.divide(shared_U, possible_U, out=np.full(len(possible_U), np.nan), where=possible_U > 0)
    return measures | {"rbo": rank_biased_overlap(shared_UK, shorter_U, longer_U)}


def shared_counts(first_UK: np.ndarray, second_UK: np.ndarray) -> np.ndarray:
    """How many items stand in the first d of both lists, int64 [U, K] for d = 1 … K."""
    depth = max(first_UK.shape[1], second_UK.shape[1])
    added_UK = np.zeros((len(first_UK), depth), dtype=np.int64)
    width = max(1, _CELLS // max(1, depth * depth))
    for start in range(0, len(first_UK), width):
        first_BK, second_BK = (
            first_UK[start : start + width].astype(np.int32),
            second_UK[start : start + width].astype(np.int32),
        )
        same_BKK = (first_BK[:, :, None] == second_BK[:, None, :]) & (first_BK >= 0)[:, :, None]
        users_N, places_N, others_N = np.nonzero(same_BKK)
        np.add.at(added_UK, (start + users_N, np.maximum(places_N, others_N)), 1)
    return np.cumsum(added_UK, axis=1)


def rank_biased_overlap(
    shared_UK: np.ndarray, shorter_U: np.ndarray, longer_U: np.ndarray, persistence: float = PERSISTENCE
) -> np.ndarray:
    """RBO_ext of Webber, Moffat and Zobel 2010, float64 [U]: what is not seen of the lists is taken to go on as what is.

    With X_d items shared by the first d of both, lists of s and l ≥ s items:
    (1 − p)/p · (Σ_{d=1..l} X_d/d · p^d + Σ_{d=s+1..l} X_s (d − s)/(s d) · p^d) + ((X_l − X_s)/l + X_s/s) · p^l.

    Args:
        shared_UK: X_d, for d = 1 … K.
        shorter_U: s; where it is 0 nothing is shared, and the value is 0, or NaN where l is 0 too.
        longer_U: l.
        persistence: p, in (0, 1).
    """
    depths_K = np.arange(1, shared_UK.shape[1] + 1)
    weights_UK = persistence**depths_K * (depths_K <= longer_U[:, None])
    at_shorter_U, at_longer_U = (_at(shared_UK, length_U) for length_U in (shorter_U, longer_U))
    some_U = np.maximum(shorter_U, 1)
    beyond_UK = np.maximum(depths_K - shorter_U[:, None], 0) * (at_shorter_U / some_U)[:, None]
    seen_U = ((shared_UK + beyond_UK) / depths_K * weights_UK).sum(axis=1) * (1.0 - persistence) / persistence
    unseen_U = (at_longer_U - at_shorter_U) / np.maximum(longer_U, 1) + at_shorter_U / some_U
    return np.where(longer_U > 0, seen_U + unseen_U * persistence**longer_U, np.nan)


def _at(shared_UK: np.ndarray, depths_U: np.ndarray) -> np.ndarray:
    """X at a depth of each user, int64 [U]; 0 at depth 0."""
    if not shared_UK.shape[1]:
        return np.zeros(len(shared_UK), dtype=np.int64)
    at_U: np.ndarray = np.where(
        depths_U > 0, np.take_along_axis(shared_UK, np.maximum(depths_U - 1, 0)[:, None], axis=1)[:, 0], 0
    )
    return at_U


def mean_matrix(found: Sequence[Agreement], measure: str, names: Sequence[str]) -> np.ndarray:
    """Means of a measure as a table of rankers by rankers, float64, the same above and below the diagonal; NaN where there is none."""
    places = {name: place for place, name in enumerate(names)}
    matrix = np.full((len(names), len(names)), np.nan)
    for one in found:
        value = one.measures[measure]
        if value is not None:
            row, column = places[one.ranker], places[one.against]
            matrix[row, column] = matrix[column, row] = value.mean
    return matrix
