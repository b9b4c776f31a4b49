"""Costs of a rating on an ordered scale, from one score a level (Zheng et al. 2016, CF-NADE, arXiv 1605.09477).

Level 0 is the lowest rating. Every function takes scores before any softmax; costs are in nats.

Shapes: N ratings, K levels, B histories.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def softmax_cost(scores_NK: Tensor, levels_N: Tensor) -> Tensor:
    """−log p(r = k | h) with p(r = k | h) = exp(s_k) / Σ_t exp(s_t), the paper's regular cost, [N].

    Args:
        scores_NK: s.
        levels_N: int64, the level of each rating.
    """
    return functional.cross_entropy(scores_NK, levels_N, reduction="none")


def ordinal_cost(scores_NK: Tensor, levels_N: Tensor) -> Tensor:
    """−log of the chance that levels are preferred in the order of their distance from the true one, on either side of it, [N].

    With the true level k, both k ≻ k−1 ≻ … ≻ 0 and k ≻ k+1 ≻ … ≻ K−1 are rankings of Plackett and Luce's model (the section *Ordinal
    nature of ratings* of the paper):

        cost = −Σ_{j≤k} log [exp(s_j) / Σ_{t≤j} exp(s_t)] − Σ_{j≥k} log [exp(s_j) / Σ_{t≥j} exp(s_t)].

    Args:
        scores_NK: s.
        levels_N: int64, the level of each rating.
    """
    down_NK = torch.logcumsumexp(scores_NK, dim=1) - scores_NK
    up_NK = torch.logcumsumexp(scores_NK.flip(1), dim=1).flip(1) - scores_NK
    level_K = torch.arange(scores_NK.shape[1], device=scores_NK.device)
    is_below_NK, is_above_NK = level_K <= levels_N[:, None], level_K >= levels_N[:, None]
    return (down_NK * is_below_NK + up_NK * is_above_NK).sum(dim=1)


def mixed_cost(scores_NK: Tensor, levels_N: Tensor, ordinal_weight: float) -> Tensor:
    """λ · ordinal + (1 − λ) · regular, [N]; the paper's hybrid cost."""
    cost_N = torch.zeros_like(scores_NK[:, 0])
    if ordinal_weight > 0.0:
        cost_N = cost_N + ordinal_weight * ordinal_cost(scores_NK, levels_N)
    if ordinal_weight < 1.0:
        cost_N = cost_N + (1.0 - ordinal_weight) * softmax_cost(scores_NK, levels_N)
    return cost_N


def order_agnostic_loss(costs_N: Tensor, rows_N: Tensor, num_rated_B: Tensor, num_hidden_B: Tensor) -> Tensor:
    """An unbiased estimate of each history's cost, averaged over all orders of its ratings and summed over the history, [B].

    If the number of visible ratings v is uniform on 0 … D and, given v, every set of v is as likely, then

        E [(D + 1) / (D − v) · Σ_{hidden} cost] = E_o Σ_{i≤D} cost(r_{o_i} | r_{o_1} … r_{o_{i−1}}),

    where a history without a hidden rating counts 0.

    Differs from the paper, which draws v from 0 … D − 1 and weighs with D / (D − v). To show each rating with a chance that is itself
    uniform makes v uniform on 0 … D without sorting anything; the expectation is the same.

    Args:
        costs_N: of the hidden ratings, given the visible ones.
        rows_N: the history that each belongs to.
        num_rated_B: D.
        num_hidden_B: D − v.
    """
    weights_B = (num_rated_B + 1.0) / num_hidden_B.clamp(min=1.0)
    return torch.zeros_like(weights_B).index_add(0, rows_N, costs_N * weights_B[rows_N])


def expected_ratings(scores_NK: Tensor, values_K: Tensor) -> Tensor:
    """Σ_k p(r = k | h) · value_k, in the unit of the ratings, [N] (or whatever shape stands before K)."""
    # Levels above the lowest add to it, so that rounding cannot leave the scale downwards.
    expected: Tensor = values_K[0] + scores_NK.softmax(dim=-1) @ (values_K - values_K[0])
    return expected.clamp(max=float(values_K[-1]))


def log_prob_from(scores_NK: Tensor, level: int) -> Tensor:
    """The logarithm of P(r ≥ level | h), nats, [N] (or whatever shape stands before K)."""
    log_prob: Tensor = torch.logsumexp(scores_NK[..., level:], dim=-1) - torch.logsumexp(scores_NK, dim=-1)
    return log_prob
