"""What came of an experiment, unit by unit, at any time: from the store to arrays. See `docs/reports.md`.

Shapes: N units, T looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from app.experiments.definition import Experiment
from app.experiments.metrics import Metric
from app.experiments.outcomes.counting import Counted, count, counting_answers, counting_events
from app.experiments.outcomes.reading import (
    FALLBACKS,
    Answers,
    Events,
    Period,
    Units,
    number_sessions,
    read_answers,
    read_events,
    read_units,
)
from app.store import Database, ExperimentRecord
from app.store.tables import microseconds, moment

__all__ = [
    "FALLBACKS",
    "Answers",
    "Events",
    "Measured",
    "Outcomes",
    "Period",
    "Units",
    "counting_answers",
    "counting_events",
    "read_outcomes",
]

LONGEST_BEFORE = timedelta(days=28)
"""The time before an experiment that CUPED looks at, at most."""
ATTRIBUTION = timedelta(hours=1)
"""After the end of an experiment, what follows one of its answers still counts so long."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A metric of all units at one time.

    Attributes:
        numerator_N: what is averaged, or the upper half of a quotient.
        denominator_N: the lower half; None for a mean over units.
        before_numerator_N, before_denominator_N: the same of the time before; None where nobody did anything then.
        is_in_N: whether the unit takes part by then.
    """

    numerator_N: np.ndarray
    denominator_N: np.ndarray | None
    before_numerator_N: np.ndarray | None
    before_denominator_N: np.ndarray | None
    is_in_N: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """What came of an experiment: as much as the metrics of its definition ask for.

    Attributes:
        experiment: its definition.
        period: when things count.
        units: who takes part.
        answers: what was answered.
        events: what people did.
    """

    experiment: Experiment
    period: Period
    units: Units
    answers: Answers
    events: Events

    @property
    def end(self) -> datetime:
        """Until when the experiment's own answers count: its end, or when it was read."""
        return moment(self.period.end)

    @property
    def start(self) -> datetime:
        """When it began."""
        return moment(self.period.start)

    def looks(self, most: int = 30) -> list[datetime]:
        """Equally spaced times from the first exposure to the end: days where these are no more than `most`, else so many."""
        if not len(self.units.names):
            return [self.end]
        first = int(self.units.exposed_N.min())
        day = 86_400_000_000
        num_days = -(-max(self.period.end - first, 1) // day)
        num = min(num_days, most) if num_days >= 7 else most
        times = np.linspace(first, self.period.end, num + 1)[1:].astype(np.int64).tolist()
        return [moment(time) for time in [*times[:-1], self.period.end]]

    def measured(self, metric: Metric, looks: Sequence[datetime]) -> Iterator[Measured]:
        """A metric at ascending times; a time at or after the end stands for all that counts."""
        counted = self._counted(metric)
        num_units = len(self.units.names)
        times = [self.period.last if time >= self.end else microseconds(time) for time in looks]
        numerators = counted.numerator.over(times, num_units)
        denominators = None if counted.denominator is None else counted.denominator.over(times, num_units)
        for time, numerator_N in zip(times, numerators, strict=True):
            yield Measured(
                numerator_N=numerator_N,
                denominator_N=None if denominators is None else next(denominators),
                before_numerator_N=counted.before_numerator_N,
                before_denominator_N=counted.before_denominator_N,
                is_in_N=self.units.exposed_N <= time,
            )

    def _counted(self, metric: Metric) -> Counted:
        return count(metric, self.units, self.answers, self.events, self.period)


def read_outcomes(
    database: Database,
    record: ExperimentRecord,
    *,
    now: datetime | None = None,
    before: timedelta | None = None,
    attribution: timedelta = ATTRIBUTION,
) -> Outcomes:
    """Everything that is needed to judge an experiment, from one state of the store.

    Args:
        database: the store.
        record: an experiment that has started.
        now: what comes later is left out.
        before: how long a time before the experiment to look at; by default as long as it ran, at most 28 days.
        attribution: how long after the end an event still counts that follows an answer of the experiment.

    Raises:
        StoreUnusable: the store cannot be read.
    """
    assert record.started is not None, f"{record.name} has not started"
    experiment = Experiment.model_validate_json(record.definition)
    now = now or datetime.now(UTC)
    has_ended = record.state in {"stopped", "concluded"} and record.ended is not None and record.ended <= now
    end = record.ended if has_ended and record.ended is not None else max(now, record.started)
    before = min(end - record.started, LONGEST_BEFORE) if before is None else before
    period = Period(
        before=microseconds(record.started - before),
        start=microseconds(record.started),
        end=microseconds(end),
        last=microseconds(max(min(end + attribution, now), end)),
    )
    types = sorted({metric.event for metric in experiment.metrics if metric.event != "impression"})
    if experiment.kind == "interleaving" and "click" not in types:
        types.append("click")
    with database.read() as connection:
        units = read_units(connection, experiment, period.end)
        answers = read_answers(connection, experiment, units, period)
        events = read_events(connection, experiment, units, answers, types=types, period=period)
    answer_sessions, event_sessions = number_sessions(answers.session_A, events.session_E)
    answers = replace(answers, session_A=answer_sessions)
    return Outcomes(
        experiment=experiment,
        period=period,
        units=_exposed_by_answers(units, answers),
        answers=answers,
        events=replace(events, session_E=event_sessions),
    )


def _exposed_by_answers(units: Units, answers: Answers) -> Units:
    """Several processes write assignments down in turns, so the first to be written need not be that of the first answer."""
    rows = np.flatnonzero(counting_answers(answers, units.exposed_N))
    exposed_N = units.exposed_N.copy()
    np.minimum.at(exposed_N, answers.unit_A[rows], answers.time_A[rows])
    return replace(units, exposed_N=exposed_N)
