"""The binary RBM against enumeration: free energy, partition function, conditional distributions, Gibbs sampling.

Shapes: V and S all states of the visible and of the hidden units, D visible units, H hidden units, N draws.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from training.models.rbm import BernoulliRBM, bernoulli
from training.objectives.annealed_importance import exact_log_partition

SIZES = pytest.mark.parametrize(("num_visible", "num_hidden"), [(10, 4), (6, 8), (3, 1)])


def rbm(num_visible: int, num_hidden: int, *, scale: float = 1.0, seed: int = 0) -> BernoulliRBM:
    generator = torch.Generator().manual_seed(seed)
    model = BernoulliRBM(
        num_visible=num_visible,
        num_hidden=num_hidden,
        init_std=scale,
        visible_bias_D=scale * torch.randn(num_visible, generator=generator),
        generator=generator,
    ).double()
    with torch.no_grad():
        model.hidden_bias_H.copy_(scale * torch.randn(num_hidden, generator=generator))
    return model


def states(num_units: int) -> Tensor:
    return ((torch.arange(2**num_units)[:, None] >> torch.arange(num_units)) & 1).double()


def energies(model: BernoulliRBM, visible_VD: Tensor, hidden_SH: Tensor) -> Tensor:
    """−hᵀWv − bᵀv − cᵀh of all pairs [V, S], sum by sum as it is written."""
    weights_HD, b, c = model.weights_HD.detach(), model.visible_bias_D.detach(), model.hidden_bias_H.detach()
    return torch.stack([torch.stack([-(h @ weights_HD @ v) - b @ v - c @ h for h in hidden_SH]) for v in visible_VD])


def test_the_energy_is_minus_hwv_minus_bv_minus_ch() -> None:
    model = rbm(3, 2)
    visible_VD, hidden_SH = states(3), states(2)
    with torch.no_grad():
        for index, v in enumerate(visible_VD):
            found_S = model.energy(v.expand(len(hidden_SH), -1), hidden_SH)
            torch.testing.assert_close(found_S, energies(model, visible_VD, hidden_SH)[index])


@SIZES
def test_the_free_energy_is_the_sum_over_all_hidden_states(num_visible: int, num_hidden: int) -> None:
    """F(v) = −log Σ_h exp(−E(v, h))."""
    model = rbm(num_visible, num_hidden)
    visible_VD = states(num_visible)[:16]
    with torch.no_grad():
        expected_V = -torch.logsumexp(-energies(model, visible_VD, states(num_hidden)), 1)
        torch.testing.assert_close(model.free_energy(visible_VD), expected_V)


@SIZES
def test_probabilities_sum_to_one(num_visible: int, num_hidden: int) -> None:
    """Σ_v exp(−F(v)) / Z over all 2^D states, with Z by the sum over the smaller side."""
    model = rbm(num_visible, num_hidden)
    log_z = exact_log_partition(model.weights_HD, model.visible_bias_D, model.hidden_bias_H).value
    with torch.no_grad():
        assert math.isclose(float(torch.exp(-model.free_energy(states(num_visible)) - log_z).sum()), 1.0, abs_tol=1e-5)


def test_conditionals_are_the_joint_distribution_s() -> None:
    """p(h_j = 1 | v) and p(v_i = 1 | h) from all energies."""
    model = rbm(4, 3)
    visible_VD, hidden_SH = states(4), states(3)
    joint_VS = torch.exp(-energies(model, visible_VD, hidden_SH))
    with torch.no_grad():
        given_v_VH = joint_VS @ hidden_SH / joint_VS.sum(1, keepdim=True)
        torch.testing.assert_close(torch.sigmoid(model.hidden_logits(visible_VD)), given_v_VH)
        given_h_SD = joint_VS.T @ visible_VD / joint_VS.T.sum(1, keepdim=True)
        torch.testing.assert_close(torch.sigmoid(model.visible_logits(hidden_SH)), given_h_SD)


def test_gibbs_sampling_leaves_the_distribution_as_it_is() -> None:
    """Exact draws are exact draws after a step, and chains from zeros come to be: frequencies of all 16 states, 40,000 chains.

    A frequency's standard deviation is at most 0.0025.
    """
    model, visible_VD = rbm(4, 3), states(4)
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        probs_V = torch.softmax(-model.free_energy(visible_VD), 0)
    exact_ND = visible_VD[torch.multinomial(probs_V, 40_000, replacement=True, generator=random)]
    start_ND = torch.zeros(40_000, 4, dtype=torch.float64)
    for begin_ND, steps in ((exact_ND, 1), (start_ND, 30)):
        drawn_ND = begin_ND
        for _ in range(steps):
            drawn_ND = model.gibbs_step(drawn_ND, random)
        numbers_N = (drawn_ND @ (2.0 ** torch.arange(4, dtype=torch.float64))).long()
        torch.testing.assert_close(torch.bincount(numbers_N, minlength=16) / 40_000.0, probs_V.float(), atol=0.01, rtol=0.0)


def test_draws_are_the_given_generators() -> None:
    """The same seed, the same draws; probabilities 0 and 1 are kept."""
    probs = torch.tensor([0.0, 1.0, 0.5, 0.5]).repeat(100, 1)
    first, second = (bernoulli(probs, torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(first, second)
    assert first[:, 0].sum() == 0
    assert first[:, 1].sum() == 100
    assert 60 < first[:, 2:].sum() < 140


def test_an_rbm_without_weights_has_the_data_s_means() -> None:
    """Biases at the log-odds: p(v_i = 1) is the given mean."""
    means_D = torch.tensor([0.1, 0.5, 0.9])
    model = BernoulliRBM(
        num_visible=3,
        num_hidden=2,
        init_std=0.0,
        visible_bias_D=torch.logit(means_D),
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        torch.testing.assert_close(torch.sigmoid(model.visible_logits(torch.ones(1, 2)))[0], means_D)
