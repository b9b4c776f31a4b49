"""The adversary's divergence and its gradient, against Gaussians in closed form.

Expectations over one normal variable are Gauss–Hermite sums, exact for the polynomials that occur here. Shapes: S nodes, Z latent
dimensions.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from training.objectives import avb


def nodes() -> tuple[Tensor, Tensor]:
    """Nodes and weights of the expectation over a standard normal variable, [S] both."""
    nodes_S, weights_S = np.polynomial.hermite_e.hermegauss(40)
    return torch.from_numpy(nodes_S), torch.from_numpy(weights_S / weights_S.sum())


def gaussian_parameters() -> tuple[Tensor, Tensor]:
    return tuple(torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (0.8, 0.6))  # type: ignore[return-value]


def best_logits(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """T* = log q − log p for q = N(mean, std²), p = N(0, 1)."""
    return avb.gaussian_log_density(z, mean, std) - avb.gaussian_log_density(z)


def test_a_free_adversary_comes_to_the_logarithm_of_the_ratio() -> None:
    """Proposition 1: T* = log q − log p, by descent on a free logit for each of four values of z, with ten draws of either side."""
    posterior = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
    prior = torch.tensor([0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    logits_X = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits_X], lr=0.05)
    for _ in range(400):
        loss = avb.adversary_loss(logits_X[posterior], logits_X[prior])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    expected_X = torch.log(torch.tensor([4 / 1, 3 / 2, 2 / 3, 1 / 4], dtype=torch.float64))
    torch.testing.assert_close(logits_X.detach(), expected_X, atol=1e-4, rtol=0.0)


def test_an_adversary_that_cannot_tell_has_a_loss_of_log_four() -> None:
    assert avb.adversary_loss(torch.zeros(3), torch.zeros(5)).item() == pytest.approx(math.log(4))


def test_the_density_is_that_of_a_normal_distribution() -> None:
    """Against torch's own, in two dimensions."""
    z_SZ = torch.tensor([[0.3, -1.2], [2.0, 0.1]])
    mean_Z, std_Z = torch.tensor([0.5, -1.0]), torch.tensor([0.7, 2.0])
    expected_S = torch.distributions.Normal(mean_Z, std_Z).log_prob(z_SZ).sum(dim=1)
    torch.testing.assert_close(avb.gaussian_log_density(z_SZ, mean_Z, std_Z), expected_S)


def test_the_mean_of_the_best_adversary_is_the_divergence() -> None:
    """E_q[T*] = KL(q ‖ p) = ½ (μ² + σ² − 1) − log σ for Gaussians."""
    (mean, std), (nodes_S, weights_S) = gaussian_parameters(), nodes()
    z_S1 = (mean + std * nodes_S[:, None]).detach()
    mean_of_T = (weights_S * avb.divergence(best_logits(z_S1, mean, std), z_S1)).sum()
    by_hand = 0.5 * (0.8**2 + 0.6**2 - 1) - math.log(0.6)
    assert mean_of_T.item() == pytest.approx(by_hand)
    assert avb.gaussian_kl(mean, std).item() == pytest.approx(by_hand)


def test_what_the_best_adversary_changes_with_phi_vanishes_on_average() -> None:
    """Proposition 2: E_q[∂T*/∂φ] = 0, although at a single z it does not."""
    (mean, std), (nodes_S, weights_S) = gaussian_parameters(), nodes()
    z_S1 = (mean + std * nodes_S[:, None]).detach()  # z held fixed, T* differentiated
    (weights_S * best_logits(z_S1, mean, std)).sum().backward()
    assert mean.grad is not None and std.grad is not None
    assert mean.grad.item() == pytest.approx(0.0, abs=1e-10)
    assert std.grad.item() == pytest.approx(0.0, abs=1e-10)
    one = torch.autograd.grad(best_logits(z_S1[:1], mean, std).sum(), [mean, std])
    assert all(gradient.abs().item() > 0.1 for gradient in one)


@pytest.mark.parametrize("contrast", ["prior", "adaptive"])
def test_the_gradient_through_z_alone_is_that_of_the_divergence(contrast: str) -> None:
    """With T* held fixed as a function, the reparametrised gradient is (μ, σ − 1/σ), whichever distribution is on the other side.

    For the adaptive contrast r is a Gaussian that is not q, and T* = log q − log r is evaluated at the standardised z.
    """
    (mean, std), (nodes_S, weights_S) = gaussian_parameters(), nodes()
    frozen_mean, frozen_std = mean.detach().clone(), std.detach().clone()
    z_S1 = mean + std * nodes_S[:, None]
    if contrast == "prior":
        divergence_S = avb.divergence(best_logits(z_S1, frozen_mean, frozen_std), z_S1)
    else:
        other_mean = torch.tensor([0.3], dtype=torch.float64)
        other_std = torch.tensor([0.9], dtype=torch.float64)
        judged_S1 = avb.standardised(z_S1, other_mean, other_std)
        # q in the standardised variable:
        shifted_mean, shifted_std = (frozen_mean - other_mean) / other_std, frozen_std / other_std
        divergence_S = avb.divergence(best_logits(judged_S1, shifted_mean, shifted_std), z_S1, other_mean, other_std)
    total = (weights_S * divergence_S).sum()
    assert total.item() == pytest.approx(avb.gaussian_kl(frozen_mean, frozen_std).item())
    total.backward()
    assert mean.grad is not None and std.grad is not None
    assert mean.grad.item() == pytest.approx(0.8)
    assert std.grad.item() == pytest.approx(0.6 - 1 / 0.6)


