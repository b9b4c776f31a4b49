"""The evidence lower bound and its parts, against integrals computed on a grid, draws, and hand computations.

Shapes: S samples, R repetitions, G grid points, D dimensions, Z latent dimensions.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from training.objectives.elbo import (
    annealed_kl_weight,
    bernoulli_log_likelihood,
    elbo,
    gaussian_code,
    gaussian_kl,
    gaussian_log_density,
    importance_log_weights,
    importance_weighted_bound,
    multinomial_log_likelihood,
)

GRID_G = torch.linspace(-12.0, 12.0, 4_001, dtype=torch.float64)
STEP = float(GRID_G[1] - GRID_G[0])
ROW_D = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
MEAN, LOG_VARIANCE = torch.tensor([0.4], dtype=torch.float64), torch.tensor([-0.7], dtype=torch.float64)
"""q(z|x) of the tiny model below; not the posterior."""


def logits(codes: Tensor) -> Tensor:
    """The decoder of a tiny model with one latent dimension and three binary ones: [..., 1] to [..., 3]."""
    slopes_D = torch.tensor([2.0, -3.0, 1.0], dtype=torch.float64)
    return codes * slopes_D + torch.tensor([0.5, 0.0, -1.0], dtype=torch.float64)


def log_weights(num_samples: int, num_repetitions: int, seed: int = 0) -> Tensor:
    """Log w of draws from q, [S, R]."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(num_samples, num_repetitions, 1, generator=random, dtype=torch.float64)
    codes = gaussian_code(MEAN, LOG_VARIANCE, noise)
    return importance_log_weights(bernoulli_log_likelihood(logits(codes), ROW_D), codes, MEAN, LOG_VARIANCE)


def exact_log_likelihood() -> float:
    """Log ∫ p(x|z) p(z) dz on the grid."""
    prior_G = torch.distributions.Normal(0.0, 1.0).log_prob(GRID_G)
    joint_G = bernoulli_log_likelihood(logits(GRID_G[:, None]), ROW_D) + prior_G
    return float(torch.logsumexp(joint_G, dim=0)) + math.log(STEP)


def exact_elbo() -> float:
    """E_q[log p(x|z)] on the grid, minus the KL."""
    q_G = gaussian_log_density(GRID_G[:, None], MEAN, LOG_VARIANCE).exp()
    expected = float((q_G * bernoulli_log_likelihood(logits(GRID_G[:, None]), ROW_D)).sum()) * STEP
    return float(elbo(torch.tensor(expected), gaussian_kl(MEAN, LOG_VARIANCE)))


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.3, 0.0), (0.0, -2.0), (-0.7, 0.9)])
def test_the_kl_is_the_integral_that_it_stands_for(mean: float, log_variance: float) -> None:
    """∫ q (log q − log p) on a grid; 0 for the prior itself."""
    mean_Z, log_variance_Z = (torch.tensor([value], dtype=torch.float64) for value in (mean, log_variance))
    log_q_G = gaussian_log_density(GRID_G[:, None], mean_Z, log_variance_Z)
    log_p_G = torch.distributions.Normal(0.0, 1.0).log_prob(GRID_G)
    integral = float((log_q_G.exp() * (log_q_G - log_p_G)).sum()) * STEP
    assert float(gaussian_kl(mean_Z, log_variance_Z)) == pytest.approx(integral, abs=1e-9)


def test_the_kl_of_several_dimensions_is_their_sum_and_the_mean_of_draws() -> None:
    """Against 200,000 draws, with torch's own densities."""
    mean_Z, log_variance_Z = torch.tensor([0.5, -1.0, 0.0]), torch.tensor([0.3, -1.5, 0.0])
    q = torch.distributions.Normal(mean_Z, torch.exp(0.5 * log_variance_Z))
    codes = gaussian_code(mean_Z, log_variance_Z, torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0)))
    drawn = (q.log_prob(codes) - torch.distributions.Normal(0.0, 1.0).log_prob(codes)).sum(dim=-1).mean()
    kl = gaussian_kl(mean_Z, log_variance_Z)
    torch.testing.assert_close(kl, drawn, atol=0.01, rtol=0.0)
    parts = [gaussian_kl(mean_Z[[z]], log_variance_Z[[z]]) for z in range(3)]
    torch.testing.assert_close(kl, torch.stack(parts).sum())


def test_a_code_is_a_draw_from_the_posterior_and_carries_gradients() -> None:
    """∂z/∂μ = 1 and ∂z/∂ log σ² = ½ σ ε."""
    mean_Z, log_variance_Z = torch.tensor([2.0], requires_grad=True), torch.tensor([math.log(9.0)], requires_grad=True)
    noise = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0))
    codes = gaussian_code(mean_Z, log_variance_Z, noise)
    assert codes.mean().item() == pytest.approx(2.0, abs=0.05)
    assert codes.std().item() == pytest.approx(3.0, abs=0.05)
    gaussian_code(mean_Z, log_variance_Z, torch.tensor([0.8])).sum().backward()
    assert mean_Z.grad is not None
    assert mean_Z.grad.item() == 1.0
    assert log_variance_Z.grad is not None
    assert log_variance_Z.grad.item() == pytest.approx(0.5 * 3.0 * 0.8)


