"""Shares that follow what was seen, and estimates that stay right all the same.

Shapes: N units, V variants, P periods, R draws or simulated experiments.
"""

from __future__ import annotations

from math import lgamma, log
from statistics import NormalDist

import numpy as np
import pytest

from app.experiments.bandit import MIN_UNITS, Arm, Assigned, Weighted, allocate, arm, best_chances, stratified, weighted


def binary(units: int, hits: int) -> Arm:
    return Arm(units, hits, hits)


def test_the_chance_of_being_best_is_that_of_two_betas() -> None:
    """P(B > A) for A ~ Beta(α, β), B ~ Beta(γ, δ) with whole parameters is a finite sum (Evan Miller's, by integration by parts)."""

    def log_beta(a: float, b: float) -> float:
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    alpha, beta, gamma, delta = 1 + 12, 1 + 88, 1 + 21, 1 + 99
    exact = sum(
        np.exp(log_beta(alpha + i, beta + delta) - log(delta + i) - log_beta(1 + i, delta) - log_beta(alpha, beta))
        for i in range(gamma)
    )
    found_V = best_chances([binary(100, 12), binary(120, 21)], np.random.default_rng(0), model="binary", num_draws=200_000)
    assert found_V[1] == pytest.approx(exact, abs=0.004)
    assert found_V.sum() == pytest.approx(1.0)


def test_the_chance_of_being_best_is_that_of_two_normal_means() -> None:
    """With many units Student's t is normal: Φ(difference / √(sum of squared errors))."""
    first, second = Arm(5_000, 5_000 * 1.0, 5_000 * (4.0 + 1.0)), Arm(3_000, 3_000 * 1.05, 3_000 * (1.0 + 1.05**2))
    exact = NormalDist().cdf(0.05 / np.sqrt(4.0 / 5_000 + 1.0 / 3_000))
    found_V = best_chances([first, second], np.random.default_rng(0), num_draws=200_000)
    assert found_V[1] == pytest.approx(exact, abs=0.004)
    turned_V = best_chances([first, second], np.random.default_rng(0), higher_is_better=False, num_draws=200_000)
    assert turned_V[0] == pytest.approx(exact, abs=0.004)


def test_equals_share_equally_and_alike_values_are_no_reason_to_prefer() -> None:
    found_V = best_chances([binary(200, 20)] * 4, np.random.default_rng(0), model="binary")
    np.testing.assert_allclose(found_V, 0.25, atol=0.015)
    np.testing.assert_allclose(best_chances([Arm(50, 50, 50)] * 2, np.random.default_rng(0)), 0.5)


def test_nobody_gets_less_than_the_floor_and_all_is_given_away() -> None:
    shares_V = allocate(
        [binary(1_000, 10), binary(1_000, 500), binary(1_000, 20)], np.random.default_rng(0), floor=0.1, model="binary"
    )
    np.testing.assert_allclose(shares_V, [0.1, 0.8, 0.1])
    np.testing.assert_allclose(allocate([binary(99, 1), binary(99, 90)], np.random.default_rng(0), floor=0.5), 0.5)


def test_shares_stay_equal_until_everything_was_seen_a_little() -> None:
    shares_V = allocate([binary(MIN_UNITS - 1, 0), binary(500, 400)], np.random.default_rng(0), floor=0.05, model="binary")
    np.testing.assert_array_equal(shares_V, [0.5, 0.5])


def test_the_same_generator_gives_the_same_shares() -> None:
    arms = [binary(100, 10), binary(100, 14)]
    first_V, second_V = (allocate(arms, np.random.default_rng(3), floor=0.05, model="binary") for _ in range(2))
    np.testing.assert_array_equal(first_V, second_V)


def test_with_equal_propensities_weighting_changes_nothing() -> None:
    """A plain mean with its usual error, and what is added up is what there is."""
    rng = np.random.default_rng(0)
    values_N = rng.normal(3.0, 2.0, 400)
    assigned = Assigned(numerator_N=values_N, propensity_N=np.full(400, 0.25))
    found, added = weighted(assigned), arm(assigned)
    assert found.value == pytest.approx(values_N.mean())
    assert found.error == pytest.approx(values_N.std() / 20.0)
    assert (added.units, added.total, added.squares) == pytest.approx((400.0, values_N.sum(), (values_N**2).sum()))


def test_weighted_units_tell_as_much_as_they_are_said_to() -> None:
    """What is added up has the same mean and the same standard error, and less than there are units."""
    rng = np.random.default_rng(1)
    assigned = Assigned(
        numerator_N=rng.poisson(2.0, 500) * 1.0, denominator_N=rng.integers(1, 6, 500), propensity_N=rng.uniform(0.1, 0.9, 500)
    )
    found, added = weighted(assigned), arm(assigned)
    assert added.mean == pytest.approx(found.value)
    assert np.sqrt(added.variance / (added.units / (added.units - 1.0)) / added.units) == pytest.approx(found.error)
    assert 100 < added.units < 450
    alike = arm(Assigned(numerator_N=np.ones(4), propensity_N=np.array([0.5, 0.5, 0.25, 0.25])))
    assert (alike.units, alike.mean, alike.variance) == pytest.approx((12**2 / 40, 1.0, 0.0))


