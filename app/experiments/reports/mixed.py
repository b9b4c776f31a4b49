"""What clicks on mixed answers say: the preference for each treatment over the control.

Shapes: N units, V variants, A answers, T looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import orjson

from app.experiments.interleaving import Interleaved, credit
from app.experiments.interleaving.preference import PLANNED_UNITS, Preference, UnitCredits, preferences
from app.experiments.outcomes import Outcomes, counting_answers, counting_events
from app.experiments.reports.figures import Comparison, MetricFigures, Pair, Point, Verdict
from app.experiments.statistics import Interval, simultaneous_level
from app.store.tables import microseconds

PREFERENCE = "preference"
"""What the metric of mixed answers is called."""


def compare_mixed(outcomes: Outcomes, looks: Sequence[datetime]) -> list[MetricFigures]:
    """The one metric of experiments that mix answers."""
    experiment = outcomes.experiment
    names = [variant.name for variant in experiment.variants]
    level = simultaneous_level(experiment.level, len(names) - 1)
    by_look = _credits(outcomes, looks)
    found = preferences(by_look, level=level, planned_units=experiment.planned_units or PLANNED_UNITS)
    last = by_look[-1]
    answers = float(last.answers_N.sum())
    sums_V = last.credits_NV.sum(axis=0)
    comparisons = [
        _comparison(names, [one for at_look in found for one in at_look if (one.ranker, one.against) == (row, 0)], looks)
        for row in range(1, len(names))
    ]
    return [
        MetricFigures(
            name=PREFERENCE,
            role="primary",
            better="higher",
            meaning="credits for clicks per answer",
            values={name: float(total) / answers if answers else None for name, total in zip(names, sums_V, strict=True)},
            errors=dict.fromkeys(names),
            totals={name: [float(total), answers] for name, total in zip(names, sums_V, strict=True)},
            comparisons=comparisons,
        )
    ]


def _credits(outcomes: Outcomes, looks: Sequence[datetime]) -> list[UnitCredits]:
    """What the variants got, unit by unit, at each look."""
    answers, events, num_units = outcomes.answers, outcomes.events, len(outcomes.units.names)
    num_variants = len(outcomes.experiment.variants)
    assert answers.teams is not None and answers.items is not None
    is_mixed_A = counting_answers(answers, outcomes.units.exposed_N) & np.array(
        [kept is not None for kept in answers.teams], bool
    )
    is_click_E = counting_events(events, answers, outcomes.period, outcomes.units.exposed_N)
    is_click_E &= (events.type_E == events.types.index("click")) & (events.answer_E >= 0) & (events.item_E >= 0)
    is_click_E[is_click_E] = is_mixed_A[events.answer_E[is_click_E]]
    shown: dict[int, Interleaved] = {}
    clicked: dict[int, set[str]] = {}
    had: dict[int, np.ndarray] = {}
    click_times, click_units, gains = [], [], []
    for event in np.flatnonzero(is_click_E).tolist():  # in the order of time
        answer, item = int(events.answer_E[event]), str(events.items[events.item_E[event]])
        items = clicked.setdefault(answer, set())
        if item in items:
            continue
        items.add(item)
        if answer not in shown:
            shown[answer] = Interleaved.from_json(orjson.loads(answers.teams[answer]), orjson.loads(answers.items[answer]))
        now_V = credit(shown[answer], items)
        click_times.append(int(events.time_E[event]))
        click_units.append(int(answers.unit_A[answer]))
        gains.append(now_V - had.get(answer, np.zeros(num_variants)))
        had[answer] = now_V
    time_C, unit_C = np.array(click_times, np.int64), np.array(click_units, np.int64)
    gains_CV = np.array(gains).reshape(len(gains), num_variants)
    found = []
    for look in looks:
        time = outcomes.period.last if look >= outcomes.end else microseconds(look)
        is_in_N = outcomes.units.exposed_N <= time
        is_past_C, is_past_A = time_C <= time, is_mixed_A & (answers.time_A <= time)
        credits_NV = np.stack([np.bincount(unit_C[is_past_C], gains_V[is_past_C], num_units) for gains_V in gains_CV.T], axis=1)
        answers_N = np.bincount(answers.unit_A[is_past_A], minlength=num_units)
        found.append(UnitCredits(credits_NV[is_in_N], answers_N[is_in_N]))
    return found


def _comparison(names: Sequence[str], over_time: Sequence[Preference], looks: Sequence[datetime]) -> Comparison:
    last = over_time[-1]
    return Comparison(
        metric=PREFERENCE,
        role="primary",
        variant=names[last.ranker],
        control=names[last.against],
        verdict=_verdict(last.always_interval),
        control_value=None,
        value=None,
        absolute=last.value,
        interval=_pair(last.always_interval),
        relative=None,
        relative_interval=None,
        p_value=last.always_p_value,
        level=last.level,
        fixed_interval=_pair(last.interval),
        fixed_relative_interval=None,
        fixed_p_value=last.p_value,
        variance_reduction=None,
        problem=last.problem or _burn_in(last),
        in_points="absolute",
        points=[
            Point(
                time=look.isoformat(),
                units=one.units,
                value=one.value,
                interval=_pair(one.always_interval),
                fixed=_pair(one.interval),
            )
            for one, look in zip(over_time, looks, strict=True)
        ],
    )


def _burn_in(last: Preference) -> str | None:
    return None if last.always_interval is not None else f"there are {last.units} units, too few to say something"


def _verdict(interval: Interval | None) -> Verdict:
    if interval is None:
        return "too early"
    return "better" if interval.low > 0 else "worse" if interval.high < 0 else "undecided"


def _pair(interval: Interval | None) -> Pair | None:
    return None if interval is None else [interval.low, interval.high]
