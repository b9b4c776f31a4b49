"""Losses of learning to rank against values derived by hand and against enumeration.

Shapes: R lists, C candidates, M members, P pairs.
"""

from __future__ import annotations

import math

import pytest
import torch

from training.objectives import learning_to_rank as ranking


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def test_top_one_probabilities_are_a_softmax_of_grades_among_those_that_are_there() -> None:
    """Grades 0 and log 3 make ¼ and ¾; the place without a candidate gets nothing, though its grade is the highest."""
    grades_RC = torch.tensor([[0.0, math.log(3.0), 9.0]])
    probs_RC = ranking.top_one_probs(grades_RC, torch.tensor([[False, False, True]]))
    torch.testing.assert_close(probs_RC, torch.tensor([[0.25, 0.75, 0.0]]))


def test_listnet_is_smallest_where_scores_are_the_targets_logarithms() -> None:
    """Cross entropy is the target's entropy there, and its gradient vanishes; the weight multiplies it."""
    targets_RC = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    scores_RC = (targets_RC.log() + 7.0).requires_grad_()
    loss = ranking.listnet_loss(torch.log_softmax(scores_RC, dim=1), targets_RC, torch.tensor([3.0], dtype=torch.float64))
    entropy = -sum(p * math.log(p) for p in (0.2, 0.5, 0.3))
    assert loss.item() == pytest.approx(3.0 * entropy)
    assert torch.autograd.grad(loss, scores_RC)[0].abs().max() < 1e-12


def test_ranknet_pulls_a_pair_apart_by_the_chance_of_being_wrong() -> None:
    """The value is −w log σ(s_i − s_j); the gradient for s_i is −w σ(s_j − s_i)."""
    better_MP = torch.tensor([[1.0, 0.5]], requires_grad=True)
    worse_MP = torch.tensor([[0.2, 2.0]])
    loss = ranking.ranknet_loss(better_MP, worse_MP, torch.tensor([2.0, 0.5]))
    assert loss.item() == pytest.approx(-2.0 * log_sigmoid(0.8) - 0.5 * log_sigmoid(-1.5))
    gradient_MP = torch.autograd.grad(loss, better_MP)[0]
    torch.testing.assert_close(gradient_MP, -torch.tensor([[2.0, 0.5]]) * torch.sigmoid(worse_MP - better_MP.detach()))


def test_picked_pairs_are_ranknet_on_what_the_generator_would_pick() -> None:
    """One relevant document before two others, of which the generator picks the second three times as often."""
    loss = ranking.picked_pairs_loss(
        torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 2.0]]), torch.tensor([[0.25, 0.75]]), torch.tensor([2.0, 2.0])
    )
    assert loss.item() == pytest.approx(-2.0 * (0.25 * log_sigmoid(1.0) + 0.75 * log_sigmoid(-1.0)))


def test_a_discriminator_of_fake_pairs_that_cannot_tell_loses_two_log_two() -> None:
    """All scores alike: log ½ for the true pairs and log ½ for the fake ones, as in any game of this kind."""
    zeros_MP = torch.zeros(1, 2)
    loss = ranking.fake_pairs_loss(
        better_MP=zeros_MP,
        worse_MP=zeros_MP,
        weights_P=torch.tensor([0.5, 0.5]),
        picked_MS=torch.zeros(1, 3),
        partner_MS=torch.zeros(1, 3),
        fake_probs_MS=torch.tensor([[0.2, 0.3, 0.5]]),
    )
    assert loss.item() == pytest.approx(2.0 * math.log(2.0))
