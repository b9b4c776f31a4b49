"""Confidence sequences against a second implementation, their definition, and what may not break them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ville import AsymptoticABTest, AsymptoticCS
from ville._boundaries import best_rho, normal_mixture

from app.experiments.statistics import Sample, look, sequence
from app.experiments.statistics.sequences import best_scale, critical_value, elapsed, p_values
from tests.app.experiments.statistics.made import visits


def growing(control_N: np.ndarray, treatment_N: np.ndarray, looks: list[int]) -> list[tuple[Sample, Sample]]:
    return [(Sample(numerator_N=control_N[:n]), Sample(numerator_N=treatment_N[:n])) for n in looks]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_the_boundary_is_robbins_normal_mixture_narrowest_where_planned(level: float):
    """Against ville: c(t) standard errors are its boundary √((v + ρ) ln((v + ρ)/(ρα²))) over √v, with ρ found by minimising it."""
    planned = 700.0
    rho = best_rho(planned, 1 - level)
    assert best_scale(1 - level) / planned == pytest.approx(1 / rho, rel=1e-4)
    for time in (1.0, 50.0, 700.0, 1e5):
        ours = critical_value(best_scale(1 - level) * time / planned, level)
        assert ours == pytest.approx(normal_mixture(time, 1 - level, rho) / np.sqrt(time), rel=1e-6)


def test_a_look_at_one_mean_is_villes_asymptotic_sequence():
    """With units that spread alike, the sequence for a difference is, by definition, that of one mean with variance n · Var."""
    rng = np.random.default_rng(0)
    values = rng.exponential(1.0, 3_000)
    ours = [
        critical_value(best_scale(0.05) * n / 2_000, 0.95) * values[:n].std(ddof=1) / np.sqrt(n) for n in range(100, 3_001, 100)
    ]
    theirs = AsymptoticCS(alpha=0.05, t_opt=2_000).fit(values)
    half = (theirs.upper_ - theirs.lower_)[99::100] / 2
    assert ours == pytest.approx(half, rel=1e-4)


def test_a_difference_is_close_to_villes_test_of_the_treatments_effect():
    """Theirs weights outcomes by propensities, ours subtracts means: asymptotically the same, here within 4% of the width."""
    rng = np.random.default_rng(1)
    treated = np.tile([0, 1], 4_000)
    outcome = rng.gamma(2.0, 1.0, 8_000) + 0.1 * treated
    theirs = AsymptoticABTest(t_opt=8_000).fit(outcome, treated)
    sizes = [1_000, 2_000, 4_000]
    for size, step in zip(
        sizes, sequence(growing(outcome[treated == 0], outcome[treated == 1], sizes), planned_units=8_000), strict=True
    ):
        low, high = theirs.lower_[2 * size - 1], theirs.upper_[2 * size - 1]
        assert step.interval is not None
        assert step.interval.low == pytest.approx(low, abs=0.04 * (high - low))
        assert step.interval.high == pytest.approx(high, abs=0.04 * (high - low))


def test_p_falls_below_alpha_exactly_when_the_interval_leaves_zero_out():
    times = best_scale(0.05) * np.geomspace(0.01, 100, 50)
    at_boundary = critical_value(times, 0.95)
    assert p_values(at_boundary, times) == pytest.approx(0.05)
    assert p_values(0.0, times) == pytest.approx(1.0)


def test_p_never_rises_and_remembers_a_difference_that_went_away():
    rng = np.random.default_rng(0)
    control = rng.normal(0.0, 1.0, 4_000)
    treatment = np.concatenate([rng.normal(0.5, 1.0, 500), rng.normal(-0.1, 1.0, 3_500)])
    steps = sequence(growing(control, treatment, [300, 500, 1_000, 4_000]), planned_units=1_000)
    p = [step.p_value for step in steps]
    assert p == sorted(p, reverse=True)
    assert steps[1].is_significant and steps[-1].is_significant
    assert steps[-1].interval is not None and 0.0 in steps[-1].interval


def test_the_relative_interval_holds_zero_exactly_when_the_absolute_one_does():
    seen = set()
    for seed in range(60):
        step = look(visits(200, seed=seed), visits(200, seed=seed + 100, lift=0.05), planned_units=400)
        assert step.interval is not None and step.relative_interval is not None
        assert (0.0 in step.interval) == (0.0 in step.relative_interval)
        assert step.relative in step.relative_interval
        seen.add(0.0 in step.interval)
    assert seen == {True, False}


def test_a_control_that_could_be_zero_has_no_relative_interval():
    control = np.zeros(200)
    control[:2] = 1.0
    step = look(Sample(numerator_N=control), Sample(numerator_N=np.arange(200.0) % 2))
    assert step.interval is not None and step.relative_interval is None and step.relative is not None


def test_the_burn_in_says_nothing_and_the_clock_starts_after_it():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 1_000))
    steps = sequence(growing(*values, [0, 1, 50, 99, 100, 1_000]))
    assert [step.interval is None for step in steps] == [True, True, True, True, False, False]
    assert [step.p_value for step in steps[:4]] == [1.0] * 4
    assert steps[3].problem is not None and "99 units" in steps[3].problem
    assert "no units" in (steps[0].problem or "")
    assert steps[4] == sequence(growing(*values, [100]))[0]
    for step in steps:
        json.dumps(step.as_json(), allow_nan=False)


def rated_by_few(seed: int) -> list[tuple[Sample, Sample]]:
    """One user in a hundred rates, in both variants alike; thirty looks."""
    rng = np.random.default_rng(seed)
    num = 3_000
    variant_N, has_rated_N = rng.integers(0, 2, num), rng.random(num) < 0.01
    ratings_N = rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], num, p=[0.05, 0.1, 0.2, 0.35, 0.3]) * has_rated_N
    return [
        tuple(
            Sample(numerator_N=ratings_N[:n][own_N], denominator_N=has_rated_N[:n][own_N].astype(np.float64))
            for own_N in (variant_N[:n] == 0, variant_N[:n] == 1)
        )
        for n in range(100, num + 1, 100)
    ]


def test_the_burn_in_of_a_quotient_waits_for_units_that_say_something_of_it():
    """The spread of two or three ratings is known badly: taken for good, it found a difference in one of four experiments without one."""
    last = [sequence(rated_by_few(seed))[-1] for seed in range(20)]
    assert all(step.interval is None and step.p_value == 1.0 for step in last)
    assert last[0].problem is not None and "as much to divide by as " in last[0].problem
    stated = [sequence(rated_by_few(seed), burn_in=1)[-1] for seed in range(20)]
    assert sum(step.p_value < 0.05 for step in stated) > 1


def test_a_few_heavy_units_are_few_however_many_light_ones_there_are():
    """(150 · 1 + 100)² / (150 · 1 + 100²) is 6; as when a bandit's floor gives the units of one variant a hundredfold weight."""
    rng = np.random.default_rng(0)
    heavy_N = np.append(np.ones(150), 100.0)
    heavy, even = (
        Sample(numerator_N=rng.random(151) * each_N, denominator_N=each_N) for each_N in (heavy_N, np.full(151, 7.0))
    )
    assert (float(heavy.moments.telling), float(even.moments.telling)) == (pytest.approx(62_500 / 10_150), 151.0)
    assert look(heavy, even).interval is None and look(even, even).interval is not None


