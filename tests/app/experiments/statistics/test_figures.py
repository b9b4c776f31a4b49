"""What `tests.bench.inference` measures, in small, and that it measures the public functions."""

from __future__ import annotations

import numpy as np
import pytest

from app.experiments.statistics import Sample, difference, sequence
from app.experiments.statistics.moments import Moments, contrast
from tests.bench import inference, populations

DRAWS = {
    "binary": populations.binary(0.05),
    "skewed": populations.skewed,
    "quotient": populations.quotient,
    "before": populations.with_before,
    "quotient with before": populations.quotient_with_before,
}


def sample(columns_N4: np.ndarray) -> Sample:
    columns_4N = columns_N4.astype(np.float64).T
    names = ("numerator_N", "denominator_N", "before_numerator_N", "before_denominator_N")
    return Sample(**dict(zip(names, columns_4N, strict=True)))


@pytest.mark.parametrize("name", DRAWS)
def test_batched_intervals_are_those_of_the_public_functions(name: str):
    """Eight experiments with six looks each, unit by unit through `difference` and `sequence`; some differ, some do not."""
    rng = np.random.default_rng(0)
    looks, shown = [60, 150, 300, 500, 800, 1_200], []
    for lift in (0.0, 0.3, 1.0, 4.0) * 2:
        control, treatment = DRAWS[name](rng, (1_200,), 0.0), DRAWS[name](rng, (600,), lift)
        pairs = [(sample(control[:n]), sample(treatment[: n // 2])) for n in looks]
        stacked = [
            Moments(
                *(np.stack([getattr(pair[side].moments, part) for pair in pairs]) for part in ("units", "mean_4", "cov_44"))
            )
            for side in (0, 1)
        ]
        found = contrast(*stacked)
        steps = sequence(pairs, planned_units=1_500)
        batched = inference.sequence_shows(found, 1_500)
        assert batched.tolist() == [step.interval is not None and 0.0 not in step.interval for step in steps]
        shown += batched.tolist()
        absolute, relative = inference.fixed_intervals(found)
        for number, pair in enumerate(pairs):
            alone = difference(*pair)
            if alone.interval is not None:
                assert absolute[:, number] == pytest.approx([alone.interval.low, alone.interval.high])
            if alone.relative_interval is not None:
                assert relative[:, number] == pytest.approx([alone.relative_interval.low, alone.relative_interval.high])
    assert set(shown) == {True, False}


def test_populations_have_the_moments_of_their_units():
    """The running sums of both kinds of population, against units kept one by one."""
    units_T = np.array([10, 40])
    found = populations.settled(populations.quotient, np.random.default_rng(3), num_simulations=2, units_T=units_T)
    rng = np.random.default_rng(3)
    first = populations.quotient(rng, (2, 10), 0.0)
    everything = np.concatenate([first, populations.quotient(rng, (2, 30), 0.0)], axis=1).astype(np.float64)
    for simulation in range(2):
        expected = Moments.of(everything[simulation])
        assert found.mean_4[simulation, 1] == pytest.approx(expected.mean_4)
        assert found.cov_44[simulation, 1] == pytest.approx(expected.cov_44, abs=1e-9)
    back = populations.returning("click-through", np.random.default_rng(0), num_simulations=50, num_units=200, num_looks=10)
    assert back.units[:, -1].tolist() == [200.0] * 50
    assert np.all(np.diff(back.units * back.mean_4[..., 0], axis=1) > -1e-9)
    assert back.mean_4[:, -1, 0].mean() / back.mean_4[:, -1, 1].mean() == pytest.approx(1 / 6, rel=0.1)


def test_looking_daily_is_honest_with_sequences_and_not_without():
    """200 A/A experiments of each kind: none is wrong more often than 5% allow, and the naive daily look is, every time."""
    for row in inference.false_positives(200, seed=1):
        assert row.sequence <= 0.05, row
        assert row.daily > 0.12, row


def test_intervals_of_the_fixed_horizon_cover_what_they_should():
    """1,500 experiments, four standard errors (2.3 points) around 95%, with 1,000 units of each variant."""
    rows = [
        row for row in inference.coverage(1_500, seed=1) if min(row.control, row.treatment) >= 1_000 and "1%" not in row.users
    ]
    assert len(rows) == 6
    for row in rows:
        assert abs(row.absolute - 0.95) < 0.023, row
        assert abs(row.relative - 0.95) < 0.023, row


def test_power_is_as_planned():
    """400 experiments with just the minimum effect, four standard errors (8 points) around 80%, and half stop where the plan says."""
    for row in inference.power(400, seed=1):
        assert abs(row.once - row.planned) < 0.08, row
        assert abs(row.daily - row.planned) < 0.08, row
        assert row.median_units == pytest.approx(row.typical_units, rel=0.25), row


def test_the_mismatch_check_seldom_cries_wolf_and_sees_a_broken_assignment():
    healthy = inference.mismatch_alarms(0.5, 100, seed=1)
    assert healthy["red"] < 0.05 and healthy["always_valid"] < 0.02
    assert inference.mismatch_alarms(0.45, 30, seed=1)["red"] == 1.0


def test_betting_sequences_miss_no_more_often_than_they_say():
    assert inference.betting_misses(60, units=300, seed=1) <= 0.05
