"""Cutting a data set into training and test parts, and training data into fit and validation.

Every cut is a function of the events and a seed alone, and what made it stands in `Split.parameters`.

Shapes: N events, U users.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.data.interactions import Dataset, Interactions, Split
from training.errors import ConfigError, DataError

PAPER_TEST_ROWS = 20_000
"""The paper's test part: MovieLens 100K's own fold 1, which is the head of `u.data`."""
PAPER_DATASET = "movielens-100k"


@dataclass(frozen=True, slots=True)
class _Settings:
    seed: int
    folds: int
    fold: int
    fraction: float


_Cut = Callable[[Dataset, _Settings], tuple[np.ndarray, dict[str, Any]]]
"""A way to cut: is an event in the test part, bool [N], and what to record."""


def make_split(
    dataset: Dataset,
    name: str | None = None,
    *,
    seed: int = 0,
    folds: int = 5,
    fold: int = 0,
    fraction: float = 0.2,
) -> Split:
    """Cut a data set into training and test events.

    Args:
        dataset: what to cut; its events keep their order in both parts.
        name: one of `SPLITS`, or None for the data set's usual one, see `default_split`.
        seed: of `random` and `kfold`; the others have nothing random.
        folds: of `kfold`: into how many parts.
        fold: of `kfold`: which of them is the test, from 0.
        fraction: of `random` and `time`: the share of events in the test part, in (0, 1).

    Raises:
        ConfigError: no such split, or a setting out of its range.
        DataError: the data do not allow this split, or one part would be empty.
    """
    name = name or default_split(dataset)
    if name not in SPLITS:
        raise ConfigError(f"no split {name!r}; there are {', '.join(SPLITS)}")
    if not 0.0 < fraction < 1.0:
        raise ConfigError(f"a test fraction of {fraction} is impossible; expected a number between 0 and 1, both excluded")
    if folds < 2 or not 0 <= fold < folds:
        raise ConfigError(f"fold {fold} of {folds} is impossible; expected at least 2 folds and a fold from 0 to {folds - 1}")
    if seed < 0:
        raise ConfigError(f"seed {seed} is impossible; expected 0 or more")
    is_test_N, parameters = SPLITS[name](dataset, _Settings(seed, folds, fold, fraction))
    for part, size in (("training", np.count_nonzero(~is_test_N)), ("test", np.count_nonzero(is_test_N))):
        if not size:
            raise DataError(
                f"{dataset.name}: the split {name} leaves no event for the {part} part "
                f"({len(dataset.interactions)} events in all); use another of {', '.join(SPLITS)}, or other settings"
            )
    return Split(
        dataset=dataset.name,
        name=name,
        parameters=parameters,
        train=dataset.interactions.where(~is_test_N),
        test=dataset.interactions.where(is_test_N),
        item_table=dataset.item_table,
    )


def default_split(dataset: Dataset) -> str:
    """`paper` for MovieLens 100K, `given` where the data bring their own split, else `random`."""
    if dataset.name == PAPER_DATASET:
        return "paper"
    return "random" if dataset.given_split is None else "given"


def holdout(train: Interactions, *, fraction: float, rng: np.random.Generator) -> tuple[Interactions, Interactions]:
    """Set a random share of each user's events apart for validation; at least one event of each user stays in the first part.

    Args:
        train: events to cut; no test event must be among them.
        fraction: expected share of each user's events in the second part, in (0, 1).
        rng: the only source of randomness.

    Returns:
        The part to fit and the part to validate on, over the same vocabularies, events in their order.

    Raises:
        ConfigError: a fraction out of its range.
        DataError: no user has two events, so nothing can be set apart.
    """
    if not 0.0 < fraction < 1.0:
        raise ConfigError(
            f"a validation fraction of {fraction} is impossible; expected a number between 0 and 1, both excluded"
        )
    held_N = _share_of_each_user(train.user_rows, train.num_users, fraction, rng)
    if not held_N.any():
        raise DataError(
            f"nothing can be held out for validation: {len(train)} events of {train.num_users} users, "
            f"and a share of {fraction} of each user's events came to none; expected more events a user or a larger share"
        )
    return train.where(~held_N), train.where(held_N)


def _share_of_each_user(user_rows: np.ndarray, num_users: int, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """A random `fraction` of each user's events, never all of them, bool [N].

    A user's count is rounded up or down at random so that short histories give their share on average.
    """
    place_N = _random_place(user_rows, num_users, rng)
    lengths_U = np.bincount(user_rows, minlength=num_users)
    counts_U = np.floor(lengths_U * fraction + rng.random(num_users)).astype(np.int64)
    counts_U = np.minimum(counts_U, lengths_U - 1)
    chosen: np.ndarray = place_N < counts_U[user_rows]
    return chosen


def _random_place(user_rows: np.ndarray, num_users: int, rng: np.random.Generator) -> np.ndarray:
    """Each event's position in a random order of its user's events, int64 [N]."""
    order = np.lexsort((rng.random(len(user_rows)), user_rows))
    starts_U = _starts(user_rows, num_users)
    place_N = np.empty(len(user_rows), dtype=np.int64)
    place_N[order] = np.arange(len(user_rows)) - starts_U[user_rows[order]]
    return place_N


def _starts(user_rows: np.ndarray, num_users: int) -> np.ndarray:
    """Where each user's events begin once sorted by user, int64 [U]."""
    lengths_U = np.bincount(user_rows, minlength=num_users)
    starts_U: np.ndarray = np.cumsum(lengths_U) - lengths_U
    return starts_U


