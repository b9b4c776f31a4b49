"""How likely a confidence sequence shows a difference by each look, and so what looking daily costs in units.

Shapes: T looks, G points of a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from app.experiments.statistics.sequences import best_scale, critical_value

LOOKS = 30
"""A month of days."""
_POINTS = 3.0
"""Of the grid for each standard deviation of a step; quadrature by Gauss and Legendre has converged then."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an always-valid comparison takes, in units of what one look at the end takes.

    Attributes:
        units: so many times as many at most.
        typical: so many times as many for half of the experiments that have just the minimum effect.
    """

    units: float
    typical: float


def crossed_by(drift: float, looks: int, *, level: float) -> np.ndarray:
    """The chance that a sequence has shown a difference by each of evenly spaced looks, float64 [T].

    The sum of what was seen is a Brownian motion with a drift; the part of it that stayed inside so far is carried from look to look
    by quadrature (Armitage, McPherson, Rowe 1969). The boundary is narrowest at the last look.

    Args:
        drift: the true difference over its standard error at the last look.
        looks: T.
        level: of the sequence.
    """
    times_T = np.arange(1, looks + 1) / looks
    ends_T = critical_value(best_scale(1.0 - level) * times_T, level) * np.sqrt(times_T)
    step = 1.0 / looks
    nodes_G, weights_G = np.polynomial.legendre.leggauss(50 + int(_POINTS * ends_T[-1] / np.sqrt(step)))
    inside_T = np.empty(looks)
    points_G, mass_G = np.zeros(1), np.ones(1)
    for look, end in enumerate(ends_T):
        next_G = end * nodes_G
        density_G = mass_G @ stats.norm.pdf(next_G, points_G[:, None] + drift * step, np.sqrt(step))
        points_G, mass_G = next_G, density_G * end * weights_G
        inside_T[look] = mass_G.sum()
    crossed_T: np.ndarray = np.maximum(1.0 - inside_T, 0.0)
    return crossed_T


@lru_cache(maxsize=64)
def cost_of_looking(level: float, power: float, looks: int) -> Cost:
    """How many more units it takes to find the same difference with the same power when looking `looks` times, evenly spread."""
    at_once = stats.norm.ppf((1.0 + level) / 2.0) + stats.norm.ppf(power)
    drift = float(brentq(lambda each: crossed_by(each, looks, level=level)[-1] - power, 0.0, 10.0 + 3.0 * at_once))
    units = float(drift / at_once) ** 2
    crossed_T = crossed_by(drift, looks, level=level)
    half = int(np.argmax(crossed_T >= min(0.5, power)))
    return Cost(units, units * (half + 1) / looks)
