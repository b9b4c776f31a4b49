"""Whether one ranker is better than another, or chance in the choice of users could have made the difference.

Everything is paired: both rankers answered the same users, so what counts is each user's difference.

Whoever the users are: the queries of search are meant as well.

Shapes: U users, M columns (a metric of a ranker, or a difference of two), R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, TypedDict, get_args

import numpy as np
from scipy import stats

from training.errors import ConfigError, DataError
from training.evaluation.paired_tests import holm, sign_flip_p_values, t_p_values, wilcoxon_p_values

Method = Literal["percentile", "bca"]
Test = Literal["randomisation", "t", "wilcoxon"]

TESTS: tuple[Test, ...] = get_args(Test)
"""The first is the one that sentences and reports go by: it tests the mean and assumes no distribution."""

NUM_RESAMPLES = 10_000
LEVEL = 0.95


class Drawn(TypedDict):
    """How intervals and tests draw; see `compare_rankers`."""

    seed: int
    num_resamples: int
    level: float
    method: Method


_ONE = {"users": "user", "queries": "query"}
_CELLS = 4_000_000
"""Drawn users held at once."""
_DECIMALS = 12
"""Differences are rounded to this: two ways to the same value may differ in the last bits, and that is a tie."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One ranker against another on one metric.

    Attributes:
        metric: what is compared.
        ranker, against: the two; differences are the first minus the second.
        difference: mean over users.
        interval: bootstrap interval of the difference.
        p_values: test → two-sided p.
        p_holm: the same after Holm's correction over `family` comparisons.
        family: how many comparisons were made together.
        effect_size: Cohen's d_z, the mean difference over the standard deviation of the differences; None where all users
            differ by the same amount.
        num_better, num_worse, num_equal: users for whom the first ranker did better, worse, equally well.
        unit: what the users are, where it is something else: `queries`.
    """

    metric: str
    ranker: str
    against: str
    difference: float
    interval: Interval
    p_values: Mapping[Test, float]
    p_holm: Mapping[Test, float]
    family: int
    effect_size: float | None
    num_better: int
    num_worse: int
    num_equal: int
    level: float = LEVEL
    unit: str = "users"

    @property
    def num_users(self) -> int:
        """U."""
        return self.num_better + self.num_worse + self.num_equal

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p of the randomisation test is below 1 − level."""
        return self.p_holm[TESTS[0]] < 1.0 - self.level

    def as_json(self) -> dict[str, Any]:
        """JSON values only; see `docs/evaluation.md`."""
        return {
            "metric": self.metric,
            "ranker": self.ranker,
            "against": self.against,
            "difference": self.difference,
            "interval": [self.interval.low, self.interval.high],
            "p": dict(self.p_values),
            "p_holm": dict(self.p_holm),
            "family": self.family,
            "effect_size": self.effect_size,
            "better": self.num_better,
            "worse": self.num_worse,
            "equal": self.num_equal,
            "share_better": self.num_better / self.num_users,
            "share_worse": self.num_worse / self.num_users,
            "share_equal": self.num_equal / self.num_users,
            "significant": self.is_significant,
            "sentence": self.sentence,
        }

    @property
    def sentence(self) -> str:
        """The result in plain words."""
        first, second, sign = self.ranker, self.against, 1.0
        better, worse = self.num_better, self.num_worse
        if self.is_significant and self.difference < 0:
            first, second, sign, better, worse = second, first, -1.0, worse, better
        low, high = sorted((sign * self.interval.low, sign * self.interval.high))
        amount = f"{figure(sign * self.difference)} [{figure(low)}, {figure(high)}]"
        if self.is_significant:
            verdict = f"{first} is better than {second} on {self.metric} by {amount}"
        else:
            verdict = (
                f"No difference between {first} and {second} on {self.metric} could be shown: {first} − {second} is {amount}"
            )
        p = self.p_holm[TESTS[0]]
        shown = "p < .001" if p < 0.001 else f"p = {figure(p, 3)}"
        after = f" after Holm over {self.family} comparisons" if self.family > 1 else ""
        return f"{verdict}, {shown}{after}; {better} of {self.num_users} {self.unit} better, {worse} worse."