def test_time_is_units_where_outcomes_are_final_and_more_where_they_grow():
    """Doubling what the same units did doubles Σ(y − ȳ)² four times over; a variance that shrinks turns no clock back."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 100_000))
    final = sequence(growing(*values, [10_000, 100_000]), planned_units=10_000)[-1]
    assert final.interval is not None and final.treatment.error is not None
    reach = (final.interval.high - final.interval.low) / 2 / np.hypot(final.control.error or 0.0, final.treatment.error)
    assert reach == pytest.approx(critical_value(best_scale(0.05) * 20.0, 0.95), rel=0.01)
    units, usable = np.full(4, 1_000.0), np.array([False, True, True, True])
    assert elapsed(units, np.array([1.0, 2.0, 8.0, 5.0]), usable).tolist() == [0.0, 1_000.0, 4_000.0, 4_000.0]
    assert elapsed(units, np.ones(4), np.zeros(4, dtype=bool)).tolist() == [0.0] * 4


def test_cuped_narrows_a_sequence_too():
    """The part 1 − r² of the variance is left, so a width of √(1 − .64) = .6."""
    rng = np.random.default_rng(2)
    samples = []
    for _ in range(2):
        before = rng.normal(0.0, 1.0, 5_000)
        samples.append((0.8 * before + 0.6 * rng.normal(0.0, 1.0, 5_000), before))
    plain = look(*(Sample(numerator_N=now) for now, _ in samples))
    adjusted = look(*(Sample(numerator_N=now, before_numerator_N=before) for now, before in samples))
    widths = [step.interval.high - step.interval.low for step in (adjusted, plain) if step.interval is not None]
    assert widths[0] / widths[1] == pytest.approx(0.6, rel=0.03)


def test_no_looks_give_no_intervals():
    assert sequence([]) == []
