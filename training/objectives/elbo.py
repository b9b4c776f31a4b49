"""The evidence lower bound and its parts as pure functions.

Kingma & Welling 2014 (arXiv 1312.6114) is cited as KW, Liang et al. 2018 (arXiv 1802.05814) as Liang, Burda, Grosse, Salakhutdinov
2016 (arXiv 1509.00519) as Burda. All figures are in nats.

Shapes: Z latent dimensions, I entries of a bag, S samples; "..." stands for members and rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_LOG_2PI = math.log(2.0 * math.pi)


def gaussian_code(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """A code z = μ + σ ⊙ ε, KW Eq. (10): a draw from q(z|x) through which gradients flow.

    Args:
        mean: μ, [..., Z].
        log_variance: log σ².
        noise: ε, standard normal.
    """
    return mean + torch.exp(0.5 * log_variance) * noise


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, diag σ²) ‖ N(0, 1)) = ½ Σ_z (μ² + σ² − 1 − log σ²), KW appendix B; [...]."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=-1)


def gaussian_log_density(values: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Density: log N(z; μ, diag σ²); [...]."""
    squares = (values - mean).square() * torch.exp(-log_variance)
    return -0.5 * (squares + log_variance + _LOG_2PI).sum(dim=-1)


def multinomial_log_likelihood(log_probs: Tensor, counts: Tensor) -> Tensor:
    """Σ_i x_i log π_i, Liang Eq. (2): of a bag, up to the multinomial coefficient, which no parameter enters; [...].

    Args:
        log_probs: log π, a log-softmax over the entries, [..., I].
        counts: x.
    """
    return (counts * log_probs).sum(dim=-1)


def bernoulli_log_likelihood(logits: Tensor, rows: Tensor) -> Tensor:
    """Σ_d x_d log σ(f_d) + (1 − x_d) log(1 − σ(f_d)), KW appendix C.1, from logits f; [...]."""
    # Written so, a row may be shared by many draws without being copied for each.
    return (rows * logits - functional.softplus(logits)).sum(dim=-1)


def elbo(log_likelihood: Tensor, kl: Tensor, kl_weight: float = 1.0) -> Tensor:
    """Bound: log p(x|z) − β KL(q(z|x) ‖ p(z)): with β = 1 and z drawn from q an estimate of the bound of KW Eq. (3).

    With β below 1 it is the partially regularised objective of Liang, section 2.2.2, and no bound any more.
    """
    return log_likelihood - kl_weight * kl


def annealed_kl_weight(step: int, num_annealing_steps: int, final: float) -> float:
    """β of a training step: a straight line from 0 to its final value, Liang section 2.2.2.

    Args:
        step: steps taken before.
        num_annealing_steps: after which β stays as it is; 0 for a constant β.
        final: β at the end.
    """
    return final if step >= num_annealing_steps else final * step / num_annealing_steps


def importance_log_weights(log_likelihood: Tensor, codes: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Weights: log w = log p(x|z) + log p(z) − log q(z|x), Burda section 3, for draws z ~ q(z|x) = N(μ, diag σ²); [...].

    Args:
        log_likelihood: log p(x|z) of each draw, [...].
        codes: z, [..., Z].
        mean: μ; may lack the axis of the draws where it broadcasts.
        log_variance: log σ².
    """
    zeros = torch.zeros_like(codes)
    prior = gaussian_log_density(codes, zeros, zeros)
    return log_likelihood + prior - gaussian_log_density(codes, mean, log_variance)


def importance_weighted_bound(log_weights_S: Tensor) -> Tensor:
    """Bound: log (1/S) Σ_s w_s, Burda Eq. (8): in expectation below log p(x), and the nearer the more draws; S = 1 is the ELBO.

    Args:
        log_weights_S: log w of the draws of one row on the first axis, [S, ...].

    Returns:
        [...].
    """
    return torch.logsumexp(log_weights_S, dim=0) - math.log(len(log_weights_S))
