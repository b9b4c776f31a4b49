"""The turns of the game; each is one pass over all users and can be called alone.

Shapes: B users in the batch, I items, P positives of the batch, N draws, K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from training.models.matrix_factorization import MatrixFactorization
from training.objectives import irgan as objectives
from training.recipes.irgan.config import Config
from training.recipes.irgan.positives import Positives


@dataclass(frozen=True, slots=True)
class Player:
    """A model with what moves it.

    Attributes:
        model: its scores.
        optimizer: of its parameters.
        weight_decay: prior precision of its factors.
    """

    model: MatrixFactorization
    optimizer: Optimizer
    weight_decay: float

    def step(self, loss: Tensor, users_B: Tensor, scale: float) -> None:
        """Go down a batch's loss and the prior's share in it."""
        prior = 0.5 * self.weight_decay * self.model.squared_norm(users_B)
        self.optimizer.zero_grad()
        ((loss + prior) * scale).backward()
        self.optimizer.step()


def hard_negatives_turn(
    player: Player,
    positives: Positives,
    config: Config,
    random: torch.Generator,
    *,
    likelihood_weight: float = 0.0,
    max_users: int | None = None,
) -> None:
    """Each positive against the hardest of a few random items: dynamic negative sampling, a rule that does not learn.

    Args:
        player: learns.
        positives: what users liked; never among the negatives.
        config: the number of candidates.
        random: of batches and candidates.
        likelihood_weight: of the positives' softmax likelihood beside the pair-wise loss.
        max_users: how many random users the pass covers; None for all.
    """
    for users in positives.batches(random, max_users):
        users_B = positives.rows(users)
        rows_P, items_P = positives.pairs(users)
        users_P = users_B[rows_P]
        shape = (len(items_P), config.num_candidates)
        candidates_PK = torch.randint(positives.num_items, shape, generator=random).to(users_B.device)
        excluded_PK = positives.contains(users_P, candidates_PK)
        with torch.no_grad():
            logits_PK = player.model.pair_scores(users_P, candidates_PK)
        negatives_P, found_P = objectives.hardest(logits_PK, candidates_PK, excluded_PK)
        logits_P2 = player.model.pair_scores(users_P, torch.stack([items_P, negatives_P], dim=1))
        weights_P = positives.weights_U[users_P] * found_P
        loss = objectives.pairwise_loss(logits_P2[:, 0], logits_P2[:, 1], weights_P)
        if likelihood_weight:
            log_probs_BI = objectives.policy_log_probs(player.model(users_B))
            likelihood = objectives.likelihood_loss(log_probs_BI, positives.matrix(users), positives.weights_U[users_B])
            loss = loss + likelihood_weight * likelihood
        player.step(loss, users_B, positives.scale(users_B))


def likelihood_turn(player: Player, positives: Positives, random: torch.Generator, *, max_users: int | None = None) -> None:
    """The softmax likelihood of all positives, or of those of `max_users` random users: no adversary."""
    for users in positives.batches(random, max_users):
        users_B = positives.rows(users)
        log_probs_BI = objectives.policy_log_probs(player.model(users_B))
        loss = objectives.likelihood_loss(log_probs_BI, positives.matrix(users), positives.weights_U[users_B])
        player.step(loss, users_B, positives.scale(users_B))


def discriminator_turn(
    discriminator: Player, generator: MatrixFactorization, positives: Positives, config: Config, random: torch.Generator
) -> None:
    """Positives against the generator's picks as they are now, Eq. (3)."""
    for users in positives.batches(random, config.users_per_turn):
        users_B, liked_BI = positives.rows(users), positives.matrix(users)
        weights_B = positives.weights_U[users_B]
        probs_BI = negative_probs(generator, users_B, liked_BI, config)
        if config.negatives == "exact":
            loss = objectives.discriminator_loss(discriminator.model(users_B), liked_BI, probs_BI, weights_B)
        else:
            rows_P, items_P = positives.pairs(users)
            negatives_P = objectives.draw(probs_BI, rows_P, random)
            logits_P2 = discriminator.model.pair_scores(users_B[rows_P], torch.stack([items_P, negatives_P], dim=1))
            weights_P = weights_B[rows_P]
            loss = objectives.sampled_discriminator_loss(logits_P2[:, 0], weights_P, logits_P2[:, 1], weights_P)
        discriminator.step(loss, users_B, positives.scale(users_B))