def test_no_gradient_flows_into_the_moments() -> None:
    """Neither through the standardised z nor through the density of r."""
    z_S1 = torch.ones(3, 1, requires_grad=True)
    mean, std = torch.zeros(3, 1, requires_grad=True), torch.full((3, 1), 2.0, requires_grad=True)
    judged_S1 = avb.standardised(z_S1, mean, std)
    (avb.divergence(judged_S1[:, 0].square(), z_S1, mean, std)).sum().backward()
    assert mean.grad is None and std.grad is None
    assert z_S1.grad is not None


@pytest.mark.parametrize(("mean", "std"), [(0.2, 0.8), (-1.0, 1.5), (0.0, 1.0)])
def test_the_divergence_from_the_prior_may_take_any_way_round(mean: float, std: float) -> None:
    """Section 4: KL(q ‖ p) = KL(q ‖ r) + E_q[log r − log p], for a q of two peaks and any Gaussian r; sums on a fine grid."""
    z_G = torch.linspace(-12.0, 12.0, 20_001, dtype=torch.float64)
    step = z_G[1] - z_G[0]
    peaks = [avb.gaussian_log_density(z_G[:, None], centre, 0.4) for centre in (-1.0, 1.5)]
    log_q_G = torch.logsumexp(torch.stack(peaks) + torch.log(torch.tensor([[0.3], [0.7]])), dim=0)
    log_r_G = avb.gaussian_log_density(z_G[:, None], mean, std)
    log_p_G = avb.gaussian_log_density(z_G[:, None])
    weights_G = log_q_G.exp() * step
    direct = (weights_G * (log_q_G - log_p_G)).sum()
    moments = torch.tensor([mean], dtype=torch.float64), torch.tensor([std], dtype=torch.float64)
    around = (weights_G * avb.divergence(log_q_G - log_r_G, z_G[:, None], *moments)).sum()
    torch.testing.assert_close(around, direct)
    assert direct > 0.5


def test_the_bound_s_loss_is_the_divergence_minus_the_likelihood() -> None:
    assert avb.negative_bound(torch.tensor(-3.0), torch.tensor(2.0), 0.5).item() == pytest.approx(4.0)


def test_the_importance_weighted_bound_is_exact_where_the_proposal_is_the_posterior() -> None:
    """x|z ~ N(z, 1), z ~ N(0, 1): p(x) = N(x; 0, 2) and the posterior is N(x/2, ½); then all weights are p(x)."""
    x_N = torch.tensor([0.3, -2.0], dtype=torch.float64)
    z_SN = x_N / 2 + torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * math.sqrt(0.5)
    log_joint_SN = avb.gaussian_log_density(z_SN[..., None]) + avb.gaussian_log_density((x_N - z_SN)[..., None])
    log_proposal_SN = avb.gaussian_log_density((z_SN - x_N / 2)[..., None], 0.0, math.sqrt(0.5))
    bound_N, error_N = avb.importance_weighted_bound(log_joint_SN, log_proposal_SN)
    torch.testing.assert_close(bound_N, avb.gaussian_log_density(x_N[:, None], 0.0, math.sqrt(2.0)))
    torch.testing.assert_close(error_N, torch.zeros_like(error_N), atol=1e-12, rtol=0.0)


def test_with_another_proposal_the_bound_lies_below_and_closes_with_the_draws() -> None:
    """The prior as the proposal: within four of the stated standard errors with 4,000 draws, below on average with two."""
    random = torch.Generator().manual_seed(0)
    x_N = torch.full((2_000,), 1.5, dtype=torch.float64)
    exact = avb.gaussian_log_density(x_N[:1, None], 0.0, math.sqrt(2.0)).item()

    def bound(num_draws: int) -> tuple[Tensor, Tensor]:
        z_SN = torch.randn(num_draws, len(x_N), generator=random, dtype=torch.float64)
        log_prior_SN = avb.gaussian_log_density(z_SN[..., None])
        log_joint_SN = log_prior_SN + avb.gaussian_log_density((x_N - z_SN)[..., None])
        return avb.importance_weighted_bound(log_joint_SN, log_prior_SN)

    assert bound(2)[0].mean().item() < exact - 0.05
    bound_N, error_N = bound(4_000)
    # The stated errors are those that the rows, which differ in nothing but their draws, show.
    assert bound_N.std().item() == pytest.approx(error_N.mean().item(), rel=0.1)
    assert abs(bound_N[0].item() - exact) < 4 * error_N[0].item()
