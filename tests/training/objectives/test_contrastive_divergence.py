"""Contrastive divergence against the exact gradient of a tiny RBM, and the pseudo-likelihood against its definition.

Shapes: V all states of the visible units, B data, D visible units.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from training.models.rbm import BernoulliRBM
from training.objectives.contrastive_divergence import (
    contrastive_loss,
    pseudo_log_likelihood,
    reconstruction_error,
    run_chains,
)

D = 5
NUM_CHAINS = 20_000


@pytest.fixture
def model() -> BernoulliRBM:
    generator = torch.Generator().manual_seed(1)
    made = BernoulliRBM(num_visible=D, num_hidden=3, init_std=1.0, visible_bias_D=torch.zeros(D), generator=generator)
    with torch.no_grad():
        for weights in made.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator))
    return made.double()


@pytest.fixture
def data_BD() -> Tensor:
    return (torch.rand(8, D, generator=torch.Generator().manual_seed(2)) < 0.4).double()


def states() -> Tensor:
    return ((torch.arange(2**D)[:, None] >> torch.arange(D)) & 1).double()


def gradient(model: nn.Module, loss: Tensor) -> Tensor:
    """Of all parameters in one vector."""
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])


def exact_gradient(model: BernoulliRBM, data_BD: Tensor) -> Tensor:
    """−∇ mean log p(data), with log Z by the sum over all states."""
    return gradient(model, model.free_energy(data_BD).mean() + torch.logsumexp(-model.free_energy(states()), 0))


def chains_gradient(model: BernoulliRBM, data_BD: Tensor, start_ND: Tensor, num_steps: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    end_ND = run_chains(lambda state: model.gibbs_step(state, random), start_ND, num_steps)
    return gradient(model, contrastive_loss(model.free_energy(data_BD), model.free_energy(end_ND)))


def cosine(first: Tensor, second: Tensor) -> float:
    return float(torch.cosine_similarity(first, second, dim=0))


def test_exact_draws_give_the_exact_gradient(model: BernoulliRBM, data_BD: Tensor) -> None:
    """With the states in proportion to their probabilities in place of chains, up to rounding a state to 1 / 200,000."""
    with torch.no_grad():
        counts_V = torch.round(torch.softmax(-model.free_energy(states()), 0) * 200_000).long()
    loss = contrastive_loss(model.free_energy(data_BD), model.free_energy(states().repeat_interleave(counts_V, 0)))
    torch.testing.assert_close(gradient(model, loss), exact_gradient(model, data_BD), atol=2e-4, rtol=0.0)


def test_contrastive_divergence_points_the_right_way_and_comes_closer_with_every_step(
    model: BernoulliRBM, data_BD: Tensor
) -> None:
    """CD-1 has a positive inner product with the exact gradient; its error shrinks with k; CD-50 is the exact one."""
    exact, start_ND = exact_gradient(model, data_BD), data_BD.repeat(NUM_CHAINS // len(data_BD), 1)
    found = {k: chains_gradient(model, data_BD, start_ND, k) for k in (1, 3, 50)}
    assert cosine(found[1], exact) > 0.5
    errors = {k: float((found[k] - exact).norm()) for k in found}
    assert errors[1] > 1.5 * errors[3] > 2.0 * errors[50]
    torch.testing.assert_close(found[50], exact, atol=0.015, rtol=0.0)


def test_persistent_chains_come_to_the_exact_gradient(model: BernoulliRBM, data_BD: Tensor) -> None:
    """Wherever they start, one step an update is enough while the model stands still; the start is forgotten."""
    state_ND = torch.zeros(NUM_CHAINS, D, dtype=torch.float64)
    random = torch.Generator().manual_seed(3)
    for _ in range(50):
        state_ND = run_chains(lambda state: model.gibbs_step(state, random), state_ND, 1)
    loss = contrastive_loss(model.free_energy(data_BD), model.free_energy(state_ND))
    torch.testing.assert_close(gradient(model, loss), exact_gradient(model, data_BD), atol=0.015, rtol=0.0)


def test_learning_with_persistent_chains_comes_near_maximum_likelihood(model: BernoulliRBM, data_BD: Tensor) -> None:
    """The mean log-likelihood after 300 updates with five-step chains, against as many updates with the exact gradient."""
    final = {}
    for kind in ("exact", "chains"):
        learner = copy.deepcopy(model)
        optimizer = torch.optim.Adam(learner.parameters(), lr=0.02)
        random = torch.Generator().manual_seed(0)
        chains_ND = data_BD.repeat(100, 1)
        for _ in range(300):
            optimizer.zero_grad()
            if kind == "exact":
                model_term = -torch.logsumexp(-learner.free_energy(states()), 0)
                (learner.free_energy(data_BD).mean() - model_term).backward()
            else:
                chains_ND = run_chains(lambda state: learner.gibbs_step(state, random), chains_ND, 5)  # noqa: B023 - called at once
                contrastive_loss(learner.free_energy(data_BD), learner.free_energy(chains_ND)).backward()
            optimizer.step()
        with torch.no_grad():
            final[kind] = float((-learner.free_energy(data_BD)).mean() - torch.logsumexp(-learner.free_energy(states()), 0))
    with torch.no_grad():
        start = float((-model.free_energy(data_BD)).mean() - torch.logsumexp(-model.free_energy(states()), 0))
    assert final["exact"] > start + 1.0
    assert final["chains"] == pytest.approx(final["exact"], abs=0.1)


def test_no_gradient_flows_through_the_chains(model: BernoulliRBM, data_BD: Tensor) -> None:
    """Their states are constants, and they do as many steps as asked."""
    calls: Iterator[int] = iter(range(100))

    def step(state_ND: Tensor) -> Tensor:
        next(calls)
        return state_ND * model.visible_bias_D

    assert not run_chains(step, data_BD, 7).requires_grad
    assert next(calls) == 7


def test_the_pseudo_likelihood_is_the_product_of_conditionals(model: BernoulliRBM, data_BD: Tensor) -> None:
    """Σ_i log p(v_i | v_−i) from the probabilities of a row and of the row with one unit flipped."""
    with torch.no_grad():
        found_B = pseudo_log_likelihood(model.free_energy, data_BD)
        for row, found in zip(data_BD, found_B, strict=True):
            expected = 0.0
            for unit in range(D):
                other = row.clone()
                other[unit] = 1 - other[unit]
                here, there = torch.exp(-model.free_energy(torch.stack([row, other])))
                expected += float(torch.log(here / (here + there)))
            assert float(found) == pytest.approx(expected)


def test_one_unit_a_row_estimates_the_pseudo_likelihood(model: BernoulliRBM, data_BD: Tensor) -> None:
    """The mean over all choices of the unit is the whole sum."""
    with torch.no_grad():
        single_DB = torch.stack(
            [pseudo_log_likelihood(model.free_energy, data_BD, torch.full((len(data_BD),), unit)) for unit in range(D)]
        )
        torch.testing.assert_close(single_DB.mean(0), pseudo_log_likelihood(model.free_energy, data_BD))


def test_the_reconstruction_error_is_a_squared_distance() -> None:
    found_B = reconstruction_error(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.5, 0.5], [1.0, 1.0]]))
    assert found_B.tolist() == [0.5, 0.0]
