"""The game's mathematics, against enumeration on five items and against values derived by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor

from training.objectives import irgan as objectives

LIKED_BI = torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0]])
ONE = torch.ones(1)


@pytest.fixture
def logits_BI() -> Tensor:
    """One user's generator scores of five items."""
    return torch.tensor([[0.3, -1.2, 0.9, 0.1, 2.0]], dtype=torch.float64, requires_grad=True)


@pytest.fixture
def rewards_BI() -> Tensor:
    """Rewards with no symmetry in them."""
    return torch.tensor([[0.7, -0.4, 0.2, 0.9, -0.8]], dtype=torch.float64)


def gradient(loss: Callable[[Tensor], Tensor], logits_BI: Tensor) -> Tensor:
    return torch.autograd.grad(loss(objectives.policy_log_probs(logits_BI)), logits_BI)[0]


def one_draw(item: int, rewards_BI: Tensor, proposal_BI: Tensor) -> Callable[[Tensor], Tensor]:
    def loss(log_probs_BI: Tensor) -> Tensor:
        return objectives.reinforce_loss(
            log_probs_BI,
            rewards_BI,
            proposal_BI=proposal_BI,
            rows_N=torch.tensor([0]),
            items_N=torch.tensor([item]),
            weights_N=ONE.double(),
            baseline="none",
        )

    return loss


@pytest.mark.parametrize("baseline", get_args(objectives.Baseline))
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_reinforce_is_the_exact_policy_gradient_in_expectation(
    logits_BI: Tensor, rewards_BI: Tensor, share: float, baseline: objectives.Baseline
) -> None:
    """All 25 pairs of draws from the mixture, weighted by their probability, against the gradient of Σ p r: no baseline biases it."""
    probs_BI = objectives.policy_log_probs(logits_BI).detach().exp()
    proposal_BI = objectives.mix_with_positives(probs_BI, LIKED_BI, share)
    average_BI = torch.zeros_like(logits_BI)
    for pair in itertools.product(range(5), repeat=2):

        def loss(log_probs_BI: Tensor, pair: tuple[int, int] = pair) -> Tensor:
            return objectives.reinforce_loss(
                log_probs_BI,
                rewards_BI,
                proposal_BI=proposal_BI,
                rows_N=torch.tensor([0, 0]),
                items_N=torch.tensor(pair),
                weights_N=torch.full((2,), 0.5, dtype=torch.float64),
                baseline=baseline,
            )

        average_BI += proposal_BI[0, pair[0]] * proposal_BI[0, pair[1]] * gradient(loss, logits_BI)
    exact_BI = gradient(lambda log_probs_BI: objectives.expected_reward_loss(log_probs_BI, rewards_BI, ONE), logits_BI)
    assert exact_BI.abs().max() > 0.05
    torch.testing.assert_close(average_BI, exact_BI)


def test_importance_weights_average_to_one(logits_BI: Tensor) -> None:
    """Σ p_n · p/p_n = Σ p = 1, for the mixture with the positives."""
    probs_BI = objectives.policy_log_probs(logits_BI).detach().exp()
    proposal_BI = objectives.mix_with_positives(probs_BI, LIKED_BI, 0.2)
    weights_BI = objectives.importance_weights(probs_BI, proposal_BI)
    assert float((proposal_BI * weights_BI).sum()) == pytest.approx(1.0)
    assert float(proposal_BI.sum()) == pytest.approx(1.0)


def test_the_mixture_gives_the_positives_their_share() -> None:
    """By hand: uniform p over five items, two liked, λ = .2: .8/5 + .2/2 = .26 on liked ones, .16 on others; nobody's likes change nothing."""
    probs_BI = torch.full((2, 5), 0.2)
    liked_BI = torch.cat([LIKED_BI, torch.zeros(1, 5)])
    expected_BI = torch.tensor([[0.16, 0.26, 0.16, 0.26, 0.16], [0.2] * 5])
    torch.testing.assert_close(objectives.mix_with_positives(probs_BI, liked_BI, 0.2), expected_BI)


def test_variance_of_one_draw_is_what_enumeration_says(logits_BI: Tensor, rewards_BI: Tensor) -> None:
    """Every draw's gradient computed by autograd, weighted by its probability."""
    probs_BI = objectives.policy_log_probs(logits_BI).detach().exp()
    proposal_BI = objectives.mix_with_positives(probs_BI, LIKED_BI, 0.2)
    draws = [gradient(one_draw(item, rewards_BI, proposal_BI), logits_BI)[0] for item in range(5)]
    gradients_NI = torch.stack(draws)
    mean_I = (proposal_BI.T * gradients_NI).sum(dim=0)
    expected = (proposal_BI[0] * (gradients_NI - mean_I).square().sum(dim=1)).sum()
    variance_B = objectives.policy_gradient_variance(probs_BI, proposal_BI, rewards_BI, torch.zeros(1, 1))
    assert float(variance_B) == pytest.approx(float(expected))


