"""The turns of the game on one batch; each can be called alone.

Shapes: N candidates of the batch, B queries, C candidates of the longest query, M members, R = M · B rows, one member after the other,
P pairs of candidates of the same query.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.data.candidates import CandidateBatch
from training.objectives import irgan as objectives
from training.objectives import learning_to_rank as ranking
from training.recipes.irgan_ltr.config import Config


def query_weights(batch: CandidateBatch, config: Config) -> Tensor:
    """What a unit of gain counts in each query, [B]."""
    return batch.gains_by_query.sum(dim=1).clamp(min=1e-9) ** -config.query_weight_exponent / batch.num_queries


def policy(scores_MN: Tensor, batch: CandidateBatch, *, temperature: float, among_unlabelled: bool = False) -> Tensor:
    """Each member's log probabilities of choosing a document of the query, nats, [R, C].

    Args:
        scores_MN: g_θ.
        batch: the candidates.
        temperature: τ.
        among_unlabelled: only documents without a relevant label can be chosen: the pool of the discriminator's negatives.
    """
    excluded_BC = batch.absent_BC | (batch.gains_by_query > 0) if among_unlabelled else batch.absent_BC
    excluded_RC = excluded_BC.repeat(len(scores_MN), 1)
    return objectives.policy_log_probs(batch.padded(scores_MN), temperature=temperature, excluded_BI=excluded_RC)


def supervised_loss(scores_MN: Tensor, batch: CandidateBatch, config: Config) -> Tensor:
    """The pre-training's loss, summed over members: likelihood of relevant documents, or RankNet's pairs on the same scale."""
    weights_B = query_weights(batch, config)
    if config.pretraining == "likelihood":
        members = len(scores_MN)
        log_probs_RC = policy(scores_MN, batch, temperature=1.0)
        return objectives.likelihood_loss(log_probs_RC, batch.gains_by_query.repeat(members, 1), weights_B.repeat(members))
    better_P, worse_P, weights_P = true_pairs(batch, weights_B)
    return ranking.ranknet_loss(scores_MN[:, better_P], scores_MN[:, worse_P], weights_P)


def true_pairs(batch: CandidateBatch, weights_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of which the first is more relevant, weighted by how much; a query's weights sum to weight · gains, as its documents' do."""
    better_P, worse_P = batch.preferences()
    margins_P = batch.gains_N[better_P] - batch.gains_N[worse_P]
    rows_P = batch.rows_N[better_P]
    sums_B = torch.zeros_like(weights_B).index_add(0, rows_P, margins_P)
    return better_P, worse_P, margins_P * (weights_B * batch.gains_by_query.sum(dim=1) / sums_B)[rows_P]


def partners(batch: CandidateBatch, weights_B: Tensor, config: Config) -> Tensor:
    """How much each document counts as the one that a pick is paired with, [N]; a query's sum to weight · gains.

    With `pairs=picked` they are the relevant documents, with `fake` those that stand lower in a true pair.
    """
    if config.pairs == "picked":
        return batch.gains_N * weights_B[batch.rows_N]
    _, worse_P, weights_P = true_pairs(batch, weights_B)
    return torch.zeros_like(batch.gains_N).index_add(0, worse_P, weights_P)


def discriminator_loss(verdicts_MN: Tensor, picks_RC: Tensor, batch: CandidateBatch, config: Config) -> Tensor:
    """Relevant documents against the generator's picks, Eq. (3); or pairs against pairs with a pick in them.

    Args:
        verdicts_MN: f_φ.
        picks_RC: the distribution of the picks.
        batch: the candidates.
        config: the form.
    """
    weights_B = query_weights(batch, config)
    members = len(verdicts_MN)
    if config.form == "pointwise":
        return objectives.discriminator_loss(
            batch.padded(verdicts_MN), batch.gains_by_query.repeat(members, 1), picks_RC, weights_B.repeat(members)
        )
    partner_weights_N = partners(batch, weights_B, config)
    picked_P, partner_P = batch.pairs()
    counts_P = (batch.gains_N[picked_P] == 0) & (partner_weights_N[partner_P] > 0)
    picked_P, partner_P = picked_P[counts_P], partner_P[counts_P]
    probs_MP, weights_P = batch.flat(picks_RC)[:, picked_P], partner_weights_N[partner_P]
    picked_MP, partner_MP = verdicts_MN[:, picked_P], verdicts_MN[:, partner_P]
    if config.pairs == "picked":
        return ranking.picked_pairs_loss(partner_MP, picked_MP, probs_MP, weights_P)
    better_T, worse_T, weights_T = true_pairs(batch, weights_B)
    return ranking.fake_pairs_loss(
        better_MP=verdicts_MN[:, better_T],
        worse_MP=verdicts_MN[:, worse_T],
        weights_P=weights_T,
        picked_MS=picked_MP,
        partner_MS=partner_MP,
        fake_probs_MS=probs_MP * weights_P,
    )


