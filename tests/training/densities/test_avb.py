"""The density of adversarial variational Bayes: its bound against the integral that it bounds, and what fitting gives.

Shapes: N rows, D dimensions, Q points of the quadrature.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.data.binary import BinaryData
from training.densities.avb import AvbDensity, Config, Networks, bernoulli_log_likelihood, build, fit, measure
from training.loop import Run

D = 6
SMALL: dict[str, Any] = {
    "hidden_size": 12,
    "embedding_size": 1,
    "adversary_hidden_size": 8,
    "learning_rate": 0.02,
    "batch_size": 50,
    "num_epochs": 20,
    "validate_every": 5,
    "num_samples": 200,
}


def small(**settings: Any) -> Config:
    return Config(**(SMALL | settings))


def every_row() -> Tensor:
    """All 64 rows of six dimensions."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=D)))


def networks() -> Networks:
    random = torch.Generator().manual_seed(0)
    made = build(every_row(), small(), random, random)
    with torch.no_grad():
        for network in made:
            for weights in network.parameters():
                weights.add_(0.3 * torch.randn(weights.shape, generator=random))
    return made


def exact_log_probs(made: Networks) -> Tensor:
    """Log ∫ p(z) p(x|z) dz of every row by Gauss–Hermite quadrature over the one latent dimension, [N]."""
    nodes_Q, weights_Q = np.polynomial.hermite_e.hermegauss(80)
    with torch.no_grad():
        logits_QD = made.decoder(torch.from_numpy(nodes_Q).float()[:, None])
        log_likelihood_QN = bernoulli_log_likelihood(logits_QD[:, None], every_row()).double()
    return torch.logsumexp(log_likelihood_QN + torch.from_numpy(np.log(weights_Q / weights_Q.sum()))[:, None], dim=0)


def two_kinds(num_rows: int, seed: int) -> np.ndarray:
    """Rows of nearly all ones or nearly all zeros."""
    rng = np.random.default_rng(seed)
    kind_N1 = rng.integers(0, 2, size=(num_rows, 1))
    return np.where(rng.random((num_rows, D)) < 0.9, kind_N1, 1 - kind_N1).astype(np.uint8)


@pytest.fixture(scope="module")
def data() -> BinaryData:
    return BinaryData("two-kinds", two_kinds(400, 0), two_kinds(100, 1), two_kinds(200, 2))


def test_the_exact_probabilities_sum_to_one() -> None:
    """The quadrature that the bound is held to is right."""
    assert exact_log_probs(networks()).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("proposal_width", [4.0, 8.0])
def test_the_bound_meets_the_exact_likelihood_with_many_draws_whatever_the_proposal_s_width(proposal_width: float) -> None:
    """Mean over all 64 rows, within five of the stated standard errors, which are small."""
    made = networks()
    random = torch.Generator().manual_seed(1)
    bounds_N, errors_N = measure(made, every_row(), proposal_width=proposal_width, num_samples=4_000, random=random)
    error = errors_N.square().sum().sqrt().item() / len(bounds_N)
    assert error < 0.02
    assert bounds_N.mean().item() == pytest.approx(exact_log_probs(made).mean().item(), abs=5 * error + 1e-3)


def test_the_bound_rises_with_the_draws_and_stays_below() -> None:
    """With two draws a row it is well below the likelihood, averaged over many repetitions of every row."""
    made, random = networks(), torch.Generator().manual_seed(1)
    rows_ND = every_row().repeat(50, 1)
    few, more = (measure(made, rows_ND, proposal_width=1.5, num_samples=s, random=random)[0].mean().item() for s in (2, 20))
    assert few < more < exact_log_probs(made).mean().item() + 1e-3


def test_fitting_finds_two_kinds_of_rows(data: BinaryData) -> None:
    """Better than independent columns, which would have log ½ a column; the interval holds the figure, and the seed decides it."""
    density = fit(data.without_test(), small(), Run(seed=0))
    test_ND = torch.from_numpy(data.test_ND).float()
    estimate = density.log_likelihood(test_ND)
    assert estimate.kind == "bound"
    assert estimate.low < estimate.value < estimate.high
    assert estimate.value > D * np.log(0.5) + 0.5
    assert density.log_likelihood(test_ND) == estimate
    assert fit(data.without_test(), small(), Run(seed=0)).log_likelihood(test_ND) == estimate


def test_samples_look_like_the_rows(data: BinaryData) -> None:
    """Mostly all ones or all zeros, with columns as often set as in the data."""
    density = fit(data, small(), Run(seed=0))
    rows_ND = density.sample(2_000, torch.Generator().manual_seed(0))
    assert set(rows_ND.unique().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(rows_ND.mean(dim=0), data.train_ND.mean(axis=0), atol=0.12)
    pairs_agree = (rows_ND[:, 0] == rows_ND[:, 1]).float().mean().item()
    assert pairs_agree > 0.65


def test_the_best_epoch_s_networks_are_kept(data: BinaryData) -> None:
    """What is measured on the validation rows afterwards is the best look, computed with the same draws."""
    config, run = small(num_validation_samples=200), Run(seed=0)
    density = fit(data, config, run)
    assert isinstance(density, AvbDensity)
    valid_ND = torch.from_numpy(data.valid_ND).float()
    random = run.generator(1)
    bounds_N, _ = measure(density.networks, valid_ND, proposal_width=config.proposal_width, num_samples=200, random=random)
    best = max(value for _, value in run.curves["fit/bound"])
    assert float(bounds_N.mean()) == pytest.approx(best)
