"""What each unit has of a metric, at any time: which answers and events count, and for whom. The rules stand in `docs/reports.md`.

Shapes: N units, A answers, E events, C things that count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.experiments.metrics import Metric
from app.experiments.outcomes.reading import Answers, Events, Period, Units


@dataclass(frozen=True, slots=True, eq=False)
class Increments:
    """What units get, in the order of time.

    Attributes:
        time_C: microseconds.
        unit_C: rows of the units.
        amount_C: how much.
    """

    time_C: np.ndarray
    unit_C: np.ndarray
    amount_C: np.ndarray

    @classmethod
    def of(cls, time_C: np.ndarray, unit_C: np.ndarray, amount_C: np.ndarray) -> Increments:
        """Put in order."""
        order = np.lexsort((amount_C, unit_C, time_C))  # to the last bit the same sums, in whichever order things arrived
        return cls(time_C[order], unit_C[order], amount_C[order])

    def over(self, times: Sequence[int], num_units: int) -> Iterator[np.ndarray]:
        """What each unit has at ascending times, float64 [N]; each array is a new one."""
        sums_N, done = np.zeros(num_units), 0
        for end in np.searchsorted(self.time_C, np.asarray(times), side="right").tolist():
            more = slice(done, end)
            sums_N = sums_N + np.bincount(self.unit_C[more], self.amount_C[more], num_units)
            done = end
            yield sums_N


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """One metric of all units.

    Attributes:
        numerator: what is averaged, or the upper half of a quotient.
        denominator: the lower half; None for a mean over units.
        before_numerator_N, before_denominator_N: the same of the time before, float64 [N]; None where nobody did anything then.
    """

    numerator: Increments
    denominator: Increments | None
    before_numerator_N: np.ndarray | None
    before_denominator_N: np.ndarray | None


def count(metric: Metric, units: Units, answers: Answers, events: Events, period: Period) -> Counted:
    """One metric, from each unit's exposure on, and of the time before."""
    num_units = len(units.names)
    numerator, denominator = _halves(metric, answers, events, period, units.exposed_N)
    before, below = _halves(metric, answers, events, period, None)
    end = [period.start]
    before_N = next(before.over(end, num_units))
    below_N = None if below is None else next(below.over(end, num_units))
    has_before = len(before.time_C) > 0 and (below is None or len(below.time_C) > 0)
    return Counted(
        numerator=numerator,
        denominator=denominator,
        before_numerator_N=before_N if has_before else None,
        before_denominator_N=below_N if has_before else None,
    )


def counting_events(events: Events, answers: Answers, period: Period, exposed_N: np.ndarray | None) -> np.ndarray:
    """Which events can count for their unit, bool [E]: after its exposure and in time; of the time before, where None is given."""
    known = events.unit_E >= 0
    if exposed_N is None:
        known &= (events.time_E >= period.before) & (events.time_E < period.start)
    else:
        since_E = np.where(known, exposed_N[events.unit_E], 0) if len(exposed_N) else np.zeros(len(known), np.int64)
        follows_own = events.answer_E >= 0
        follows_own[follows_own] = ~answers.is_before_A[events.answer_E[follows_own]]
        until_E = np.where(follows_own, period.last, period.end)
        known &= (events.time_E >= since_E) & (events.time_E <= until_E)
    follows = events.answer_E >= 0
    known[follows] &= ~answers.is_override_A[events.answer_E[follows]]
    return known


def counting_answers(answers: Answers, exposed_N: np.ndarray | None) -> np.ndarray:
    """Which answers count for their unit, bool [A]."""
    counts: np.ndarray = (answers.unit_A >= 0) & ~answers.is_override_A & (answers.is_before_A == (exposed_N is None))
    return counts