def generator_turn(
    generator: Player, judge: MatrixFactorization, positives: Positives, config: Config, random: torch.Generator
) -> None:
    """Towards items that `judge` takes for liked ones, Eq. (4) and (5), and towards the positives' likelihood."""
    for users in positives.batches(random, config.users_per_turn):
        users_B, liked_BI = positives.rows(users), positives.matrix(users)
        weights_B = positives.weights_U[users_B]
        logits_BI = generator.model(users_B)
        log_probs_BI = objectives.policy_log_probs(logits_BI, temperature=config.policy_temperature)
        with torch.no_grad():
            rewards_BI = objectives.rewards(judge(users_B), config.generator_objective)
        if config.reward == "exact":
            # Each of a user's positives stands for one pick, so that both players hear as much of a user.
            picks_B = weights_B * positives.counts_U[users_B]
            loss = objectives.expected_reward_loss(log_probs_BI, rewards_BI, picks_B)
        else:
            rows_N = positives.pairs(users)[0].repeat(config.samples_per_positive)
            proposal_BI = objectives.mix_with_positives(log_probs_BI.detach().exp(), liked_BI, config.positive_share)
            loss = objectives.reinforce_loss(
                log_probs_BI,
                rewards_BI,
                proposal_BI=proposal_BI,
                rows_N=rows_N,
                items_N=objectives.draw(proposal_BI, rows_N, random),
                weights_N=weights_B[rows_N] / config.samples_per_positive,
                baseline=config.baseline,
            )
        if config.likelihood_weight:
            plain_BI = log_probs_BI if config.policy_temperature == 1 else objectives.policy_log_probs(logits_BI)
            loss = loss + config.likelihood_weight * objectives.likelihood_loss(plain_BI, liked_BI, weights_B)
        generator.step(loss, users_B, positives.scale(users_B))


@torch.no_grad()
def negative_probs(generator: MatrixFactorization, users_B: Tensor, liked_BI: Tensor, config: Config) -> Tensor:
    """The distribution of the discriminator's negatives as the generator has it now, [B, I]."""
    excluded_BI = liked_BI.bool() if config.mask_positives else None
    log_probs_BI = objectives.policy_log_probs(
        generator(users_B), temperature=config.negatives_temperature, excluded_BI=excluded_BI
    )
    return log_probs_BI.exp()


@torch.no_grad()
def observe(
    generator: MatrixFactorization,
    judge: MatrixFactorization | None,
    positives: Positives,
    config: Config,
    popularity_I: Tensor,
) -> dict[str, float]:
    """What the generator picks, over one batch of users that is the same in every round.

    Returns:
        `positives_among_picks` and `positives_among_negatives` (shares), `entropy` (nats), `pick_popularity` (users who like the
        picked item, mean); and with a judge `mean_reward` and `policy_gradient_variance` (of a single draw, whether or not the
        reward is sampled).
    """
    users = positives.batches(torch.Generator().manual_seed(0))[0]
    users_B, liked_BI = positives.rows(users), positives.matrix(users)
    log_probs_BI = objectives.policy_log_probs(generator(users_B), temperature=config.policy_temperature)
    probs_BI = log_probs_BI.exp()
    negatives_BI = negative_probs(generator, users_B, liked_BI, config)
    seen = {
        "positives_among_picks": (probs_BI * liked_BI).sum(dim=1).mean(),
        "positives_among_negatives": (negatives_BI * liked_BI).sum(dim=1).mean(),
        "entropy": -(probs_BI * log_probs_BI).sum(dim=1).mean(),
        "pick_popularity": (probs_BI @ popularity_I).mean(),
    }
    if judge is not None:
        rewards_BI = objectives.rewards(judge(users_B), config.generator_objective)
        expected_B1 = (probs_BI * rewards_BI).sum(dim=1, keepdim=True)
        baseline_B1 = torch.zeros_like(expected_B1) if config.baseline == "none" else expected_B1
        proposal_BI = objectives.mix_with_positives(probs_BI, liked_BI, config.positive_share)
        variance_B = objectives.policy_gradient_variance(probs_BI, proposal_BI, rewards_BI, baseline_B1)
        seen |= {"mean_reward": expected_B1.mean(), "policy_gradient_variance": variance_B.mean()}
    return {name: float(value) for name, value in seen.items()}
