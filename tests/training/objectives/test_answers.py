"""Losses of answer selection against sums written out by hand.

Shapes: B questions, N answers.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from training.objectives.answers import deception_rewards, hinge_loss, logistic_loss, right_answers_loss

RIGHT_BN = torch.tensor([[True, True, False, False, False], [False, False, True, False, False], [False] * 5])
PICKS_BN = torch.tensor([[0.0, 0.0, 0.2, 0.3, 0.5], [0.6, 0.4, 0.0, 0.0, 0.0], [0.0] * 5])


def scores_BN() -> Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()


def test_the_hinge_loss_is_the_mean_over_right_answers_of_what_picks_cost() -> None:
    """Three right answers, two of them of the first question; the third question has none and costs nothing."""
    scores = scores_BN()
    s = scores.detach().numpy()
    costs = [
        sum(float(PICKS_BN[b, k]) * max(0.0, 0.3 - s[b, right] + s[b, k]) for k in range(5))
        for b, right in ((0, 0), (0, 1), (1, 2))
    ]
    loss = hinge_loss(scores, RIGHT_BN, PICKS_BN, margin=0.3)
    assert loss.item() == pytest.approx(np.mean(costs), rel=1e-6)


def test_the_logistic_loss_is_the_log_odds_of_the_difference() -> None:
    """−log σ(difference / τ), weighted by the picks, over the three right answers."""
    scores = scores_BN()
    s = scores.detach().numpy()
    costs = [
        sum(float(PICKS_BN[b, k]) * math.log1p(math.exp((s[b, k] - s[b, right]) / 0.5)) for k in range(5))
        for b, right in ((0, 0), (0, 1), (1, 2))
    ]
    assert logistic_loss(scores, RIGHT_BN, PICKS_BN, temperature=0.5).item() == pytest.approx(np.mean(costs), rel=1e-6)


def test_the_expected_loss_is_what_draws_from_the_picks_cost_on_average() -> None:
    """All pairs of draws of two questions, each with its probability: what the official code samples, summed over everything."""
    s = scores_BN().detach().numpy()
    right, picks = RIGHT_BN[1:2].repeat(2, 1), PICKS_BN[1:2].repeat(2, 1)
    twice = torch.from_numpy(np.stack([s[0], s[1]]))
    expected = 0.0
    for one, other in itertools.product(range(5), range(5)):
        chance = float(picks[0, one] * picks[1, other])
        expected += chance * np.mean([max(0.0, 0.3 - twice[b, 2] + twice[b, k]) for b, k in ((0, one), (1, other))])
    assert hinge_loss(twice, right, picks, margin=0.3).item() == pytest.approx(expected, rel=1e-6)


def test_no_gradient_flows_into_the_picks() -> None:
    picks = PICKS_BN.clone().requires_grad_()
    scores = scores_BN()
    hinge_loss(scores, RIGHT_BN, picks, margin=0.3).backward()
    assert picks.grad is None
    assert scores.grad is not None and scores.grad[2].abs().sum() == 0


def test_rewards_are_high_for_answers_before_the_right_ones() -> None:
    """2σ((m − s⁺ + s) / τ) − 1, the mean over the right answers; at s = s⁺ − m it is zero."""
    scores = torch.tensor([[1.0, 0.5, 0.8, 2.0]])
    right = torch.tensor([[True, False, False, False]])
    rewards = deception_rewards(scores, right, margin=0.2, temperature=0.1)
    assert rewards[0, 2].item() == pytest.approx(0.0, abs=1e-6)
    assert rewards[0, 1].item() == pytest.approx(2 / (1 + math.exp(3.0)) - 1, rel=1e-5)
    assert rewards[0, 3].item() > 0.99
    both = deception_rewards(scores, torch.tensor([[True, True, False, False]]), margin=0.2, temperature=0.1)
    alone = [
        deception_rewards(scores, torch.tensor([[place == which for place in range(4)]]), margin=0.2, temperature=0.1)
        for which in (0, 1)
    ]
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)


def test_a_question_without_right_answers_rewards_nothing_and_no_gradient_flows() -> None:
    scores = scores_BN()
    rewards = deception_rewards(scores, RIGHT_BN, margin=0.2, temperature=0.1)
    assert torch.equal(rewards[2], torch.zeros(5, dtype=torch.float64))
    assert not rewards.requires_grad


def test_the_likelihood_is_among_what_competes_alone() -> None:
    """Written out for two questions; a question without a right answer does not count."""
    competing = torch.tensor([[True, True, True, False, False], [False, False, True, True, True], [True] * 5])
    scores = scores_BN()
    s = scores.detach().numpy() / 0.5
    first = np.log(np.exp(s[0, :3]).sum()) - s[0, :2].mean()
    second = np.log(np.exp(s[1, 2:]).sum()) - s[1, 2]
    loss = right_answers_loss(scores, RIGHT_BN, competing, temperature=0.5)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-6)
    loss.backward()
    assert scores.grad is not None and scores.grad[0, 3:].abs().sum() == 0 and torch.isfinite(scores.grad).all()
