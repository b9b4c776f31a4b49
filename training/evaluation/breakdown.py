"""Where a ranker is good: for users who have liked little or much, and how popular what it lists is.

Shapes: U users, I items, G groups, K the length of the lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.evaluation.significance import Interval, Method, mean_intervals, rounded_difference

NUM_ACTIVITY_GROUPS = 4
NUM_POPULARITY_GROUPS = 3
LISTED = 10
"""Items of each list whose popularity counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDifference:
    """One ranker against another on one metric for a group of users; not tested, so the interval alone tells.

    Attributes:
        metric: its name.
        ranker, against: `difference` is the one's mean minus the other's.
        difference: over the group's users.
        interval: of it; None where there is none.
        problem: why there is none.
    """

    metric: str
    ranker: str
    against: str
    difference: float
    interval: Interval | None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "metric": self.metric,
            "ranker": self.ranker,
            "against": self.against,
            "difference": self.difference,
            "interval": None if self.interval is None else [self.interval.low, self.interval.high],
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityGroup:
    """Users who liked about equally many items in training.

    Attributes:
        fewest, most: how many.
        num_users: how many users.
        means: ranker → metric → mean.
        differences: of each pair on each metric.
    """

    fewest: int
    most: int
    num_users: int
    means: Mapping[str, Mapping[str, float]]
    differences: Sequence[GroupDifference]

    @property
    def name(self) -> str:
        """The range of liked items."""
        return f"{self.fewest:,}–{self.most:,}" if self.most > self.fewest else f"{self.fewest:,}"

    def as_json(self) -> dict[str, Any]:
        """JSON values only; see `docs/evaluation.md`."""
        return {
            "positives": [self.fewest, self.most],
            "users": self.num_users,
            "metrics": {ranker: dict(own) for ranker, own in self.means.items()},
            "differences": [difference.as_json() for difference in self.differences],
        }


def activity_groups(
    values: Mapping[str, Mapping[str, np.ndarray]],
    num_positives_U: np.ndarray,
    *,
    metrics: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    seed: int,
    num_resamples: int,
    level: float,
    method: Method,
) -> list[ActivityGroup]:
    """Users in groups of about equal size by how many items they liked in training; fewer groups where many liked equally many.

    Args:
        values: ranker → metric → value of each user, float64 [U].
        num_positives_U: int64.
        metrics: what is looked at.
        pairs: of rankers.
        seed: of the intervals, see `mean_intervals`, as are the next three.
        num_resamples: their number.
        level: theirs.
        method: theirs.
    """
    edges = np.quantile(num_positives_U, np.arange(1, NUM_ACTIVITY_GROUPS) / NUM_ACTIVITY_GROUPS)
    group_U = np.searchsorted(edges, num_positives_U, side="left")
    keys = [(metric, ranker, against) for metric in metrics for ranker, against in pairs]
    found = []
    for group in np.unique(group_U):
        mine = group_U == group
        columns = [rounded_difference(values[a][metric][mine], values[b][metric][mine]) for metric, a, b in keys]
        differences_UM = np.stack(columns, axis=1)
        intervals: Sequence[Interval | None] = [None] * len(keys)
        problem = "of one user nobody knows how far another would be" if len(differences_UM) < 2 else None
        if problem is None:
            intervals = mean_intervals(differences_UM, seed=seed, num_resamples=num_resamples, level=level, method=method)
        found.append(
            ActivityGroup(
                fewest=int(num_positives_U[mine].min()),
                most=int(num_positives_U[mine].max()),
                num_users=int(np.count_nonzero(mine)),
                means={name: {metric: float(own[metric][mine].mean()) for metric in metrics} for name, own in values.items()},
                differences=[
                    GroupDifference(
                        metric=metric, ranker=a, against=b, difference=float(mean), interval=interval, problem=problem
                    )
                    for (metric, a, b), mean, interval in zip(keys, differences_UM.mean(axis=0), intervals, strict=True)
                ],
            )
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PopularityShares:
    """What is listed by how popular it is. Items are in groups that got about equally many likes in training, the most popular first.

    Attributes:
        num_items: G numbers of items; those that nobody liked are in the last group.
        liked: G shares, of what users liked in the test part.
        listed: protocol → ranker → G shares, of all users' first ten.
    """

    num_items: tuple[int, ...]
    liked: tuple[float, ...]
    listed: Mapping[str, Mapping[str, tuple[float, ...]]]

    def as_json(self) -> dict[str, Any]:
        """JSON values only; see `docs/evaluation.md`."""
        listed = {protocol: {name: list(shares) for name, shares in own.items()} for protocol, own in self.listed.items()}
        return {"items": list(self.num_items), "liked": list(self.liked), "listed": listed}


def popularity_shares(
    popularity_I: np.ndarray, liked: np.ndarray, tops: Mapping[str, Mapping[str, np.ndarray]]
) -> PopularityShares:
    """How lists divide over the groups of `popularity_groups`.

    Args:
        popularity_I: likes of each item in training.
        liked: item rows that were liked in the test part, one for each like.
        tops: protocol → ranker → rows of each user's items, best first, int64 [U, K]; −1 where there are no more.
    """
    group_I = popularity_groups(popularity_I)
    num_groups = NUM_POPULARITY_GROUPS

    def shares(item_rows: np.ndarray) -> tuple[float, ...]:
        counts = np.bincount(group_I[item_rows[item_rows >= 0]], minlength=num_groups)
        return tuple((counts / max(1, counts.sum())).tolist())

    return PopularityShares(
        num_items=tuple(np.bincount(group_I, minlength=num_groups).tolist()),
        liked=shares(liked),
        listed={protocol: {name: shares(top_UK[:, :LISTED]) for name, top_UK in own.items()} for protocol, own in tops.items()},
    )


def popularity_groups(popularity_I: np.ndarray) -> np.ndarray:
    """The group of each item, int64 [I], by the likes of all that are more popular; equals in the order of the catalogue."""
    order_I = np.argsort(-popularity_I, kind="stable")
    likes_I = popularity_I[order_I].astype(np.float64)
    before_I = np.cumsum(likes_I) - likes_I
    total = max(float(likes_I.sum()), 1.0)
    group_I = np.empty(len(popularity_I), dtype=np.int64)
    group_I[order_I] = np.minimum((before_I / total * NUM_POPULARITY_GROUPS).astype(np.int64), NUM_POPULARITY_GROUPS - 1)
    return group_I