def test_quotients_are_weighted_above_and_below() -> None:
    """By hand: units with weights 2 and 4, clicks 1 and 3, impressions 2 and 4: (2 + 12) / (4 + 16)."""
    found = weighted(
        Assigned(numerator_N=np.array([1.0, 3.0]), denominator_N=np.array([2.0, 4.0]), propensity_N=np.array([0.5, 0.25]))
    )
    assert found.value == pytest.approx(0.7)
    assert found.error == pytest.approx(np.hypot(2 * (1 - 1.4), 4 * (3 - 2.8)) / 20)


def test_strata_compare_within_periods() -> None:
    """By hand: two periods of 6 and 4 units. Of the first variant: means 1.5 and 4, so (6 · 1.5 + 4 · 4) / 10; variances 1/2 and 2."""
    first = Assigned(numerator_N=np.array([1.0, 2.0, 3.0, 5.0]), propensity_N=np.ones(4), period_N=np.array([7, 7, 9, 9]))
    second = Assigned(
        numerator_N=np.array([1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 9.0]),
        propensity_N=np.ones(7),
        period_N=np.array([7, 7, 7, 7, 9, 9, 8]),
    )
    (one, other), part = stratified([first, second])
    assert one.value == pytest.approx(2.5)
    assert one.error == pytest.approx(np.sqrt(0.6**2 * 0.5 / 2 + 0.4**2 * 2.0 / 2))
    assert (other.value, other.error) == pytest.approx((1.4, 0.0))
    assert part == pytest.approx(10 / 11)
    with pytest.raises(ValueError, match="no period has two units"):
        stratified([first, Assigned(numerator_N=np.ones(1), propensity_N=np.ones(1), period_N=np.array([7]))])


def test_differences_have_an_interval_and_a_p_value() -> None:
    found = Weighted(0.5, 0.03).minus(Weighted(0.4, 0.04))
    assert found.value == pytest.approx(0.1)
    assert found.error == pytest.approx(0.05)
    assert found.interval() == pytest.approx((0.1 - 1.96 * 0.05, 0.1 + 1.96 * 0.05), abs=1e-5)
    assert found.p_value == pytest.approx(0.0455, abs=1e-4)
    assert Weighted(0.0, 0.0).p_value == 1.0


class Run:
    """A simulated experiment: the base rate rises from period to period, and shares react to what was seen."""

    def __init__(
        self, rng: np.random.Generator, rates_V: np.ndarray, trend: float, *, periods: int, units: int, floor: float
    ) -> None:
        num_variants = len(rates_V)
        shares_V = np.full(num_variants, 1.0 / num_variants)
        rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self.lost = 0.0
        for period in range(periods):
            variant_N = rng.choice(num_variants, units, p=shares_V)
            rates_N = rates_V[variant_N] + trend * period / (periods - 1)
            rows.append((variant_N, (rng.random(units) < rates_N) * 1.0, shares_V[variant_N], np.full(units, period)))
            self.lost += float((rates_V.max() - rates_V[variant_N]).sum())
            shares_V = allocate([arm(each) for each in self.split(rows)], rng, floor=floor, model="binary", num_draws=1_000)
        self.variants = self.split(rows)

    @staticmethod
    def split(rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> list[Assigned]:
        variant_N, value_N, propensity_N, period_N = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        return [
            Assigned(numerator_N=value_N[mine], propensity_N=propensity_N[mine], period_N=period_N[mine])
            for mine in (variant_N == v for v in range(variant_N.max() + 1))
        ]


@pytest.mark.parametrize("effect", [0.0, 0.04])
def test_intervals_hold_the_truth_although_shares_and_base_rate_move_together(effect: float) -> None:
    """200 simulated experiments whose base rate rises from 10% to 50%.

    Plain means hold the true difference in far fewer than 95 of 100 experiments; weights and strata in 95, and strata are a little narrower.
    """
    rng = np.random.default_rng(0)
    held = {"naive": 0, "weighted": 0, "stratified": 0}
    errors: dict[str, list[float]] = {"weighted": [], "stratified": []}
    for _ in range(200):
        variants = Run(rng, np.array([0.1, 0.1 + effect]), 0.4, periods=12, units=150, floor=0.1).variants
        plain = [Assigned(numerator_N=each.numerator_N, propensity_N=np.ones(len(each.numerator_N))) for each in variants]
        found = {
            "naive": weighted(plain[1]).minus(weighted(plain[0])),
            "weighted": weighted(variants[1]).minus(weighted(variants[0])),
        }
        (control, treatment), part = stratified(variants)
        assert part > 0.95
        found["stratified"] = treatment.minus(control)
        for name, difference in found.items():
            low, high = difference.interval()
            held[name] += low <= effect <= high
            if name in errors:
                errors[name].append(difference.error)
    assert held["naive"] / 200 < 0.85
    assert 0.92 <= held["weighted"] / 200 <= 0.98
    assert 0.92 <= held["stratified"] / 200 <= 0.98
    assert np.mean(errors["stratified"]) < np.mean(errors["weighted"])


def test_less_is_lost_than_with_equal_shares() -> None:
    """Successes missed against always having had the best variant, over 40 simulated experiments of four variants."""
    rng = np.random.default_rng(1)
    rates_V = np.array([0.10, 0.10, 0.12, 0.16])
    lost = [Run(rng, rates_V, 0.0, periods=20, units=250, floor=0.02).lost for _ in range(40)]
    equal = 20 * 250 * float((rates_V.max() - rates_V).mean())
    assert np.mean(lost) < 0.6 * equal