def figure(value: float, decimals: int = 4) -> str:
    """A number as tables of results write it: `.0123`, `−.5000`, `1.0000`."""
    text = f"{abs(value):.{decimals}f}".removeprefix("0")
    return f"−{text}" if value < 0 and float(text) else text


def ranker_pairs(names: Sequence[str], baseline: str | None = None) -> list[tuple[str, str]]:
    """Who is compared with whom: all others with the baseline, or every pair, in the order given."""
    return [(name, baseline) for name in names if name != baseline] if baseline else list(combinations(names, 2))


def rounded_difference(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The first minus the second, where two ways to the same value are no difference."""
    rounded: np.ndarray = np.round(values - others, _DECIMALS)
    return rounded


def compare_rankers(
    values: Mapping[str, Mapping[str, np.ndarray]],
    metrics: Sequence[str],
    *,
    baseline: str | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    method: Method = "percentile",
    unit: str = "users",
) -> list[Comparison]:
    """Compare every pair of rankers, or every ranker with a baseline, on each metric; Holm's correction is over all of it.

    Args:
        values: ranker → metric → value of each user, float64 [U], the same users in the same order everywhere.
        metrics: what to compare.
        baseline: one of the rankers; None compares all pairs, in the order given.
        seed: of the resamples.
        num_resamples: of the bootstrap, and of the randomisation test where 2^U is more.
        level: of the intervals.
        method: of the intervals, see `mean_intervals`.
        unit: what sentences call the users.

    Raises:
        DataError: fewer than two users.
        ConfigError: fewer than two rankers.
    """
    if len(values) < 2:
        raise ConfigError(f"{len(values)} ranker to compare; expected at least 2")
    pairs = ranker_pairs(list(values), baseline)
    keys = [(metric, ranker, against) for metric in metrics for ranker, against in pairs]
    columns = [rounded_difference(values[ranker][metric], values[against][metric]) for metric, ranker, against in keys]
    differences_UM = np.stack(columns, axis=1)
    num_users = len(differences_UM)
    if num_users < 2:
        raise DataError(
            f"{num_users} {_ONE.get(unit, unit)} to compare rankers on; expected at least 2 {unit} with a positive in the test part"
        )
    intervals = mean_intervals(differences_UM, seed=seed, num_resamples=num_resamples, level=level, method=method)
    flips = np.random.default_rng([seed, 1])
    p_values: dict[Test, np.ndarray] = {
        "randomisation": sign_flip_p_values(differences_UM, flips, num_resamples),
        "t": t_p_values(differences_UM),
        "wilcoxon": wilcoxon_p_values(differences_UM),
    }
    p_holm = {test: holm(p_M) for test, p_M in p_values.items()}
    mean_M, spread_M = differences_UM.mean(axis=0), differences_UM.std(axis=0, ddof=1)
    return [
        Comparison(
            metric=metric,
            ranker=ranker,
            against=against,
            difference=float(mean_M[m]),
            interval=intervals[m],
            p_values={test: float(p_values[test][m]) for test in TESTS},
            p_holm={test: float(p_holm[test][m]) for test in TESTS},
            family=len(keys),
            effect_size=float(mean_M[m] / spread_M[m]) if np.ptp(differences_UM[:, m]) > 0 else None,
            num_better=int(np.count_nonzero(differences_UM[:, m] > 0)),
            num_worse=int(np.count_nonzero(differences_UM[:, m] < 0)),
            num_equal=int(np.count_nonzero(differences_UM[:, m] == 0)),
            level=level,
            unit=unit,
        )
        for m, (metric, ranker, against) in enumerate(keys)
    ]


def mean_intervals(
    values_UM: np.ndarray,
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    method: Method = "percentile",
) -> list[Interval]:
    """Bootstrap intervals of the means of M columns over users.

    Args:
        values_UM: float64 [U, M].
        seed: the same seed draws the same users, whatever the columns are.
        num_resamples: R.
        level: the share of such intervals that hold the true mean.
        method: `percentile`, or `bca`: bias-corrected and accelerated (Efron 1987), better where few users have skewed values.
    """
    means_RM = bootstrap_means(values_UM, np.random.default_rng([seed, 0]), num_resamples)
    tails = np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    if method == "percentile":
        return [Interval(float(low), float(high)) for low, high in np.quantile(means_RM, tails, axis=0).T]
    tails_M2 = _bca_tails(values_UM, means_RM, tails)
    ends = (np.quantile(column, own) for column, own in zip(means_RM.T, tails_M2, strict=True))
    return [Interval(float(low), float(high)) for low, high in ends]


def metric_intervals(
    values: Mapping[str, Mapping[str, np.ndarray]],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
    method: Method = "percentile",
) -> dict[str, dict[str, Interval]]:
    """Ranker → metric → interval of the mean, for ranker → metric → value of each user, all from one draw; see `mean_intervals`."""
    keys = [(name, metric) for name, own in values.items() for metric in own]
    values_UM = np.stack([values[name][metric] for name, metric in keys], axis=1)
    found = mean_intervals(values_UM, seed=seed, num_resamples=num_resamples, level=level, method=method)
    intervals: dict[str, dict[str, Interval]] = {name: {} for name in values}
    for (name, metric), interval in zip(keys, found, strict=True):
        intervals[name][metric] = interval
    return intervals


def over_seeds(runs: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Metric → mean over trainings of each user's value, so that `compare_rankers` tests what a training gives on average.

    Args:
        runs: metric → value of each user, of each training; the same users in the same order everywhere.
    """
    return {metric: np.mean([run[metric] for run in runs], axis=0) for metric in runs[0]}


def bootstrap_means(values_UM: np.ndarray, rng: np.random.Generator, num_resamples: int) -> np.ndarray:
    """Means over U users drawn with replacement, float64 [R, M]; one draw serves all columns, so their differences are paired."""
    num_users = len(values_UM)
    rows = max(1, _CELLS // num_users)
    parts = []
    for start in range(0, num_resamples, rows):
        size = min(rows, num_resamples - start)
        drawn_RU = rng.integers(0, num_users, (size, num_users)) + num_users * np.arange(size)[:, None]
        counts_RU = np.bincount(drawn_RU.ravel(), minlength=drawn_RU.size).reshape(size, num_users)
        parts.append(counts_RU.astype(np.float64) @ values_UM / num_users)
    return np.concatenate(parts)


def _bca_tails(values_UM: np.ndarray, means_RM: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Which quantiles to read, float64 [M, 2]: Efron and Tibshirani 1993, Eq. (14.10); the acceleration in closed form, as the statistic is a mean."""
    mean_M = values_UM.mean(axis=0)
    slack_M = 1e-12 * np.abs(values_UM).max(axis=0)  # means of coarse metrics often are the mean, but for the last bits
    below_M = ((means_RM < mean_M - slack_M).mean(axis=0) + (means_RM <= mean_M + slack_M).mean(axis=0)) / 2.0
    half = 0.5 / len(means_RM)  # all resamples on one side would send the correction to infinity
    bias_M1 = stats.norm.ppf(np.clip(below_M, half, 1.0 - half))[:, None]
    centred_UM = values_UM - mean_M
    squares_M = (centred_UM**2).sum(axis=0)
    cubes_M = (centred_UM**3).sum(axis=0)
    acceleration_M1 = np.divide(cubes_M, 6.0 * squares_M**1.5, out=np.zeros_like(mean_M), where=squares_M > 0)[:, None]
    shifted_M2 = bias_M1 + stats.norm.ppf(tails)
    quantiles_M2: np.ndarray = stats.norm.cdf(bias_M1 + shifted_M2 / (1.0 - acceleration_M1 * shifted_M2))
    return quantiles_M2