def test_the_gaussian_density_is_torch_s() -> None:
    """In three dimensions with their own variances."""
    mean_Z, log_variance_Z = torch.tensor([0.5, -1.0, 0.0]), torch.tensor([0.3, -1.5, 2.0])
    codes = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    wanted = torch.distributions.Normal(mean_Z, torch.exp(0.5 * log_variance_Z)).log_prob(codes).sum(dim=-1)
    torch.testing.assert_close(gaussian_log_density(codes, mean_Z, log_variance_Z), wanted)


def test_the_multinomial_log_likelihood_by_hand() -> None:
    """Two of the first and one of the third with chances ½, ¼, ¼: 2 log ½ + log ¼ = −4 log 2; an empty bag says nothing."""
    log_probs = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.3, 0.5]]))
    counts = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(multinomial_log_likelihood(log_probs, counts), torch.tensor([-4.0 * math.log(2.0), 0.0]))


def test_bernoulli_likelihoods_of_all_rows_add_up_to_one() -> None:
    """By hand for one row, and by enumeration of the eight; logits of any size stay finite."""
    logits_D = torch.tensor([math.log(3.0), 0.0, -math.log(4.0)])  # chances ¾, ½, ⅕
    row_D = torch.tensor([1.0, 0.0, 0.0])
    assert bernoulli_log_likelihood(logits_D, row_D).item() == pytest.approx(math.log(0.75 * 0.5 * 0.8))
    rows = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    assert bernoulli_log_likelihood(logits_D, rows).exp().sum().item() == pytest.approx(1.0)
    assert bernoulli_log_likelihood(torch.tensor([200.0]), torch.tensor([0.0])).item() == pytest.approx(-200.0)


def test_the_kl_weight_climbs_on_a_straight_line_and_stays() -> None:
    """From 0 over four steps to 0.2; without annealing it is there at once."""
    climbed = [annealed_kl_weight(step, 4, 0.2) for step in range(7)]
    assert climbed == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.2])
    assert annealed_kl_weight(0, 0, 0.2) == 0.2


def test_the_elbo_weighs_the_kl() -> None:
    assert elbo(torch.tensor(-7.0), torch.tensor(3.0)).item() == -10.0
    assert elbo(torch.tensor(-7.0), torch.tensor(3.0), 0.2).item() == pytest.approx(-7.6)


def test_bounds_rise_from_the_elbo_towards_the_log_likelihood() -> None:
    """Mean bounds of 1 to 256 draws on a model whose log p(x) and ELBO are integrals on a grid, within four standard errors."""
    log_p = exact_log_likelihood()
    means, errors = [], []
    for num_samples in (1, 4, 16, 64, 256):
        bounds_R = importance_weighted_bound(log_weights(num_samples, 10_000))
        means.append(float(bounds_R.mean()))
        errors.append(float(bounds_R.std()) / 100.0)
    assert means[0] == pytest.approx(exact_elbo(), abs=4 * errors[0])
    assert exact_elbo() < log_p - 0.05, "q is not the posterior, so there is a gap to close"
    for lower, upper in itertools.pairwise(means):
        assert lower < upper
    assert all(mean < log_p + 4 * error for mean, error in zip(means, errors, strict=True))
    assert means[-1] == pytest.approx(log_p, abs=0.01)


def test_mean_weights_are_unbiased() -> None:
    """E[w] = p(x), whatever q is."""
    weights = log_weights(1, 200_000).exp()
    assert float(weights.mean()) == pytest.approx(math.exp(exact_log_likelihood()), rel=0.01)


def test_with_the_true_posterior_every_weight_is_the_likelihood() -> None:
    """x|z ~ N(z, 1) and z ~ N(0, 1): the posterior is N(x/2, ½) and p(x) = N(x; 0, 2), so no draw tells more than any other."""
    x = torch.tensor([1.7])
    mean_Z, log_variance_Z = x / 2, torch.log(torch.tensor([0.5]))
    codes = gaussian_code(mean_Z, log_variance_Z, torch.randn(50, 1, generator=torch.Generator().manual_seed(0)))
    log_likelihood_S = gaussian_log_density(x, codes, torch.zeros(1))
    weights_S = importance_log_weights(log_likelihood_S, codes, mean_Z, log_variance_Z)
    wanted = gaussian_log_density(x, torch.zeros(1), torch.log(torch.tensor([2.0])))
    torch.testing.assert_close(weights_S, wanted.expand(50))
    torch.testing.assert_close(importance_weighted_bound(weights_S), wanted)
