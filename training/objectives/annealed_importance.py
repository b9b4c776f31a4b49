"""The partition function of a binary RBM: by annealed importance sampling, and by enumeration where one side is small.

Salakhutdinov & Murray 2008, On the quantitative analysis of deep belief networks, section 4; Neal 2001.

Shapes: D visible units, H hidden units, N chains, S states of a block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MOST_ENUMERATED = 20
"""Units whose 2^n states are summed one by one, at most."""
_STATES_AT_ONCE = 2**14
_Z_95 = 1.96


@dataclass(frozen=True, slots=True)
class LogPartition:
    """log Z and its 95% interval, nats; all three are the same where it was enumerated."""

    value: float
    low: float
    high: float


def annealed_log_partition(
    weights_HD: Tensor,
    visible_bias_D: Tensor,
    hidden_bias_H: Tensor,
    *,
    base_bias_D: Tensor,
    betas: Tensor,
    num_chains: int,
    generator: torch.Generator,
) -> LogPartition:
    """Estimate log Z by annealing from the base-rate RBM, whose units are independent, to the model.

    With W = 0 in the base, the intermediate distributions are p_β(v) ∝ exp((1 − β) b_Aᵀv + β bᵀv) Π_j (1 + exp(β(c_j + W_j v))),
    from Z_0 = 2^H Π_i (1 + exp b_A,i) at β = 0 to the model's Z at β = 1. Each chain moves by one Gibbs step after each β, and its
    weight is Π_k p*_{k+1}(v_k) / p*_k(v_k), whose mean is Z / Z_0.

    The weights' spread gives the interval: log of the mean ± 1.96 standard errors of the mean over the mean, the first-order
    transformation of an interval for Z. It does not know of a part of the distribution that no chain has found.

    Args:
        weights_HD: W.
        visible_bias_D: b.
        hidden_bias_H: c.
        base_bias_D: b_A; the log-odds of the training data's means.
        betas: ascending from 0 to 1; close together where the distribution changes fast.
        num_chains: N, all run at once.
        generator: of the chains.
    """
    weights, b, c, base = (tensor.detach().double() for tensor in (weights_HD, visible_bias_D, hidden_bias_H, base_bias_D))

    def draw(probs: Tensor) -> Tensor:
        return (torch.rand(probs.shape, generator=generator, dtype=torch.float32).to(probs.device) < probs).double()

    visible_ND = draw(torch.sigmoid(base).expand(num_chains, -1))
    log_weights_N = torch.zeros_like(visible_ND[:, 0])
    for lower, upper in zip(betas[:-1].tolist(), betas[1:].tolist(), strict=True):
        logits_NH = functional.linear(visible_ND, weights, c)
        biases_N = visible_ND @ (b - base)
        log_weights_N += (upper - lower) * biases_N
        log_weights_N += (functional.softplus(upper * logits_NH) - functional.softplus(lower * logits_NH)).sum(1)
        hidden_NH = draw(torch.sigmoid(upper * logits_NH))
        visible_ND = draw(torch.sigmoid((1 - upper) * base + upper * (b + hidden_NH @ weights)))
    log_base = len(c) * math.log(2.0) + functional.softplus(base).sum()
    log_mean = torch.logsumexp(log_weights_N, 0) - math.log(num_chains)
    # The mean of these is 1, so their standard error is that of log Z to first order.
    relative_N = torch.exp(log_weights_N - log_mean)
    error = _Z_95 * float(relative_N.std()) / math.sqrt(num_chains)
    value = float(log_base + log_mean)
    return LogPartition(value, value - error, value + error)


def exact_log_partition(weights_HD: Tensor, visible_bias_D: Tensor, hidden_bias_H: Tensor) -> LogPartition:
    """Compute log Z by summing over all states of the smaller side; the other side is summed in closed form.

    Z = Σ_h exp(cᵀh) Π_i (1 + exp(b_i + hᵀW_:i)), or the same with the sides exchanged.
    """
    weights, b, c = (tensor.detach().double() for tensor in (weights_HD, visible_bias_D, hidden_bias_H))
    if len(c) > len(b):
        weights, b, c = weights.T, c, b
    num_units = len(c)
    assert num_units <= MOST_ENUMERATED, f"2^{num_units} states are too many to enumerate"
    bits = torch.arange(num_units, device=c.device)
    parts = []
    for start in range(0, 2**num_units, _STATES_AT_ONCE):
        states = torch.arange(start, min(start + _STATES_AT_ONCE, 2**num_units), device=c.device)
        states_SH = ((states[:, None] >> bits) & 1).double()
        parts.append(torch.logsumexp(states_SH @ c + functional.softplus(b + states_SH @ weights).sum(1), 0))
    value = float(torch.logsumexp(torch.stack(parts), 0))
    return LogPartition(value, value, value)