def rewards(verdicts_MN: Tensor, batch: CandidateBatch, config: Config) -> Tensor:
    """What a generator gets for choosing each document, [R, C]; for pairs, the mean over the documents it can be paired with."""
    if config.form == "pointwise":
        return batch.padded(objectives.rewards(verdicts_MN, config.generator_objective))
    shares_N = partners(batch, torch.ones_like(batch.gains_by_query[:, 0]), config)
    sums_B = torch.zeros_like(batch.gains_by_query[:, 0]).index_add(0, batch.rows_N, shares_N)
    shares_N = shares_N / sums_B[batch.rows_N]
    picked_P, partner_P = batch.pairs()
    counts_P = shares_N[partner_P] > 0
    picked_P, partner_P = picked_P[counts_P], partner_P[counts_P]
    of_pairs_MP = objectives.rewards(verdicts_MN[:, picked_P] - verdicts_MN[:, partner_P], config.generator_objective)
    return batch.padded(torch.zeros_like(verdicts_MN).index_add(1, picked_P, of_pairs_MP * shares_N[partner_P]))


@torch.no_grad()
def picks(scores_MN: Tensor, batch: CandidateBatch, config: Config, random: torch.Generator) -> Tensor:
    """The distribution of what the generator gives the discriminator, [R, C]: its policy over the pool, or the frequencies of draws."""
    log_probs_RC = policy(scores_MN, batch, temperature=config.temperature, among_unlabelled=True)
    in_pool_RC = ~(batch.absent_BC | (batch.gains_by_query > 0)).repeat(len(scores_MN), 1)
    probs_RC = log_probs_RC.exp() * in_pool_RC  # a query of relevant documents alone has no picks
    if config.negatives == "exact":
        return probs_RC
    num_draws_B = (batch.gains_by_query > 0).sum(dim=1)
    rows_S = torch.repeat_interleave(num_draws_B.repeat(len(scores_MN)) * in_pool_RC.any(dim=1))
    drawn_S = objectives.draw(probs_RC, rows_S, random)
    counts_RC = torch.zeros_like(probs_RC).index_put((rows_S, drawn_S), probs_RC.new_ones(()), accumulate=True)
    return counts_RC / counts_RC.sum(dim=1, keepdim=True).clamp(min=1.0)


def reward_loss(
    scores_MN: Tensor, verdicts_MN: Tensor, batch: CandidateBatch, config: Config, random: torch.Generator
) -> Tensor:
    """Minus the generators' expected reward, Eq. (4), exact or by REINFORCE, Eq. (5); a unit of gain counts as one pick."""
    members = len(scores_MN)
    log_probs_RC = policy(scores_MN, batch, temperature=config.temperature)
    rewards_RC = rewards(verdicts_MN, batch, config)
    weights_R = (query_weights(batch, config) * batch.gains_by_query.sum(dim=1)).repeat(members)
    if config.reward == "exact":
        return objectives.expected_reward_loss(log_probs_RC, rewards_RC, weights_R)
    is_relevant_RC = (batch.gains_by_query > 0).repeat(members, 1)
    proposal_RC = objectives.mix_with_positives(log_probs_RC.detach().exp(), is_relevant_RC, config.positive_share)
    num_draws_R = config.samples_per_positive * is_relevant_RC.sum(dim=1)
    rows_S = torch.repeat_interleave(num_draws_R)
    return objectives.reinforce_loss(
        log_probs_RC,
        rewards_RC,
        proposal_BI=proposal_RC,
        rows_N=rows_S,
        items_N=objectives.draw(proposal_RC, rows_S, random),
        weights_N=(weights_R / num_draws_R.clamp(min=1))[rows_S],
        baseline=config.baseline,
    )


@torch.no_grad()
def observe(scores_MN: Tensor, verdicts_MN: Tensor, batch: CandidateBatch, config: Config) -> dict[str, float]:
    """What the generators would choose: how often a relevant document, how surely, and what they would get for it."""
    probs_RC = policy(scores_MN, batch, temperature=config.temperature).exp()
    return {
        "positives_among_picks": (probs_RC * (batch.gains_by_query > 0).repeat(len(scores_MN), 1)).sum(dim=1).mean().item(),
        "entropy": torch.special.entr(probs_RC).sum(dim=1).mean().item(),
        "reward": (probs_RC * rewards(verdicts_MN, batch, config)).sum(dim=1).mean().item(),
    }
