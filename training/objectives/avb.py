"""Adversarial variational Bayes as pure functions (Mescheder, Nowozin, Geiger 2017, arXiv 1701.04722).

The posterior q_φ(z|x) can be drawn from and has no density. Its divergence from the prior comes from an adversary T(x, z), given as
logits. Adaptive contrast (the paper's section 4) puts a Gaussian r(z|x) with the moments of q between the two.

Shapes: … any leading ones, Z latent dimensions, S draws, N rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_LOG_2PI = math.log(2 * math.pi)


def adversary_loss(posterior_logits: Tensor, prior_logits: Tensor) -> Tensor:
    """−E[log σ(T(x, z))] for z from q_φ(z|x), −E[log(1 − σ(T(x, z)))] for z from the prior: what T minimises, section 3.1.

    With adaptive contrast r(z|x) stands in the prior's place.

    Returns:
        A scalar, nats; log 4 for a T that cannot tell.
    """
    return functional.softplus(-posterior_logits).mean() + functional.softplus(prior_logits).mean()


def gaussian_log_density(z: Tensor, mean: Tensor | float = 0.0, std: Tensor | float = 1.0) -> Tensor:
    """Density log N(z; mean, diag std²), summed over the last dimension; nats, […]."""
    std = torch.as_tensor(std, dtype=z.dtype, device=z.device)
    each = -0.5 * (((z - mean) / std).square() + _LOG_2PI) - torch.log(std)
    return each.sum(dim=-1)


def gaussian_kl(mean: Tensor, std: Tensor) -> Tensor:
    """KL(N(mean, diag std²) ‖ N(0, 1)) in closed form, nats, […]."""
    return 0.5 * (mean.square() + std.square() - 1.0).sum(dim=-1) - torch.log(std).sum(dim=-1)


def standardised(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """z̃ = (z − mean) / std, on which the adversary tells q from r: KL is the same in either variable. No gradient flows into the moments."""
    return (z - mean.detach()) / std.detach()


def divergence(posterior_logits: Tensor, z: Tensor, mean: Tensor | None = None, std: Tensor | None = None) -> Tensor:
    """One draw's estimate of KL(q(z|x) ‖ p(z)) with p = N(0, 1), nats, […].

    Without moments it is T(x, z), which for the best adversary is log q(z|x) − log p(z) (Proposition 1). With the moments of r it is
    T + log r(z|x) − log p(z), where T is trained to tell q from r (section 4): KL(q ‖ p) = KL(q ‖ r) + E_q[log r − log p], whatever
    r is. Its gradient for φ flows through z alone: that of T vanishes in expectation (Proposition 2), and r may be taken for given
    since its own parts cancel.

    Args:
        posterior_logits: T at draws of q.
        z: those draws.
        mean: of r.
        std: of r.
    """
    if mean is None or std is None:
        return posterior_logits
    return posterior_logits + gaussian_log_density(z, mean.detach(), std.detach()) - gaussian_log_density(z)


def negative_bound(log_likelihood: Tensor, divergences: Tensor, kl_weight: float = 1.0) -> Tensor:
    """−log p_θ(x|z) + β · divergence: the loss of θ and φ, nats, […]; β = 1 is the paper's bound."""
    return kl_weight * divergences - log_likelihood


def importance_weighted_bound(log_joint_SN: Tensor, log_proposal_SN: Tensor) -> tuple[Tensor, Tensor]:
    """Bound log (1/S) Σ_s p(x, z_s) / proposal(z_s), at most log p(x) in expectation for any proposal (Burda et al. 2016).

    Returns:
        The bound of each row, nats, and the standard error of each by the delta method, [N] both.
    """
    log_weights_SN = log_joint_SN - log_proposal_SN
    num_draws = len(log_weights_SN)
    bound_N = torch.logsumexp(log_weights_SN, dim=0) - math.log(num_draws)
    relative_SN = torch.exp(log_weights_SN - bound_N)
    return bound_N, relative_SN.std(dim=0) / math.sqrt(num_draws)
