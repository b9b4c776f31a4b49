"""How many more units an experiment needs, from what it has seen so far."""

from __future__ import annotations

import numpy as np
from scipy import stats

from app.experiments.statistics import Look
from app.experiments.statistics.sequences import best_scale, critical_value

_HOPELESS = 1e12
"""Units beyond which no number is given."""


def units_needed(look: Look, level: float, minimum_effect: float, power: float, *, planned_units: int) -> int | None:
    """More units, of both variants together, until a minimum effect would be seen with some power by the confidence sequence.

    Reckoned as if the variance of the difference went on falling with the number of units.

    Args:
        look: the last one.
        level: of its interval.
        minimum_effect: as a part of the control's value.
        power: the chance of seeing it.
        planned_units: as in the sequence.

    Returns:
        None where the look says too little to reckon with.
    """
    control = look.control.value
    if look.problem is not None or look.interval is None or control is None or control <= 0:
        return None
    units, scale = look.control.units + look.treatment.units, best_scale(1.0 - level) / planned_units
    error = (look.interval.high - look.interval.low) / 2.0 / float(critical_value(scale * units, level))
    certainty = float(stats.norm.ppf(power))

    def is_enough(wanted: float) -> bool:
        reach = float(critical_value(scale * wanted, level))
        return bool((reach + certainty) * error * np.sqrt(units / wanted) <= minimum_effect * control)

    low, high = 0.0, float(units)
    while not is_enough(high):
        low, high = high, 2.0 * high
        if high > _HOPELESS:
            return None
    while high - low > 1.0:
        middle = (low + high) / 2.0
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return max(int(np.ceil(high)) - units, 0)
