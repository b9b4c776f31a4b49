"""What is said of rankers from the credits of many units.

Shapes: A answers, N units, V rankers, R simulations.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("tea_tasting", reason="statistics need the extra experiments")

from app.experiments.interleaving.preference import Preference, UnitCredits, preferences
from app.experiments.statistics.sequences import best_scale, critical_value


def only(look: UnitCredits, **options: float) -> Preference:
    """The one pair of the one look."""
    ((found,),) = preferences([look], **options)  # type: ignore[arg-type]
    return found


def test_answers_are_added_up_unit_by_unit() -> None:
    found = UnitCredits.of(["u", "v", "u", "w"], np.array([[1.0, 0.0], [0.0, 2.0], [0.5, 1.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(found.credits_NV, [[1.5, 1.0], [0.0, 2.0], [0.0, 0.0]])
    np.testing.assert_array_equal(found.answers_N, [2, 1, 1])


def test_with_one_answer_a_unit_it_is_the_t_test_and_the_sign_test() -> None:
    """Expected values from scipy."""
    rng = np.random.default_rng(0)
    credits_NV = rng.integers(0, 4, (200, 2)).astype(float)
    found = only(UnitCredits(credits_NV, np.ones(200)))
    difference_N = credits_NV[:, 1] - credits_NV[:, 0]
    test = stats.ttest_1samp(difference_N, 0.0)
    interval = test.confidence_interval(0.95)
    assert found.value == pytest.approx(difference_N.mean())
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((interval.low, interval.high))
    better, worse = int((difference_N > 0).sum()), int((difference_N < 0).sum())
    assert (found.better, found.worse, found.equal) == (better, worse, 200 - better - worse)
    assert found.p_sign == pytest.approx(stats.binomtest(better, better + worse).pvalue)
    assert found.always_interval is not None
    assert found.always_interval.high - found.always_interval.low > found.interval.high - found.interval.low


def test_units_that_answer_alike_are_not_taken_for_many() -> None:
    """Copies of a unit's answers change neither the error nor p: what was learned of people stays the same."""
    rng = np.random.default_rng(1)
    credits_NV = rng.integers(0, 3, (50, 2)).astype(float)
    once, often = only(UnitCredits(credits_NV, np.ones(50))), only(UnitCredits(20 * credits_NV, np.full(50, 20)))
    assert once.value == pytest.approx(often.value)
    assert once.error == pytest.approx(often.error)
    assert once.p_value == pytest.approx(often.p_value)
    assert often.answers == 1_000


def test_the_interval_holds_the_truth_where_units_have_many_answers_or_few() -> None:
    """1,000 simulated experiments: units have 1, 5 or 20 answers, and those that ask much have another taste.

    The truth is the credit per answer in the population, by hand.
    """
    rng = np.random.default_rng(2)
    held = 0
    sizes = np.array([1, 5, 20])
    tastes = np.array([0.5, 0.2, -0.1])
    truth = (sizes * tastes).sum() / sizes.sum()
    for _ in range(1_000):
        kind_N = rng.integers(0, 3, 300)
        total_N = sizes[kind_N] * (tastes[kind_N] + rng.normal(0.0, 0.3, 300)) + rng.normal(0.0, 1.0, 300) * np.sqrt(
            sizes[kind_N]
        )
        found = only(UnitCredits(np.stack([np.zeros(300), total_N], axis=1), sizes[kind_N]))
        assert found.interval is not None
        held += truth in found.interval
    assert 0.93 <= held / 1_000 <= 0.97


