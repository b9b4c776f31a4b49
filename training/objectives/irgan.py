"""The minimax game of IRGAN as pure functions (Wang et al. 2017, arXiv 1705.10513).

The players are given as scores: g_θ(d, q) of the generator and f_φ(d, q) of the discriminator, where a user is the query q and an
item the document d. What is called `logits` is a score before any sigmoid or softmax; every function takes logits, so none can be
squashed twice. A user's weight says how much one positive of that user counts.

Shapes: B users in the batch, I items, N draws (or pairs) of all users of the batch in one row.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

GeneratorObjective = Literal["bounded", "minimax", "non-saturating"]
Baseline = Literal["none", "mean", "expected"]

_LOG_ZERO = -1e30
"""Stands for log 0; finite, so that 0 · log 0 is 0 and no gradient turns into NaN."""


def policy_log_probs(logits_BI: Tensor, *, temperature: float = 1.0, excluded_BI: Tensor | None = None) -> Tensor:
    """The generator's policy, log p_θ(d|q) = log softmax(g_θ(d, q) / τ) over the items.

    Args:
        logits_BI: g_θ of all items.
        temperature: τ; below 1 the choice is sharper.
        excluded_BI: true for items that cannot be chosen. A user of whom every item is excluded has a uniform distribution.

    Returns:
        Nats, finite for logits of any finite size, [B, I].
    """
    scaled_BI = logits_BI / temperature
    if excluded_BI is not None:
        scaled_BI = scaled_BI.masked_fill(excluded_BI, _LOG_ZERO)
    return torch.log_softmax(scaled_BI, dim=1)


def mix_with_positives(probs_BI: Tensor, positives_BI: Tensor, share: float) -> Tensor:
    """p_n(d) = (1 − λ) p_θ(d|q) + λ / |pos| on the user's positives, the proposal of the official code.

    Args:
        probs_BI: p_θ.
        positives_BI: true for what the user liked.
        share: λ, in [0, 1).

    Returns:
        Probabilities, [B, I]; a user without positives keeps p_θ.
    """
    num_positives_B1 = positives_BI.sum(dim=1, keepdim=True)
    uniform_BI = positives_BI / num_positives_B1.clamp(min=1)
    return torch.where(num_positives_B1 > 0, (1 - share) * probs_BI + share * uniform_BI, probs_BI)


def draw(probs_BI: Tensor, rows_N: Tensor, generator: torch.Generator) -> Tensor:
    """One item for each entry of `rows_N` from that row's distribution, by inversion; an item of probability 0 is never drawn.

    The uniform numbers come from the CPU, so a seed means the same draws on every device.

    Returns:
        Items, int64 [N].
    """
    cumulative_BI = probs_BI.detach().double().cumsum(dim=1)
    # A row without any probability must not turn to NaN, which would put the whole line out of order.
    cumulative_BI = cumulative_BI / cumulative_BI[:, -1:].clamp(min=torch.finfo(torch.float64).tiny)
    # Row b occupies (b, b + 1] of one ascending line, so that users may have different numbers of draws.
    line = (cumulative_BI + torch.arange(len(probs_BI), device=probs_BI.device)[:, None]).flatten()
    uniform_N = torch.rand(len(rows_N), generator=generator).to(probs_BI.device)
    found_N = torch.searchsorted(line, rows_N + uniform_N.double(), right=True)
    return found_N - rows_N * probs_BI.shape[1]


def rewards(logits: Tensor, objective: GeneratorObjective) -> Tensor:
    """What the generator gets for an item, from the discriminator's logits f_φ.

    * `minimax`: log(1 + exp f) = −log(1 − D), Eq. (4) and (5);
    * `bounded`: 2σ(f) − 1, in (−1, 1), which the official code uses in its place;
    * `non-saturating`: log σ(f) = log D, the second objective of Goodfellow et al. 2014, section 3.
    """
    match objective:
        case "minimax":
            return functional.softplus(logits)
        case "bounded":
            return 2 * torch.sigmoid(logits) - 1
        case "non-saturating":
            return functional.logsigmoid(logits)


def discriminator_loss(logits_BI: Tensor, positives_BI: Tensor, negative_probs_BI: Tensor, weights_B: Tensor) -> Tensor:
    """−Σ_q w_q |pos_q| (E_pos[log σ(f_φ)] + E_pθ[log(1 − σ(f_φ))]), Eq. (3) with both expectations computed exactly.

    Args:
        logits_BI: f_φ of all items.
        positives_BI: true for what the user liked.
        negative_probs_BI: the distribution that the negatives come from.
        weights_B: w.

    Returns:
        A scalar, nats.
    """
    num_positives_B1 = positives_BI.sum(dim=1, keepdim=True)
    # −log σ(f) = softplus(f) − f, so one softplus serves both expectations.
    losses_BI = (
        functional.softplus(logits_BI) * (positives_BI + num_positives_B1 * negative_probs_BI) - positives_BI * logits_BI
    )
    return (weights_B * losses_BI.sum(dim=1)).sum()


def sampled_discriminator_loss(
    positive_logits: Tensor, positive_weights: Tensor, negative_logits: Tensor, negative_weights: Tensor
) -> Tensor:
    """Eq. (3) with the expectation over the negatives estimated from draws; a scalar, nats."""
    return (positive_weights * functional.softplus(-positive_logits)).sum() + (
        negative_weights * functional.softplus(negative_logits)
    ).sum()


def expected_reward_loss(log_probs_BI: Tensor, rewards_BI: Tensor, weights_B: Tensor) -> Tensor:
    """−Σ_q w_q E_pθ[reward], Eq. (4), with the expectation computed exactly: no draws, no variance, no importance weights.

    Args:
        log_probs_BI: log p_θ, nats.
        rewards_BI: of all items; no gradient flows into them.
        weights_B: w, here of a user and not of a positive.
    """
    return -(weights_B * (log_probs_BI.exp() * rewards_BI.detach()).sum(dim=1)).sum()


def reinforce_loss(
    log_probs_BI: Tensor,
    rewards_BI: Tensor,
    *,
    proposal_BI: Tensor,
    rows_N: Tensor,
    items_N: Tensor,
    weights_N: Tensor,
    baseline: Baseline,
) -> Tensor:
    """A surrogate whose gradient is the policy gradient of Eq. (5), −Σ_n w_n (p/p_n) (reward − b) ∇ log p_θ(d_n|q).

    Args:
        log_probs_BI: log p_θ of all items, nats.
        rewards_BI: of all items; no gradient flows into them.
        proposal_BI: p_n, the distribution that the draws come from.
        rows_N: whose draw it is, rows of the batch.
        items_N: the drawn items.
        weights_N: w of each draw.
        baseline: b, see `baselines`.
    """
    with torch.no_grad():
        probs_BI = log_probs_BI.exp()
        ratios_N = importance_weights(probs_BI, proposal_BI)[rows_N, items_N]
        rewards_N = rewards_BI[rows_N, items_N]
        expected_B = (probs_BI * rewards_BI).sum(dim=1)
        advantages_N = ratios_N * (rewards_N - baselines(baseline, rewards_N, ratios_N, rows_N, expected_B))
    return -(weights_N * advantages_N * log_probs_BI[rows_N, items_N]).sum()


def importance_weights(probs_BI: Tensor, proposal_BI: Tensor) -> Tensor:
    """p_θ / p_n, which corrects for draws from p_n; 0 where the proposal never goes."""
    return probs_BI / proposal_BI.clamp(min=torch.finfo(proposal_BI.dtype).tiny)


def baselines(kind: Baseline, rewards_N: Tensor, ratios_N: Tensor, rows_N: Tensor, expected_B: Tensor) -> Tensor:
    """What is subtracted from a draw's reward; none of the three changes the expected gradient.

    Args:
        kind: `none` is zero; `mean` the importance-weighted mean reward of the *other* draws of the same user, which unlike a mean
            with the draw itself leaves the gradient unbiased; `expected` the exact E_pθ[reward], the paper's choice.
        rewards_N: of the draws.
        ratios_N: importance weights.
        rows_N: whose draw it is, rows of the batch.
        expected_B: E_pθ[reward] of each user.

    Returns:
        float32 [N].
    """
    if kind == "none":
        return torch.zeros_like(rewards_N)
    if kind == "expected":
        return expected_B[rows_N]
    weighted_N = ratios_N * rewards_N
    sums_B = torch.zeros_like(expected_B).index_add(0, rows_N, weighted_N)
    counts_B = torch.zeros_like(expected_B).index_add(0, rows_N, torch.ones_like(weighted_N))
    return (sums_B[rows_N] - weighted_N) / (counts_B[rows_N] - 1).clamp(min=1)


def policy_gradient_variance(probs_BI: Tensor, proposal_BI: Tensor, rewards_BI: Tensor, baseline_B1: Tensor) -> Tensor:
    """Total variance of one draw's policy gradient with regard to the logits, computed by summing over all draws.

    A draw d contributes g = (p/p_n)(r_d − b)(e_d − p), so Var = E‖g‖² − ‖E g‖² with ‖e_d − p‖² = 1 − 2 p_d + ‖p‖².

    Returns:
        float32 [B].
    """
    sizes_BI = 1 - 2 * probs_BI + probs_BI.square().sum(dim=1, keepdim=True)
    factors_BI = probs_BI * importance_weights(probs_BI, proposal_BI)
    second_B = (factors_BI * (rewards_BI - baseline_B1).square() * sizes_BI).sum(dim=1)
    expected_B1 = (probs_BI * rewards_BI).sum(dim=1, keepdim=True)
    return second_B - (probs_BI * (rewards_BI - expected_B1)).square().sum(dim=1)


def likelihood_loss(log_probs_BI: Tensor, positives_BI: Tensor, weights_B: Tensor) -> Tensor:
    """−Σ_q w_q Σ_pos log p_θ(d|q): maximum likelihood, with no adversary; a scalar, nats."""
    return -(weights_B * (log_probs_BI * positives_BI).sum(dim=1)).sum()


def pairwise_loss(positive_logits_N: Tensor, negative_logits_N: Tensor, weights_N: Tensor) -> Tensor:
    """−Σ w log σ(s⁺ − s⁻), Rendle et al. 2009; with the hardest of some random negatives it is dynamic negative sampling.

    Zhang et al. 2013, Optimizing top-N collaborative filtering via dynamic negative item sampling.
    """
    return (weights_N * functional.softplus(negative_logits_N - positive_logits_N)).sum()


def pairwise_logits(logits_BI: Tensor, positive_logits_B1: Tensor) -> Tensor:
    """f_φ(d, q) − f_φ(d⁺, q): the logit of the pair ⟨d, d⁺⟩, that d is the better answer of the two (Wang et al. 2017, section 2.4).

    What a discriminator says of pairs takes the place of what it says of documents: `rewards` turns it into what the generator gets
    for d, and `pairwise_discriminator_loss` teaches it.
    """
    return logits_BI - positive_logits_B1


def pairwise_discriminator_loss(pair_logits_BI: Tensor, negative_probs_BI: Tensor, weights_B: Tensor) -> Tensor:
    """−Σ_q w_q E_pθ[log σ(f_φ(d⁺) − f_φ(d))], the pair-wise game of section 2.4, the expectation over d computed exactly.

    Both orders of a pair say the same, so that log D of the true order is log(1 − D) of the generated one.

    Args:
        pair_logits_BI: as `pairwise_logits` gives them.
        negative_probs_BI: the distribution that d comes from; it leaves d⁺ out.
        weights_B: w.

    Returns:
        A scalar, nats.
    """
    return (weights_B * (negative_probs_BI * functional.softplus(pair_logits_BI)).sum(dim=1)).sum()


def hardest(logits_NK: Tensor, candidates_NK: Tensor, excluded_NK: Tensor) -> tuple[Tensor, Tensor]:
    """The candidate with the greatest logit in each row that is not excluded.

    Returns:
        Items, int64 [N], and whether there is one, bool [N]; where there is none the item means nothing.
    """
    best_N1 = logits_NK.masked_fill(excluded_NK, float("-inf")).argmax(dim=1, keepdim=True)
    return candidates_NK.gather(1, best_N1)[:, 0], ~excluded_NK.all(dim=1)
