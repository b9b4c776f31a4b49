"""Several rankers on one split: everything that `irgan evaluate` and `irgan compare` print, write and draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.bundle import VectorModel
from training.data import Split
from training.errors import ConfigError, DataError
from training.evaluation.evaluate import PROTOCOLS, Evaluation, Protocol, evaluate_together
from training.evaluation.metrics import user_metrics
from training.evaluation.significance import (
    LEVEL,
    NUM_RESAMPLES,
    Comparison,
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
        comparisons: protocol → each pair on each metric; empty where nothing was to be compared.
        seed, num_resamples, level, method: of intervals and tests.
    """

    split: Split
    entrants: tuple[Entrant, ...]
    metrics: tuple[str, ...]
    baseline: str | None
    evaluations: Mapping[Protocol, Mapping[str, Evaluation]]
    intervals: Mapping[Protocol, Mapping[str, Mapping[str, Interval]]]
    comparisons: Mapping[Protocol, Sequence[Comparison]]
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
            "comparisons": [
                {"protocol": protocol, **comparison.as_json()}
                for protocol in self.protocols
                for comparison in self.comparisons[protocol]
            ],
        }

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
    intervals: dict[Protocol, dict[str, dict[str, Interval]]] = {}
    comparisons: dict[Protocol, list[Comparison]] = {}
    for protocol, found in together.of.items():
        on_step(f"intervals, protocol {protocol}")
        per_user = {name: evaluation.per_user for name, evaluation in found.items()}
        intervals[protocol] = metric_intervals(per_user, seed=seed, num_resamples=num_resamples, level=level, method=method)
        comparisons[protocol] = []
        if metrics:
            comparisons[protocol] = compare_rankers(
                per_user,
                metrics,
                baseline=baseline,
                seed=seed,
                num_resamples=num_resamples,
                level=level,
                method=method,
            )
    return Study(
        split=split,
        entrants=tuple(entrants),
        metrics=tuple(metrics),
        baseline=baseline,
        evaluations=together.of,
        intervals=intervals,
        comparisons=comparisons,
        seed=seed,
        num_resamples=num_resamples,
        level=level,
        method=method,
    )


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
