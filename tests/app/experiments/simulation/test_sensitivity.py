"""How many units a comparison needs, against what theory says.

Shapes: N units.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the t-test needs the extra experiments")

from app.experiments.simulation import needed, power, rejections

_RNG = np.random.default_rng(0)
NORMAL_N = _RNG.normal(size=50_000)
NORMAL_N = (NORMAL_N - NORMAL_N.mean()) / NORMAL_N.std()


@pytest.mark.parametrize(("effect", "units"), [(0.5, 34), (0.2, 199), (0.02, 19_624)])
def test_one_sample_needs_what_the_tables_say(effect: float, units: int) -> None:
    """At 5% two-sided and 80% power.

    Student's t: 34 for an effect of half a standard deviation and 199 for a fifth (Cohen 1988). By the normal approximation,
    (1.960 + 0.842)² / effect² + 2 = 19,624 for a fiftieth.
    """
    assert needed([NORMAL_N + effect], np.random.default_rng(1)) == pytest.approx(units, rel=0.06)


def test_two_samples_need_four_times_as_many() -> None:
    """Two groups of 64 find half a standard deviation (Cohen 1988)."""
    assert needed([NORMAL_N, NORMAL_N + 0.5], np.random.default_rng(2)) == pytest.approx(128, rel=0.06)
    assert needed([NORMAL_N, NORMAL_N - 0.5], np.random.default_rng(2)) == pytest.approx(128, rel=0.06)


def test_power_is_met_with_what_is_needed() -> None:
    """Also where values are few and skewed: clicks."""
    rng = np.random.default_rng(3)
    clicks_N = rng.poisson(0.4, 20_000) - rng.poisson(0.25, 20_000)
    units = round(needed([clicks_N.astype(float)], rng))
    assert power([clicks_N.astype(float)], units, rng, experiments=4_000) == pytest.approx(0.8, abs=0.03)


def test_without_a_difference_one_in_twenty_is_found() -> None:
    low, high = rejections([NORMAL_N, NORMAL_N], 200, np.random.default_rng(4), experiments=4_000)
    assert low == pytest.approx(0.025, abs=0.009)
    assert high == pytest.approx(0.025, abs=0.009)
    assert rejections([np.zeros(100)], 50, np.random.default_rng(4)) == (0.0, 0.0)
    assert needed([np.zeros(100)], np.random.default_rng(4)) == np.inf