def test_draws_follow_the_distribution_row_by_row() -> None:
    """20,000 draws for one user and 5,000 for another; shares within four standard errors, and items of probability 0 never."""
    probs_BI = torch.tensor([[0.0, 0.5, 0.5, 0.0], [0.7, 0.0, 0.1, 0.2]])
    counts = (20_000, 5_000)
    rows_N = torch.tensor([0] * counts[0] + [1] * counts[1])
    items_N = objectives.draw(probs_BI, rows_N, torch.Generator().manual_seed(0))
    for row, count in enumerate(counts):
        shares_I = torch.bincount(items_N[rows_N == row], minlength=4) / count
        errors_I = (probs_BI[row] * (1 - probs_BI[row]) / count).sqrt()
        assert ((shares_I - probs_BI[row]).abs() <= 4 * errors_I).all()


def test_a_row_without_any_probability_leaves_the_draws_of_the_others_alone() -> None:
    """A query that has nothing to be picked, between two that have one item each."""
    probs_BI = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    items_N = objectives.draw(probs_BI, torch.tensor([0, 2, 2, 0]), torch.Generator().manual_seed(0))
    assert items_N.tolist() == [1, 0, 0, 1]


def test_masked_items_have_no_probability_and_a_fully_masked_user_no_nan() -> None:
    """Excluded items get exactly 0, the others still sum to 1; gradients stay finite in both rows."""
    logits_BI = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    excluded_BI = torch.tensor([[True, False, True, False, False], [True] * 5])
    log_probs_BI = objectives.policy_log_probs(logits_BI, excluded_BI=excluded_BI)
    probs_BI = log_probs_BI.exp()
    (probs_BI * log_probs_BI).sum().backward()
    assert probs_BI[0, [0, 2]].tolist() == [0.0, 0.0]
    torch.testing.assert_close(probs_BI.sum(dim=1), torch.ones(2))
    assert logits_BI.grad is not None and logits_BI.grad.isfinite().all()


@pytest.mark.parametrize("objective", get_args(objectives.GeneratorObjective))
def test_enormous_scores_overflow_nowhere(objective: objectives.GeneratorObjective) -> None:
    """Scores of ±10,000 at temperature 0.2: every loss and every gradient is finite."""
    logits_BI = torch.tensor([[1e4, -1e4, 0.0, 1e4, -1e4]], requires_grad=True)
    log_probs_BI = objectives.policy_log_probs(logits_BI, temperature=0.2)
    loss = (
        objectives.discriminator_loss(logits_BI, LIKED_BI, log_probs_BI.detach().exp(), ONE)
        + objectives.expected_reward_loss(log_probs_BI, objectives.rewards(logits_BI, objective), ONE)
        + objectives.likelihood_loss(log_probs_BI, LIKED_BI, ONE)
        + objectives.sampled_discriminator_loss(logits_BI, ONE, logits_BI, ONE)
        + objectives.pairwise_loss(logits_BI[0], logits_BI[0].flip(0), torch.ones(5))
    )
    loss.backward()
    assert loss.isfinite()
    assert logits_BI.grad is not None and logits_BI.grad.isfinite().all()


def test_a_sigmoid_is_applied_once() -> None:
    """By hand at f = log 3, where σ(f) = 3/4: rewards 2·¾ − 1, log(1 + 3), log ¾; the loss of one positive is −log ¾.

    A second sigmoid would give σ(¾) = .679 in the place of ¾.
    """
    logit = torch.tensor([[math.log(3.0)]])
    nothing = torch.zeros(1, 1)
    assert float(objectives.rewards(logit, "bounded")) == pytest.approx(0.5)
    assert float(objectives.rewards(logit, "minimax")) == pytest.approx(math.log(4))
    assert float(objectives.rewards(logit, "non-saturating")) == pytest.approx(math.log(0.75))
    assert float(objectives.discriminator_loss(logit, torch.ones(1, 1), nothing, ONE)) == pytest.approx(-math.log(0.75))
    sampled = objectives.sampled_discriminator_loss(logit[0], ONE, logit[0], ONE)
    assert float(sampled) == pytest.approx(-math.log(0.75) - math.log(0.25))


