"""Which of the rankers the clicks on interleaved answers speak for, and how sure that is; needs the extra `experiments`.

One user gives many answers, and likes or dislikes much in the same way in all of them, so chance is reckoned over units and never
over answers: a unit counts the sum of its credits, and what is estimated is the difference of two rankers' credits per answer.

Shapes: A answers, N units, V rankers, T looks.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from app.experiments.statistics.results import Interval, as_json
from app.experiments.statistics.sequences import BURN_IN, best_scale, critical_value, p_values

PLANNED_UNITS = 1_000
"""A tenth of what A/B tests plan with, where nothing was planned: interleaving needs about that much less."""
_TINY = 1e-9
"""Credits that differ by less are equal: `optimised` adds and subtracts fractions."""


@dataclass(frozen=True, slots=True, eq=False)
class UnitCredits:
    """What the rankers got, unit by unit.

    Attributes:
        credits_NV: sums over the unit's answers, float64 [N, V].
        answers_N: how many answers it had, with clicks or without.
    """

    credits_NV: np.ndarray
    answers_N: np.ndarray

    @classmethod
    def of(cls, units_A: Sequence[Hashable], credits_AV: np.ndarray) -> UnitCredits:
        """Add up the answers of each unit; units in the order of their first answer.

        Args:
            units_A: whose answer it was.
            credits_AV: what `credit` says of it, float64 [A, V].
        """
        numbers: dict[Hashable, int] = {}
        number_A = np.array([numbers.setdefault(unit, len(numbers)) for unit in units_A], dtype=np.int64)
        credits_NV = np.stack([np.bincount(number_A, each, len(numbers)) for each in credits_AV.T], axis=1)
        return cls(credits_NV, np.bincount(number_A, minlength=len(numbers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """One ranker against another; everything that has a direction is the first minus the second.

    Attributes:
        ranker, against: their numbers.
        value: credits per answer; None without answers.
        error: its standard error over units.
        interval: of it, for one planned look.
        p_value: two-sided, Student's t over units; for one planned look.
        always_interval, always_p_value: the same for whoever looks as often as they like; None and 1 during the burn-in.
        p_sign: two-sided sign test of units that speak for one or the other, for one planned look.
        better, worse, equal: units that speak for the ranker, for the other, for neither.
        answers: how many there were.
        level: of the intervals.
        problem: why nothing can be said, in words; what cannot be computed then is None.
    """

    ranker: int
    against: int
    value: float | None
    error: float | None
    interval: Interval | None
    p_value: float | None
    always_interval: Interval | None
    always_p_value: float
    p_sign: float
    better: int
    worse: int
    equal: int
    answers: int
    level: float
    problem: str | None

    @property
    def units(self) -> int:
        """N."""
        return self.better + self.worse + self.equal

    @property
    def is_significant(self) -> bool:
        """Whether one was shown to be better, at this look or at one before."""
        return self.always_p_value < 1.0 - self.level

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {**as_json(self), "units": self.units, "significant": self.is_significant}


def preferences(
    looks: Sequence[UnitCredits],
    *,
    level: float = 0.95,
    planned_units: int = PLANNED_UNITS,
    burn_in: int = BURN_IN,
) -> list[list[Preference]]:
    """At every look, what can be said of each pair: later rankers against earlier ones, so the first is the control.

    Args:
        looks: T, what was known at each, oldest first: all units so far with all that they did so far.
        level: of the intervals, pair by pair.
        planned_units: where the always-valid interval shall be narrowest.
        burn_in: units before it is stated.
    """
    num_rankers = looks[0].credits_NV.shape[1]
    pairs = [(ranker, against) for against, ranker in combinations(range(num_rankers), 2)]
    scale = best_scale(1.0 - level) / planned_units
    by_pair = [_over_time(looks, pair, level, scale, burn_in) for pair in pairs]
    return [list(at_look) for at_look in zip(*by_pair, strict=True)]


def _over_time(
    looks: Sequence[UnitCredits], pair: tuple[int, int], level: float, scale: float, burn_in: int
) -> list[Preference]:
    ranker, against = pair
    found: list[Preference] = []
    first: tuple[int, float] | None = None
    known = 0.0
    for look in looks:
        differences_N = look.credits_NV[:, ranker] - look.credits_NV[:, against]
        units, answers = len(differences_N), int(look.answers_N.sum())
        value = float(differences_N.sum() / answers) if answers else None
        error, problem = (
            None,
            "no answers yet" if value is None else "a single unit says nothing of others" if units < 2 else None,
        )
        if value is not None and problem is None:
            # The delta method for a quotient of sums: each unit deviates by what it has beyond its answers' share.
            deviations_N = differences_N - value * look.answers_N
            error = float(np.sqrt((deviations_N**2).sum() * units / (units - 1)) / answers)
            if error < _TINY:
                problem = "all units have the same credits"
        better, worse = (int(np.count_nonzero(sign * differences_N > _TINY)) for sign in (1, -1))
        interval = always_interval = p_value = None
        always_p_value = found[-1].always_p_value if found else 1.0
        if problem is None:
            assert value is not None and error is not None
            interval = _around(value, float(stats.t.ppf((1.0 + level) / 2.0, units - 1)) * error)
            p_value = float(2.0 * stats.t.sf(abs(value) / error, units - 1))
            if units >= burn_in:
                # Units that come back bring more than new units would: time is how far the variance of the sum has come.
                spread = (error * answers) ** 2
                first = first or (units, spread)
                known = max(known, first[0] * spread / first[1])
                time = scale * known
                always_interval = _around(value, float(critical_value(time, level)) * error)
                always_p_value = min(always_p_value, float(p_values(value / error, time)))
        found.append(
            Preference(
                ranker=ranker,
                against=against,
                value=value,
                error=error,
                interval=interval,
                p_value=p_value,
                always_interval=always_interval,
                always_p_value=always_p_value,
                p_sign=float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0,
                better=better,
                worse=worse,
                equal=units - better - worse,
                answers=answers,
                level=level,
                problem=problem,
            )
        )
    return found


def _around(value: float, reach: float) -> Interval:
    return Interval(value - reach, value + reach)
