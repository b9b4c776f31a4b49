"""Several rankers of search, or of candidates, on the same test queries: what `irgan evaluate` and `irgan compare` print and write of them.

Shapes: Q queries, K the length of the kept lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.bundle import Mode
from training.errors import ConfigError, DataError
from training.evaluation.agreement import Agreement, agreements
from training.evaluation.changes import Asked, Changes, largest_changes
from training.evaluation.search import group_means
from training.evaluation.significance import (
    LEVEL,
    NUM_RESAMPLES,
    Comparison,
    Drawn,
    Interval,
    Method,
    compare_rankers,
    metric_intervals,
    ranker_pairs,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueryEntrant:
    """A ranker, in one of its modes, that took part.

    Attributes:
        name: distinct among the entrants; tables and the tags of runs call it so.
        ranker: what kind it is, as in `irgan rankers`.
        bundle: where it came from.
        mode: of a search ranker, else None.
        per_query: metric → value of each query, float64 [Q].
    """

    name: str
    ranker: str
    bundle: str
    mode: Mode | None
    per_query: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What the entrants answered.

    Attributes:
        rankings: entrant → document rows of each query, best first, int64 [Q, K]; −1 where no more were found.
        tau: of two entrants, Kendall's τ of their orders of each query, float64 [Q].
        asked: what is known of queries and documents.
    """

    rankings: Mapping[str, np.ndarray]
    tau: Callable[[str, str], np.ndarray]
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueryStudy:
    """What came out.

    Attributes:
        data: the data set's name.
        split, parameters: how it was cut.
        entrants: the rankers, in the order given.
        groups: name → bool [Q]: which queries; those without a query are left out.
        metrics: those that were compared.
        baseline: the entrant that all others were compared with; None for all pairs.
        intervals: group → entrant → metric → bootstrap interval of the mean over queries.
        comparisons: group → each pair on each metric; empty where nothing was to be compared, or the group has one query, as are the
            next two.
        agreements: group → how much alike the lists of each pair are.
        changes: group → for which queries each pair differs most on each metric.
        seed, num_resamples, level, method: of intervals and tests.
    """

    data: str
    split: str
    parameters: Mapping[str, Any]
    entrants: tuple[QueryEntrant, ...]
    groups: Mapping[str, np.ndarray]
    metrics: tuple[str, ...]
    baseline: str | None
    intervals: Mapping[str, Mapping[str, Mapping[str, Interval]]]
    comparisons: Mapping[str, Sequence[Comparison]]
    agreements: Mapping[str, Sequence[Agreement]]
    changes: Mapping[str, Sequence[Changes]]
    seed: int
    num_resamples: int
    level: float
    method: Method

    @property
    def num_queries(self) -> dict[str, int]:
        """Q of each group."""
        return {group: int(np.count_nonzero(is_in_Q)) for group, is_in_Q in self.groups.items()}

    def means(self, entrant: QueryEntrant, group: str) -> dict[str, float]:
        """Every metric as one number."""
        return group_means(entrant.per_query, self.groups[group])

    def as_json(self) -> dict[str, Any]:
        """JSON values only; see `docs/evaluation.md`."""
        return {
            "data": self.data,
            "split": {"name": self.split, "parameters": dict(self.parameters)},
            "queries": self.num_queries,
            "resampling": {
                "seed": self.seed,
                "resamples": self.num_resamples,
                "level": self.level,
                "interval": self.method,
            },
            "rankers": [
                {
                    "bundle": entrant.bundle,
                    "name": entrant.name,
                    "ranker": entrant.ranker,
                    **({} if entrant.mode is None else {"mode": entrant.mode}),
                    "metrics": {group: self.means(entrant, group) for group in self.groups},
                    "intervals": {
                        group: {metric: [i.low, i.high] for metric, i in found[entrant.name].items()}
                        for group, found in self.intervals.items()
                    },
                }
                for entrant in self.entrants
            ],
            "baseline": self.baseline,
            **{
                key: [{"queries": group, **one.as_json()} for group, found in by_group.items() for one in found]
                for key, by_group in (
                    ("comparisons", self.comparisons),
                    ("agreement", self.agreements),
                    ("changes", self.changes),
                )
            },
        }


def check_query_metrics(metrics: Sequence[str], known: Sequence[str]) -> None:
    """Refuse what is not measured.

    Raises:
        ConfigError: an unknown metric; the message lists those there are.
    """
    unknown = [metric for metric in metrics if metric not in known]
    if unknown:
        raise ConfigError(
            f"no metric {', '.join(unknown)} of these rankers; there are {', '.join(known)} "
            "(MAP is the mean of AP, MRR the mean of RR)"
        )


def study_queries(
    entrants: Sequence[QueryEntrant],
    answers: Answers,
    *,
    data: str,
    split: str,
    parameters: Mapping[str, Any],
    groups: Mapping[str, np.ndarray],
    metrics: Sequence[str] = (),
    baseline: str | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    method: Method = "percentile",
) -> QueryStudy:
    """Intervals of all means, and comparisons where metrics are named; every group of queries by itself.

    Args:
        entrants: with distinct names, measured on the same queries in the same order.
        answers: of all of them.
        data: what they were measured on, to tell, as are the next two.
        split: how it was cut.
        parameters: of the split.
        groups: name → bool [Q].
        metrics: what to compare; none makes no comparison. Holm's correction is over all comparisons of a group.
        baseline: compare with this entrant alone.
        seed: see `compare_rankers`, for this and the next three.
        num_resamples: of intervals and tests.
        level: of the intervals.
        method: of the intervals.

    Raises:
        DataError: no test query has a relevant document.
        ConfigError: fewer than two rankers to compare.
    """
    groups = {group: is_in_Q for group, is_in_Q in groups.items() if is_in_Q.any()}
    if not groups:
        raise DataError(
            f"{data}, split {split}: no query of the test part has a relevant document, so nothing can be measured; "
            "choose another split"
        )
    per_query = {entrant.name: entrant.per_query for entrant in entrants}
    pairs = ranker_pairs(list(per_query), baseline) if metrics else []
    taus = {pair: answers.tau(*pair) for pair in pairs}
    drawn: Drawn = {"seed": seed, "num_resamples": num_resamples, "level": level, "method": method}
    intervals: dict[str, dict[str, dict[str, Interval]]] = {}
    comparisons: dict[str, list[Comparison]] = {group: [] for group in groups}
    alike: dict[str, list[Agreement]] = {group: [] for group in groups}
    changes: dict[str, list[Changes]] = {group: [] for group in groups}
    for group, is_in_Q in groups.items():
        values = {name: {metric: values_Q[is_in_Q] for metric, values_Q in own.items()} for name, own in per_query.items()}
        intervals[group] = metric_intervals(values, **drawn)
        if metrics and np.count_nonzero(is_in_Q) > 1:
            comparisons[group] = compare_rankers(values, metrics, baseline=baseline, unit="queries", **drawn)
            alike[group] = agreements(answers.rankings, taus, of=is_in_Q)
            changes[group] = largest_changes(
                per_query, answers.rankings, answers.asked, metrics=metrics, pairs=pairs, of=is_in_Q
            )
    return QueryStudy(
        data=data,
        split=split,
        parameters=parameters,
        entrants=tuple(entrants),
        groups=groups,
        metrics=tuple(metrics),
        baseline=baseline,
        intervals=intervals,
        comparisons=comparisons,
        agreements=alike,
        changes=changes,
        **drawn,
    )