def test_the_best_discriminator_is_the_log_ratio_and_the_game_is_worth_minus_log_four() -> None:
    """Goodfellow et al. 2014, Theorem 1: D* = p/(p + q); where q = p the value is log(1/4)."""
    true_BI = LIKED_BI / 2
    picked_BI = torch.tensor([[0.1, 0.3, 0.2, 0.3, 0.1]])
    # Where nobody likes an item the best logit is −∞; −60 is as good.
    best_BI = torch.where(LIKED_BI > 0, (true_BI / picked_BI).log(), -60.0).requires_grad_()
    objectives.discriminator_loss(best_BI, LIKED_BI, picked_BI, ONE).backward()
    assert best_BI.grad is not None
    torch.testing.assert_close(best_BI.grad, torch.zeros(1, 5), atol=1e-6, rtol=0)
    equal_BI = torch.where(LIKED_BI > 0, 0.0, -60.0)
    value = -objectives.discriminator_loss(equal_BI, LIKED_BI, true_BI, ONE) / 2
    assert float(value) == pytest.approx(math.log(1 / 4))


def test_sampled_negatives_give_the_exact_loss_in_expectation() -> None:
    """One negative for each positive, every item weighted by its probability, against the sum over all items."""
    random = torch.Generator().manual_seed(2)
    logits_BI = torch.randn(1, 5, generator=random)
    picked_BI = torch.rand(1, 5, generator=random).softmax(dim=1)
    exact = objectives.discriminator_loss(logits_BI, LIKED_BI, picked_BI, ONE)
    num_positives = 2
    sampled = objectives.sampled_discriminator_loss(logits_BI, LIKED_BI, logits_BI, num_positives * picked_BI)
    torch.testing.assert_close(sampled, exact)


def test_the_expected_reward_as_baseline_lowers_the_variance(logits_BI: Tensor) -> None:
    """With rewards of one sign, which `minimax` gives, a draw's reward is mostly its mean; subtracting that helps."""
    rewards_BI = objectives.rewards(torch.tensor([[2.0, 1.5, 1.8, 2.2, 1.9]], dtype=torch.float64), "minimax")
    probs_BI = objectives.policy_log_probs(logits_BI).detach().exp()
    expected_B1 = (probs_BI * rewards_BI).sum(dim=1, keepdim=True)
    without = objectives.policy_gradient_variance(probs_BI, probs_BI, rewards_BI, torch.zeros(1, 1))
    with_baseline = objectives.policy_gradient_variance(probs_BI, probs_BI, rewards_BI, expected_B1)
    assert float(with_baseline) < 0.1 * float(without)


def test_the_mean_of_the_other_draws_is_each_users_own() -> None:
    """By hand: users 0, 0, 0 and 1, 1; every draw sees the mean of p/p_n · reward over its user's other draws."""
    rewards_N, ratios_N = torch.tensor([1.0, 2.0, 3.0, 4.0, 6.0]), torch.tensor([1.0, 1.0, 2.0, 1.0, 0.5])
    means_N = objectives.baselines("mean", rewards_N, ratios_N, torch.tensor([0, 0, 0, 1, 1]), torch.zeros(2))
    assert means_N.tolist() == [4.0, 3.5, 1.5, 3.0, 4.0]


def test_the_hardest_candidate_is_never_an_excluded_one() -> None:
    """The greatest score is excluded in row 0, everything in row 1."""
    logits_NK = torch.tensor([[9.0, 1.0, 5.0], [1.0, 2.0, 3.0]])
    candidates_NK = torch.tensor([[10, 11, 12], [13, 14, 15]])
    excluded_NK = torch.tensor([[True, False, False], [True, True, True]])
    items_N, found_N = objectives.hardest(logits_NK, candidates_NK, excluded_NK)
    assert items_N[0] == 12
    assert found_N.tolist() == [True, False]


def test_the_pairwise_discriminator_is_taught_by_every_pair_as_often_as_it_is_picked() -> None:
    """−Σ_q w Σ_d p(d) log σ(f(d⁺) − f(d)) summed pair by pair; a pair of equals costs log 2."""
    rng = torch.Generator().manual_seed(0)
    logits_BI, probs_BI = torch.randn(2, 4, generator=rng), torch.rand(2, 4, generator=rng)
    positives, weights_B = [1, 3], torch.tensor([0.25, 2.0])
    wanted = 0.0
    for row, positive in enumerate(positives):
        for item in range(4):
            margin = logits_BI[row, positive] - logits_BI[row, item]
            wanted -= float(weights_B[row] * probs_BI[row, item] * torch.log(torch.sigmoid(margin)))
    pairs_BI = objectives.pairwise_logits(logits_BI, logits_BI[[0, 1], positives][:, None])
    assert objectives.pairwise_discriminator_loss(pairs_BI, probs_BI, weights_B).item() == pytest.approx(wanted, rel=1e-5)
    even = objectives.pairwise_discriminator_loss(torch.zeros(1, 4), torch.full((1, 4), 0.25), torch.ones(1))
    assert even.item() == pytest.approx(math.log(2.0))