def _halves(
    metric: Metric, answers: Answers, events: Events, period: Period, exposed_N: np.ndarray | None
) -> tuple[Increments, Increments | None]:
    shown_A = np.flatnonzero(counting_answers(answers, exposed_N))
    if metric.event == "impression":
        rows = shown_A
        time_C, unit_C, value_C = answers.time_A[rows], answers.unit_A[rows], answers.milliseconds_A[rows]
        answer_C, session_C, item_C = rows, answers.session_A[rows], np.full(len(rows), -1)
    else:
        counts_E = counting_events(events, answers, period, exposed_N)
        counts_E &= events.type_E == events.types.index(metric.event)
        if metric.per == "impression":  # who names an answer says that it is no other's
            counts_E &= events.answer_E != -2
            follows = events.answer_E >= 0
            counts_E[follows] &= answers.is_before_A[events.answer_E[follows]] == (exposed_N is None)
        rows = np.flatnonzero(counts_E)
        time_C, unit_C, value_C = events.time_E[rows], events.unit_E[rows], events.value_E[rows]
        answer_C, session_C, item_C = events.answer_E[rows], events.session_E[rows], events.item_E[rows]
    if metric.per == "session":
        is_unnamed_C = (session_C < 0) & (answer_C >= 0)
        session_C[is_unnamed_C] = answers.session_A[answer_C[is_unnamed_C]]
        named = np.flatnonzero(session_C >= 0)  # what is of no session is in neither half
        time_C, unit_C, value_C, answer_C, session_C, item_C = (
            column[named] for column in (time_C, unit_C, value_C, answer_C, session_C, item_C)
        )
    if metric.of == "value":
        kept = np.flatnonzero(~np.isnan(value_C))
        amount_C = value_C
    elif metric.of == "count":
        kept = _first(np.where((answer_C >= 0) & (item_C >= 0), 0, 1 + np.arange(len(unit_C))), unit_C, answer_C, item_C)
        amount_C = np.ones(len(unit_C))
    else:
        kept = _first_of_any(metric, unit_C, answer_C, session_C)
        amount_C = np.ones(len(unit_C))
    numerator = Increments.of(time_C[kept], unit_C[kept], amount_C[kept].astype(np.float64))
    if metric.per == "unit":
        return numerator, None
    if metric.per == "event":
        return numerator, Increments(numerator.time_C, numerator.unit_C, np.ones(len(numerator.time_C)))
    if metric.per == "impression":
        return numerator, Increments.of(answers.time_A[shown_A], answers.unit_A[shown_A], np.ones(len(shown_A)))
    time_C = np.concatenate([answers.time_A[shown_A], time_C])
    unit_C = np.concatenate([answers.unit_A[shown_A], unit_C])
    session_C = np.concatenate([answers.session_A[shown_A], session_C])
    there = np.flatnonzero(session_C >= 0)
    there = there[np.argsort(time_C[there], kind="stable")]
    first = there[_first(unit_C[there], session_C[there])]
    return numerator, Increments.of(time_C[first], unit_C[first], np.ones(len(first)))


def _first_of_any(metric: Metric, unit_C: np.ndarray, answer_C: np.ndarray, session_C: np.ndarray) -> np.ndarray:
    """The first of each unit, answer or session, whichever the metric is per; all of them, where it is per event."""
    if metric.per == "unit":
        return _first(unit_C)
    if metric.per == "event":
        return np.arange(len(unit_C))
    whose_C = answer_C if metric.per == "impression" else session_C
    there = np.flatnonzero(whose_C >= 0)
    rows: np.ndarray = there[_first(unit_C[there], whose_C[there])]
    return rows


def _first(*keys: np.ndarray) -> np.ndarray:
    """Rows of the first of each combination of numbers, ascending."""
    if not len(keys[0]):
        return np.empty(0, np.int64)
    order = np.lexsort((np.arange(len(keys[0])), *keys))
    is_new = np.zeros(len(order), dtype=bool)
    is_new[0] = True
    for key in keys:
        is_new[1:] |= np.diff(key[order]) != 0
    rows: np.ndarray = np.sort(order[is_new])
    return rows