def _paper(dataset: Dataset, _settings: _Settings) -> tuple[np.ndarray, dict[str, Any]]:
    if dataset.name != PAPER_DATASET:
        others = ", ".join(name for name in SPLITS if name != "paper" and (name != "given" or dataset.given_split is not None))
        raise DataError(
            f"{dataset.name}: the split paper is the first {PAPER_TEST_ROWS:,} rows of {PAPER_DATASET} and means nothing here; "
            f"use one of {others}"
        )
    return np.arange(len(dataset.interactions)) < PAPER_TEST_ROWS, {"test_rows": PAPER_TEST_ROWS}


def _given(dataset: Dataset, _settings: _Settings) -> tuple[np.ndarray, dict[str, Any]]:
    part_N = dataset.given_split
    if part_N is None:
        others = ", ".join(name for name in SPLITS if name not in {"paper", "given"})
        raise DataError(f"{dataset.name} brings no split of its own; use one of {others}")
    counts = {part: int(np.count_nonzero(part_N == part)) for part in ("train", "valid", "test")}
    # Recipes validate on a share of the training data of their own choice, so the given validation part joins it.
    return part_N == "test", {f"given_{part}": count for part, count in counts.items() if count}


def _kfold(dataset: Dataset, settings: _Settings) -> tuple[np.ndarray, dict[str, Any]]:
    data = dataset.interactions
    place_N = _random_place(data.user_rows, data.num_users, np.random.default_rng(settings.seed))
    # Dealt out like cards, user after user: folds differ by at most one event, in all and within each user, so nobody with two
    # events lies wholly in the test part.
    fold_N = (_starts(data.user_rows, data.num_users)[data.user_rows] + place_N) % settings.folds
    return fold_N == settings.fold, {"folds": settings.folds, "fold": settings.fold, "seed": settings.seed}


def _random(dataset: Dataset, settings: _Settings) -> tuple[np.ndarray, dict[str, Any]]:
    data = dataset.interactions
    rng = np.random.default_rng(settings.seed)
    is_test_N = _share_of_each_user(data.user_rows, data.num_users, settings.fraction, rng)
    return is_test_N, {"fraction": settings.fraction, "seed": settings.seed}


def _time(dataset: Dataset, settings: _Settings) -> tuple[np.ndarray, dict[str, Any]]:
    times_N = _times(dataset, "time")
    num_test = max(1, round(len(times_N) * settings.fraction))
    # Events of the same second stay together, on the test side.
    cutoff = int(np.partition(times_N, len(times_N) - num_test)[len(times_N) - num_test])
    return times_N >= cutoff, {"fraction": settings.fraction, "cutoff": cutoff}


def _leave_last_out(dataset: Dataset, _settings: _Settings) -> tuple[np.ndarray, dict[str, Any]]:
    data = dataset.interactions
    order = np.lexsort((_times(dataset, "leave-last-out"), data.user_rows))  # stable: within a second the later row is the last
    lengths_U = np.bincount(data.user_rows, minlength=data.num_users)
    last_U = (np.cumsum(lengths_U) - 1)[lengths_U >= 2]
    is_test_N = np.zeros(len(data), dtype=bool)
    is_test_N[order[last_U]] = True
    return is_test_N, {}


def _times(dataset: Dataset, split: str) -> np.ndarray:
    if dataset.interactions.times is None:
        raise DataError(
            f"{dataset.name} has no times, which the split {split} needs; name their column with --time-column, "
            "or use random or kfold"
        )
    return dataset.interactions.times


SPLITS: dict[str, _Cut] = {
    "paper": _paper,
    "given": _given,
    "random": _random,
    "kfold": _kfold,
    "time": _time,
    "leave-last-out": _leave_last_out,
}
"""All ways to cut, by the name that the command line takes."""
