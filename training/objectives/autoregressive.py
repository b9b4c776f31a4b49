"""Likelihoods of autoregressive distributions over binary vectors (Uria et al. 2016, Neural autoregressive distribution estimation).

Shapes: B rows, D dimensions, K components of a mixture.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def bernoulli_log_probs(logits_BD: Tensor, x_BD: Tensor) -> Tensor:
    """Log p of each entry, x log σ(l) + (1 − x) log(1 − σ(l)), nats [B, D]."""
    return x_BD * logits_BD - functional.softplus(logits_BD)


def negative_log_likelihood(logits_BD: Tensor, x_BD: Tensor) -> Tensor:
    """Mean over the rows of −log p(x) = −Σ_d log p(x_{o_d} | x_{o_<d}), from the logits of all conditionals of one order; nats."""
    return -bernoulli_log_probs(logits_BD, x_BD).sum(dim=1).mean()


def order_agnostic_loss(logits_BD: Tensor, x_BD: Tensor, observed_BD: Tensor) -> Tensor:
    """Mean over the rows of −D / (D − d + 1) Σ_{i ∉ o_<d} log p(x_i | x_{o_<d}), with d − 1 observed dimensions; nats.

    With a random order and a random d for each row it is an unbiased estimate of the mean of −log p(x) over all D! orders (the paper's
    section on training an ensemble of orders).

    Args:
        logits_BD: of the conditionals given what is observed.
        x_BD: 0 or 1.
        observed_BD: 1 for the first d − 1 dimensions of the row's order, fewer than D.
    """
    num_dimensions = x_BD.shape[1]
    scale_B = num_dimensions / (num_dimensions - observed_BD.sum(dim=1))
    unobserved_B = (bernoulli_log_probs(logits_BD, x_BD) * (1.0 - observed_BD)).sum(dim=1)
    return -(scale_B * unobserved_B).mean()


def draw_observed(num_rows: int, num_dimensions: int, generator: torch.Generator) -> Tensor:
    """The first d − 1 dimensions of a random order for each row, d uniform in 1 … D: 1 for what is observed, [B, D].

    The d of a batch are spread evenly, which leaves each of them uniform and makes the loss vary less.
    """
    even_B = torch.arange(num_rows) / num_rows
    start = torch.rand(1, generator=generator)
    num_observed_B = ((even_B + start) % 1.0 * num_dimensions).floor().clamp(max=num_dimensions - 1)
    ranks_BD = torch.rand(num_rows, num_dimensions, generator=generator).argsort(dim=1).argsort(dim=1)
    return (ranks_BD < num_observed_B[:, None]).float()


def mixture_log_prob(log_probs_KB: Tensor) -> Tensor:
    """Log of the mean of K probabilities, the likelihood of an ensemble of orders or members, [B]."""
    return torch.logsumexp(log_probs_KB, dim=0) - math.log(len(log_probs_KB))


def conditionals_loss(logits_BD: Tensor, liked_BD: Tensor, observed_BD: Tensor, *, user_weight_exponent: float) -> Tensor:
    """Mean over the rows of −w Σ_{i not observed} log p(x_i | observed likes), each a Bernoulli variable of its own; nats.

    The likes that are observed stand first in the order. The paper's factor D / (D − d + 1) is left out: of a catalogue so little is
    observed that it is 1, nearly. w is 1 / (number of hidden likes)^e.

    Args:
        logits_BD: of all items.
        liked_BD: 1 for all likes.
        observed_BD: 1 for those that are not hidden.
        user_weight_exponent: e; 0 counts likes alike, 1 users alike.
    """
    unobserved_B = (bernoulli_log_probs(logits_BD, liked_BD) * (1.0 - observed_BD)).sum(dim=1)
    return -(_row_weights(liked_BD - observed_BD, user_weight_exponent) * unobserved_B).mean()


def hidden_likes_loss(logits_BD: Tensor, liked_BD: Tensor, observed_BD: Tensor, *, user_weight_exponent: float) -> Tensor:
    """The same with one softmax over everything that is not observed: −w Σ_{i hidden} log p(the next like is i | observed); nats.

    It asks which items are liked and not how many. Not the paper's. Arguments as for `conditionals_loss`.
    """
    hidden_BD = liked_BD - observed_BD
    # Finite, so that 0 · log 0 is 0 and no gradient turns into NaN.
    log_probs_BD = torch.log_softmax(logits_BD.masked_fill(observed_BD.bool(), -1e30), dim=1)
    return -(_row_weights(hidden_BD, user_weight_exponent) * (log_probs_BD * hidden_BD).sum(dim=1)).mean()


def _row_weights(hidden_BD: Tensor, exponent: float) -> Tensor:
    return hidden_BD.sum(dim=1).clamp(min=1.0) ** -exponent
