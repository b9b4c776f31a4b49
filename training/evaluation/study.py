"""Several rankers on one split: everything that `irgan evaluate` and `irgan compare` print, write and draw."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.bundle import VectorModel
from training.data import Split
from training.errors import ConfigError, DataError
from training.evaluation.agreement import Agreement, agreements
from training.evaluation.breakdown import ActivityGroup, PopularityShares, activity_groups, popularity_shares
from training.evaluation.changes import Asked, Changes, largest_changes, titles
from training.evaluation.evaluate import PROTOCOLS, Evaluation, Protocol, evaluate_together
from training.evaluation.metrics import user_metrics
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

METRICS: tuple[str, ...] = tuple(user_metrics(np.zeros((1, 1), dtype=bool), np.ones(1, dtype=np.int64)))
"""Those that have a value for each user, and so can be compared."""


Curves = Mapping[str, Sequence[tuple[float, float]]]
"""Training curves: name → (epoch, value)."""


class _Told(typing.Protocol):
    """What can be written."""

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entrant:
    """A ranker that takes part.

    Attributes:
        name: distinct among the entrants; tables, plots and the tags of runs call it so.
        ranker: what kind it is, as in `irgan rankers`.
        bundle: where it came from.
        model: what ranks.
        curves: of its training, where they were kept.
    """

    name: str
    ranker: str
    bundle: str
    model: VectorModel
    curves: Curves


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """What came out.

    Attributes:
        split: the data, cut.
        entrants: the rankers, in the order given.
        metrics: those that were compared.
        baseline: the ranker that all others were compared with; None for all pairs.
        evaluations: protocol → ranker → what was measured.
        intervals: protocol → ranker → metric → bootstrap interval of the mean over users.
        comparisons: protocol → each pair on each metric; empty where nothing was to be compared, as are the next three.
        agreements: protocol → how much alike the lists of each pair are.
        changes: protocol → for whom each pair differs most on each metric.
        activity: protocol → groups of users by what they liked in training.
        popularity: how popular is what the rankers list.
        seed, num_resamples, level, method: of intervals and tests.
    """

    split: Split
    entrants: tuple[Entrant, ...]
    metrics: tuple[str, ...]
    baseline: str | None
    evaluations: Mapping[Protocol, Mapping[str, Evaluation]]
    intervals: Mapping[Protocol, Mapping[str, Mapping[str, Interval]]]
    comparisons: Mapping[Protocol, Sequence[Comparison]]
    agreements: Mapping[Protocol, Sequence[Agreement]]
    changes: Mapping[Protocol, Sequence[Changes]]
    activity: Mapping[Protocol, Sequence[ActivityGroup]]
    popularity: PopularityShares
    seed: int
    num_resamples: int
    level: float
    method: Method

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """Those that were used."""
        return tuple(self.evaluations)

    @property
    def num_users(self) -> int:
        """Users with a test positive, the same under every protocol."""
        return len(next(iter(next(iter(self.evaluations.values())).values())).user_rows)

    def as_json(self) -> dict[str, Any]:
        """JSON values only; see `docs/evaluation.md`."""
        return {
            "data": self.split.dataset,
            "split": {"name": self.split.name, "parameters": dict(self.split.parameters)},
            "users": self.num_users,
            "resampling": {
                "seed": self.seed,
                "resamples": self.num_resamples,
                "level": self.level,
                "interval": self.method,
            },
            "rankers": [self._entrant(entrant) for entrant in self.entrants],
            "baseline": self.baseline,
            "comparisons": self._by_protocol(self.comparisons),
            "agreement": self._by_protocol(self.agreements),
            "changes": self._by_protocol(self.changes),
            "activity": self._by_protocol(self.activity),
            "popularity": self.popularity.as_json(),
        }

    def _by_protocol(self, found: Mapping[Protocol, Sequence[_Told]]) -> list[dict[str, Any]]:
        return [{"protocol": protocol, **one.as_json()} for protocol in self.protocols for one in found[protocol]]

    def _entrant(self, entrant: Entrant) -> dict[str, Any]:
        return {
            "bundle": entrant.bundle,
            "name": entrant.name,
            "ranker": entrant.ranker,
            "metrics": {
                protocol: {metric: _finite(value) for metric, value in found[entrant.name].means.items()}
                for protocol, found in self.evaluations.items()
            },
            "intervals": {
                protocol: {metric: [i.low, i.high] for metric, i in found[entrant.name].items()}
                for protocol, found in self.intervals.items()
            },
        }


def check_metrics(metrics: Sequence[str]) -> None:
    """Refuse what has no value for each user.

    Raises:
        ConfigError: an unknown metric; the message lists those there are.
    """
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise ConfigError(
            f"no metric {', '.join(unknown)} that could be compared; there are {', '.join(METRICS)} "
            "(MAP is the mean of AP, MRR the mean of RR)"
        )


def run_study(
    entrants: Sequence[Entrant],
    split: Split,
    *,
    protocols: Sequence[Protocol] = PROTOCOLS,
    metrics: Sequence[str] = (),
    baseline: str | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    method: Method = "percentile",
    on_step: Callable[[str], None] = lambda _: None,
) -> Study:
    """Evaluate every ranker under every protocol, with intervals, and compare them where metrics are named.

    Args:
        entrants: with distinct names.
        split: its training part is what the models learned from.
        protocols: what counts as a candidate.
        metrics: what to compare; none makes no comparison.
        baseline: compare with this entrant alone.
        seed: see `compare_rankers`, for this and the next three.
        num_resamples: of intervals and tests.
        level: of the intervals.
        method: of the intervals.
        on_step: told what is being computed.

    Raises:
        DataError: no user has a test positive; or there is but one, and something is to be compared.
        ConfigError: fewer than two rankers to compare, or an unknown metric or baseline.
    """
    check_metrics(metrics)
    names = [entrant.name for entrant in entrants]
    if baseline is not None and baseline not in names:
        raise ConfigError(f"the baseline {baseline!r} is none of the rankers; expected one of {', '.join(names)}")
    if not split.test.is_positive.any():
        raise DataError(
            f"{split.dataset}, split {split.name}: no event of the test part counts as liked (threshold "
            f"{split.test.positive_threshold:g}), so nothing can be measured; choose another split or --positive-threshold"
        )
    pairs = ranker_pairs(names, baseline) if metrics else []
    together = evaluate_together(
        {entrant.name: entrant.model for entrant in entrants}, split, protocols, pairs=pairs, on_step=on_step
    )
    asked = _asked(split, next(iter(together.of[protocols[0]].values())).user_rows)
    intervals: dict[Protocol, dict[str, dict[str, Interval]]] = {}
    comparisons: dict[Protocol, list[Comparison]] = {protocol: [] for protocol in protocols}
    alike: dict[Protocol, list[Agreement]] = {protocol: [] for protocol in protocols}
    changes: dict[Protocol, list[Changes]] = {protocol: [] for protocol in protocols}
    activity: dict[Protocol, list[ActivityGroup]] = {protocol: [] for protocol in protocols}
    drawn: Drawn = {"seed": seed, "num_resamples": num_resamples, "level": level, "method": method}
    for protocol, found in together.of.items():
        on_step(f"intervals, protocol {protocol}")
        per_user = {name: evaluation.per_user for name, evaluation in found.items()}
        intervals[protocol] = metric_intervals(per_user, **drawn)
        if not metrics:
            continue
        comparisons[protocol] = compare_rankers(per_user, metrics, baseline=baseline, **drawn)
        on_step(f"lists, protocol {protocol}")
        tops = {name: evaluation.top_UK for name, evaluation in found.items()}
        alike[protocol] = agreements(tops, together.tau[protocol])
        changes[protocol] = largest_changes(per_user, tops, asked, metrics=metrics, pairs=pairs)
        assert asked.num_positives is not None
        activity[protocol] = activity_groups(per_user, asked.num_positives, metrics=metrics, pairs=pairs, **drawn)
    return Study(
        split=split,
        entrants=tuple(entrants),
        metrics=tuple(metrics),
        baseline=baseline,
        evaluations=together.of,
        intervals=intervals,
        comparisons=comparisons,
        agreements=alike,
        changes=changes,
        activity=activity,
        popularity=popularity_shares(
            split.train.popularity(),
            split.test.positives().item_rows,
            {p: {name: evaluation.top_UK for name, evaluation in found.items()} for p, found in together.of.items()},
        ),
        **drawn,
    )


def _asked(split: Split, user_rows: np.ndarray) -> Asked:
    relevant = split.test.positives().histories().take(user_rows)
    return Asked(
        ids=[split.train.users.id(row) for row in user_rows],
        num_positives=split.train.positives().histories().lengths[user_rows],
        grades=lambda place: dict.fromkeys(relevant.items[relevant.offsets[place] : relevant.offsets[place + 1]].tolist(), 1),
        item_id=split.train.items.id,
        item_title=titles(split.item_table),
    )


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