def test_looking_again_and_again_finds_nothing_between_equals() -> None:
    """250 simulated experiments with 15 looks, between which units come, and come back.

    Fixed intervals fail more often than they say, always-valid ones do not.
    """
    rng = np.random.default_rng(3)
    fixed = always = 0
    for _ in range(250):
        sums_NV, answers_N = np.zeros((1_000, 2)), np.zeros(1_000)
        looks = []
        for at in range(15):
            came = rng.random(1_000) < 0.3
            came[50 * (at + 1) :] = False
            sums_NV = sums_NV + came[:, None] * rng.poisson(0.7, (1_000, 2))
            answers_N = answers_N + came
            here = answers_N > 0
            looks.append(UnitCredits(sums_NV[here], answers_N[here]))
        found = [pairs[0] for pairs in preferences(looks, planned_units=1_000, burn_in=30)]
        fixed += any(each.p_value is not None and each.p_value < 0.05 for each in found[2:])
        always += found[-1].is_significant
    assert fixed / 250 > 0.1
    assert always / 250 <= 0.05


def test_a_difference_is_shown_and_stays_shown() -> None:
    rng = np.random.default_rng(4)
    credits_NV = np.stack([rng.poisson(0.5, 2_000), rng.poisson(0.8, 2_000)], axis=1).astype(float)
    looks = [UnitCredits(credits_NV[:units], np.ones(units)) for units in (50, 500, 2_000)]
    # In the end the other ranker gets as much, and what was shown before counts all the same.
    looks.append(UnitCredits(np.concatenate([credits_NV, credits_NV[:, ::-1]]), np.ones(4_000)))
    found = [pairs[0] for pairs in preferences(looks, planned_units=2_000)]
    assert found[0].always_interval is None
    assert found[0].always_p_value == 1.0
    assert [each.is_significant for each in found] == [False, True, True, True]
    assert found[2].value is not None and found[2].value > 0


def test_units_that_come_back_count_as_if_they_were_more() -> None:
    """Time is the variance of the sum of credits, in units of the first look; the width by hand, from the boundary."""
    rng = np.random.default_rng(7)
    first_NV = rng.poisson(0.5, (200, 2)).astype(float)
    second_NV = first_NV + rng.poisson(0.5, (200, 2))
    looks = [UnitCredits(first_NV, np.ones(200)), UnitCredits(second_NV, np.full(200, 2))]
    (start,), (found,) = preferences(looks, planned_units=500)
    assert start.error is not None and found.error is not None and found.always_interval is not None
    time = 200 * (found.error * 400) ** 2 / (start.error * 200) ** 2
    assert time > 300
    reach = found.error * critical_value(best_scale(0.05) * time / 500, 0.95)
    assert found.always_interval.high - found.always_interval.low == pytest.approx(2 * reach)


def test_of_several_rankers_every_pair_is_compared() -> None:
    rng = np.random.default_rng(5)
    credits_NV = rng.poisson([0.5, 0.5, 1.5], (400, 3)).astype(float)
    (found,) = preferences([UnitCredits(credits_NV, np.ones(400))])
    assert [(each.ranker, each.against) for each in found] == [(1, 0), (2, 0), (2, 1)]
    assert [each.is_significant for each in found] == [False, True, True]


@pytest.mark.parametrize(
    ("look", "problem"),
    [
        (UnitCredits(np.zeros((0, 2)), np.zeros(0)), "no answers yet"),
        (UnitCredits(np.ones((1, 2)), np.ones(1)), "a single unit says nothing of others"),
        (UnitCredits(np.zeros((500, 2)), np.ones(500)), "all units have the same credits"),
    ],
)
def test_what_cannot_be_said_is_not_said(look: UnitCredits, problem: str) -> None:
    found = only(look)
    assert found.problem == problem
    assert found.interval is None and found.p_value is None and found.always_interval is None
    assert found.always_p_value == found.p_sign == 1.0
    assert not found.is_significant


def test_a_preference_is_json() -> None:
    rng = np.random.default_rng(6)
    found = only(UnitCredits(rng.poisson(0.5, (300, 2)).astype(float), np.ones(300)))
    kept = json.loads(json.dumps(found.as_json()))
    assert kept["units"] == 300
    assert kept["significant"] is False
    assert len(kept["interval"]) == len(kept["always_interval"]) == 2
