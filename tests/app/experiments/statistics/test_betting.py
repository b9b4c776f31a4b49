"""Betting sequences against a second implementation, and their promise by enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from ville import BettingCS

from app.experiments.statistics import betting_sequence


@pytest.mark.parametrize("kind", ["binary", "rare", "smooth"])
def test_intervals_are_villes(kind: str):
    rng = np.random.default_rng(0)
    values = {"binary": rng.random(800) < 0.3, "rare": rng.random(800) < 0.02, "smooth": rng.beta(2.0, 5.0, 800)}[kind]
    values = values.astype(np.float64)
    looks = [1, 10, 100, 799, 800]
    theirs = BettingCS(grid=501, alpha=0.1).fit(values)
    ours = betting_sequence(values, looks, level=0.9, num_candidates=500)
    assert [each.low for each in ours] == pytest.approx([theirs.lower_[look - 1] for look in looks])
    assert [each.high for each in ours] == pytest.approx([theirs.upper_[look - 1] for look in looks])


@pytest.mark.parametrize("mean", [0.1, 0.5])
def test_no_more_than_the_promised_part_of_all_sequences_ever_misses(mean: float):
    """All 2^12 sequences of 12 binary values with their probabilities; what was excluded stays so, so the last interval tells."""
    missed = 0.0
    for values in product((0.0, 1.0), repeat=12):
        (last,) = betting_sequence(np.array(values), [12], level=0.7, num_candidates=100)
        missed += (mean not in last) * mean ** sum(values) * (1 - mean) ** (12 - sum(values))
    assert 0.0 < missed <= 0.3


def test_looks_and_bounds_do_not_change_what_is_found():
    values = np.random.default_rng(0).random(300)
    often = betting_sequence(values, list(range(0, 301, 10)))
    (once,) = betting_sequence(values, [300])
    assert often[-1] == once
    assert (often[0].low, often[0].high) == (0.0, 1.0)
    (shifted,) = betting_sequence(4.0 * values - 2.0, [300], bounds=(-2.0, 2.0))
    assert (shifted.low, shifted.high) == pytest.approx((4.0 * once.low - 2.0, 4.0 * once.high - 2.0))


def test_values_outside_of_the_bounds_are_refused():
    with pytest.raises(ValueError, match="within 0 and 1"):
        betting_sequence(np.array([0.5, 1.5]), [2])
