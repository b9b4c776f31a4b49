"""The game of generative adversarial nets as pure functions (Goodfellow et al. 2014, arXiv 1406.2661).

D is given by its logits f, D = σ(f), and never squashed: log D = −softplus(−f) and log(1 − D) = −softplus(f) are finite wherever
f is. `real` are logits of what came from the data, `fake` of what came from the generator.

Shapes: N real examples, F made-up ones, X points of a finite space; any shape will do where none is said.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

GeneratorObjective = Literal["minimax", "non-saturating"]

VALUE_AT_EQUALITY = math.log(0.25)
"""max_D V where the generator's distribution is that of the data, Theorem 1: −log 4 nats."""


def value(
    real_logits: Tensor, fake_logits: Tensor, real_weights: Tensor | None = None, fake_weights: Tensor | None = None
) -> Tensor:
    """V(D, G) = E_data[log D] + E_model[log(1 − D)], Eq. (1).

    Args:
        real_logits: f of examples of the data, or of all points of a finite space.
        fake_logits: f of the generator's, likewise.
        real_weights: the share of each real logit in its expectation; alike without.
        fake_weights: likewise.

    Returns:
        A scalar, nats, at most 0.
    """
    return _mean(functional.logsigmoid(real_logits), real_weights) + _mean(functional.logsigmoid(-fake_logits), fake_weights)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """−V(D, G), which D minimises, Algorithm 1; log 4 for one that cannot tell.

    Returns:
        A scalar, nats.
    """
    return -value(real_logits, fake_logits)


def generator_loss(fake_logits: Tensor, objective: GeneratorObjective) -> Tensor:
    """What G minimises.

    * `minimax`: E[log(1 − D)], the part of Eq. (1) that depends on G. Where D is sure (f → −∞) its gradient, −D, vanishes;
    * `non-saturating`: −E[log D], section 3: the same fixed point, and a gradient, −(1 − D), that is greatest where D is sure.

    Returns:
        A scalar, nats.
    """
    if objective == "minimax":
        return functional.logsigmoid(-fake_logits).mean()
    return -functional.logsigmoid(fake_logits).mean()


def optimal_logits(data_log_probs: Tensor, model_log_probs: Tensor) -> Tensor:
    """f* = log p_data − log p_model, so that D* = σ(f*) = p_data / (p_data + p_model), Proposition 1."""
    return data_log_probs - model_log_probs


def jensen_shannon_divergence(data_probs_X: Tensor, model_probs_X: Tensor) -> Tensor:
    """JSD(p ‖ q) = ½ KL(p ‖ (p + q)/2) + ½ KL(q ‖ (p + q)/2) of two distributions on a finite space.

    Returns:
        A scalar, nats, from 0 to log 2.
    """
    log_middle_X = torch.log((data_probs_X + model_probs_X) / 2)
    halves = [torch.xlogy(p_X, p_X) - torch.where(p_X > 0, p_X * log_middle_X, 0.0) for p_X in (data_probs_X, model_probs_X)]
    return 0.5 * (halves[0] + halves[1]).sum()


def optimal_value(data_probs_X: Tensor, model_probs_X: Tensor) -> Tensor:
    """max_D V(D, G) = −log 4 + 2 JSD(p_data ‖ p_model), Theorem 1; nats."""
    return VALUE_AT_EQUALITY + 2 * jensen_shannon_divergence(data_probs_X, model_probs_X)


def estimated_divergence(loss: Tensor) -> Tensor:
    """What the discriminator's loss says of the Jensen–Shannon divergence: log 2 − loss / 2, Theorem 1 solved for it.

    Exact for the best discriminator and a lower bound, in expectation, for every other; below 0 the discriminator is worse than
    one that cannot tell.

    Args:
        loss: `discriminator_loss`.
    """
    return math.log(2) - loss / 2


def share_of_right_verdicts(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """How often D is on the right side of ½, real and made-up examples counting alike; one that cannot tell has ½."""
    return ((real_logits > 0).double().mean() + (fake_logits < 0).double().mean()) / 2


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    return values.mean() if weights is None else (weights * values).sum()
