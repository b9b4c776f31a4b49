"""Estimators against exact expectations, by enumeration of all logs that a small bandit can give."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from tests.training.evaluation.counterfactual.bandits import (
    CONTEXTS_X,
    LOGGING_XA,
    RATES_XA,
    TARGET_XA,
    TRUTH,
    outcomes,
    weighted,
)
from training.evaluation.counterfactual.estimators import (
    Weighted,
    direct_method,
    doubly_robust,
    ips,
    logging_value,
    snips,
    switch_dr,
)

WRONG_XA = np.array([[0.9, 0.1, 0.5], [0.0, 0.8, 0.2]])
"""A reward model that is far off."""
WRONG_LOGGING_XA = np.full((2, 3), 1 / 3)
"""Propensities that are not those of the log."""


def expectation(estimate: Callable[[Weighted], float], **options: np.ndarray) -> float:
    """Of an estimator over all 144 logs of two rows, each with its probability."""
    contexts, actions, rewards, probs = outcomes()
    total = 0.0
    for pair in product(range(len(probs)), repeat=2):
        rows = np.array(pair)
        total += probs[rows].prod() * estimate(weighted(contexts[rows], actions[rows], rewards[rows], **options))
    return total


def population(num_rows: int = 200_000, **options: np.ndarray) -> Weighted:
    """A log that has every outcome as often as is expected; the probabilities are multiples of 1/2000, so nothing is rounded."""
    contexts, actions, rewards, probs = outcomes()
    counts = np.round(probs * num_rows).astype(int)
    assert counts.sum() == num_rows
    assert counts == pytest.approx(probs * num_rows)
    rows = np.repeat(np.arange(len(probs)), counts)
    return weighted(contexts[rows], actions[rows], rewards[rows], **options)


def test_ips_is_unbiased_whatever_the_reward_model():
    assert expectation(lambda log: ips(log).value, expected_XA=WRONG_XA) == pytest.approx(TRUTH, abs=1e-12)


def test_doubly_robust_is_unbiased_with_a_wrong_model_or_with_wrong_propensities_but_not_with_both():
    assert expectation(lambda log: doubly_robust(log).value, expected_XA=WRONG_XA) == pytest.approx(TRUTH, abs=1e-12)
    assert expectation(lambda log: doubly_robust(log).value, logging_XA=WRONG_LOGGING_XA) == pytest.approx(TRUTH, abs=1e-12)
    both = expectation(lambda log: doubly_robust(log).value, logging_XA=WRONG_LOGGING_XA, expected_XA=WRONG_XA)
    assert abs(both - TRUTH) > 0.05


def test_the_direct_method_is_as_right_as_its_model():
    assert expectation(lambda log: direct_method(log).value) == pytest.approx(TRUTH, abs=1e-12)
    wrong = float(CONTEXTS_X @ (TARGET_XA * WRONG_XA).sum(axis=1))
    assert expectation(lambda log: direct_method(log).value, expected_XA=WRONG_XA) == pytest.approx(wrong, abs=1e-12)


def test_self_normalised_ips_is_biased_in_small_logs_and_consistent():
    """Two rows leave a bias; a log with every outcome in its expected number leaves none."""
    assert abs(expectation(lambda log: snips(log).value) - TRUTH) > 0.01
    assert snips(population()).value == pytest.approx(TRUTH, abs=1e-12)


def test_on_the_whole_population_all_estimators_agree_and_the_logging_policy_has_its_own_value():
    log = population()
    logging = float(CONTEXTS_X @ (LOGGING_XA * RATES_XA).sum(axis=1))
    assert logging_value(log).value == pytest.approx(logging, abs=1e-12)
    for estimate in (ips, snips, direct_method, doubly_robust):
        assert estimate(log).value == pytest.approx(TRUTH, abs=1e-12)
    assert switch_dr(log)[0].value == pytest.approx(TRUTH, abs=1e-12)


def test_self_normalised_ips_moves_with_the_rewards_and_stays_in_their_range():
    """Rewards that are a constant come out as it; IPS gives the constant times the mean weight."""
    log = weighted(np.array([0, 1, 1]), np.array([1, 0, 2]), np.full(3, 5.0))
    assert snips(log).value == pytest.approx(5.0)
    assert ips(log).value == pytest.approx(5.0 * log.weights_N.mean())
    assert snips(log).standard_error == pytest.approx(0.0, abs=1e-12)


def test_a_threshold_of_zero_is_the_direct_method_and_one_above_all_weights_is_doubly_robust():
    from training.evaluation.counterfactual.estimators import _switched  # noqa: PLC0415 - its extremes are not public

    contexts, actions, rewards, _ = outcomes()
    log = weighted(contexts, actions, rewards, expected_XA=WRONG_XA)
    assert _switched(log, 0.0).value == pytest.approx(direct_method(log).value, abs=1e-15)
    assert _switched(log, log.weights_N.max()).value == pytest.approx(doubly_robust(log).value, abs=1e-15)
    between = _switched(log, float(np.median(log.weights_N)))
    kept = log.weights_N <= np.median(log.weights_N)
    assert between.value == pytest.approx((log.predictions.direct + kept * log.corrections).mean())
    assert between.bias == pytest.approx(abs((~kept * log.corrections).mean()))


def test_the_switch_trusts_a_right_model_and_leaves_a_wrong_one():
    """With the true rates corrections are noise, and the large weights go; with wrong ones on the population they all stay."""
    rng = np.random.default_rng(0)
    contexts, actions, rewards, probs = outcomes()
    rows = rng.choice(len(probs), size=400, p=probs)
    right = weighted(contexts[rows], actions[rows], rewards[rows])
    found, threshold = switch_dr(right)
    assert threshold < right.weights_N.max()
    assert found.standard_error < doubly_robust(right).standard_error
    wrong = population(expected_XA=WRONG_XA)
    found, threshold = switch_dr(wrong)
    assert threshold == wrong.weights_N.max()
    assert found.value == pytest.approx(doubly_robust(wrong).value)


def test_a_target_that_the_log_never_does_is_worth_nothing_to_ips_and_breaks_nothing():
    log = weighted(np.array([0, 1, 1]), np.array([1, 0, 2]), np.ones(3))
    nothing = Weighted(rewards_N=log.rewards_N, weights_N=np.zeros(3), clusters_N=log.clusters_N, predictions=log.predictions)
    assert (ips(nothing).value, snips(nothing).value) == (0.0, 0.0)
    assert doubly_robust(nothing).value == direct_method(nothing).value == switch_dr(nothing)[0].value
