"""The density of a VAE: its bound against the integral that it bounds, and what fitting gives.

Shapes: N rows, D dimensions, Q points of the quadrature, M members, S samples.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.data.binary import BinaryData
from training.densities.vae import Config, VaeDensity, draw, fit, measure
from training.loop import Run
from training.models.vae import Vae
from training.objectives import elbo as objectives

D = 6
SMALL: dict[str, Any] = {
    "num_members": 2,
    "hidden_size": 12,
    "decoder_hidden_size": 12,
    "embedding_size": 2,
    "num_training_samples": 4,
    "learning_rate": 0.02,
    "batch_size": 50,
    "num_epochs": 30,
    "validate_every": 5,
    "num_samples": 200,
}


def small(**settings: Any) -> Config:
    return Config(**(SMALL | settings))


def every_row() -> Tensor:
    """All 64 rows of six dimensions."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=D)))


def vae(num_members: int = 2) -> Vae:
    random = torch.Generator().manual_seed(0)
    made = Vae(
        num_entries=D,
        num_members=num_members,
        encoder_hidden_size=5,
        embedding_size=2,
        decoder_hidden_size=6,
        dropout=0.5,
        initial_log_variance=0.0,
        initial_bias_I=torch.linspace(-1.0, 1.0, D),
        generator=random,
    )
    with torch.no_grad():
        for name, weights in made.named_parameters():
            if name.startswith("decoder"):  # far from the prior's mean, so that codes matter
                weights.add_(torch.randn(weights.shape, generator=random))
    return made


def exact_log_likelihood(model: Vae, rows_ND: Tensor) -> Tensor:
    """Log p(x) of the mixture of members, ∫ p(x|z) p(z) dz by Gauss–Hermite quadrature over both dimensions of z."""
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    grid_QZ = torch.tensor(list(itertools.product(points, points)), dtype=torch.float32)
    log_weights_Q = torch.log(torch.from_numpy(np.outer(weights, weights).flatten() / (2 * math.pi)))
    with torch.no_grad():
        logits_MQD = model.decoder(grid_QZ.expand(model.num_members, -1, -1)).double()
    log_likelihood_MQN = objectives.bernoulli_log_likelihood(logits_MQD[:, :, None, :], rows_ND.double())
    log_p_MN = torch.logsumexp(log_likelihood_MQN + log_weights_Q[:, None], dim=1)
    return torch.logsumexp(log_p_MN, dim=0) - math.log(model.num_members)


def made_up(num_rows: int = 200, seed: int = 0) -> np.ndarray:
    """Two kinds of rows, each other's complement, with a tenth of the entries flipped."""
    rng = np.random.default_rng(seed)
    kind = np.where(rng.random((num_rows, 1)) < 0.5, [[1, 1, 1, 0, 0, 0]], [[0, 0, 0, 1, 1, 1]])
    return np.where(rng.random((num_rows, D)) < 0.1, 1 - kind, kind).astype(np.uint8)


def data() -> BinaryData:
    return BinaryData("made-up", made_up(200, 0), made_up(80, 1), made_up(0, 2))


def test_the_exact_probabilities_of_all_rows_add_up_to_one() -> None:
    """The yardstick of the next tests: Σ_x p(x) of the mixture, by enumeration."""
    assert float(exact_log_likelihood(vae(), every_row()).exp().sum()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("num_members", [1, 2])
def test_bounds_rise_with_the_draws_towards_the_exact_log_likelihood(num_members: int) -> None:
    """Mean over all rows and many repetitions; at most the exact value, and close to it with a thousand draws."""
    model = vae(num_members)
    exact = float(exact_log_likelihood(model, every_row()).mean())
    rows_ND = every_row().repeat(40, 1)
    means = [
        float(measure(model, rows_ND, num_samples=S, random=torch.Generator().manual_seed(1))[0].mean())
        for S in (2, 6, 50, 1000)
    ]
    assert means == sorted(means)
    assert means[0] < exact - 0.1
    assert means[-1] <= exact + 0.005
    assert means[-1] == pytest.approx(exact, abs=0.01)


def test_the_interval_is_that_of_the_drawing() -> None:
    """Measured a hundred times with other draws, the figure has the standard deviation that a single one claims."""
    model, rows_ND = vae(), every_row()
    values, claimed = [], []
    for seed in range(100):
        bounds_N, variances_N = measure(model, rows_ND, num_samples=200, random=torch.Generator().manual_seed(seed))
        values.append(float(bounds_N.mean()))
        claimed.append(float(variances_N.sum().sqrt()) / len(rows_ND))
    assert np.std(values) == pytest.approx(np.mean(claimed), rel=0.25)


def test_an_estimate_is_a_bound_with_its_interval_and_the_same_every_time() -> None:
    """Whatever was asked before: random numbers start anew; rows measured in pieces are measured alike."""
    density = VaeDensity(vae(), num_samples=100, run=Run(seed=3))
    estimate = density.log_likelihood(every_row())
    assert estimate.kind == "bound"
    assert estimate.low < estimate.value < estimate.high
    assert density.log_likelihood(every_row()) == estimate


def test_many_rows_are_measured_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more logits at once than allowed, and about the same figure."""
    model, rows_ND = vae(), every_row()
    whole, _ = measure(model, rows_ND, num_samples=2000, random=torch.Generator().manual_seed(0))
    monkeypatch.setattr("training.densities.vae._CELLS", 2 * 2000 * D * 5)
    seen = []
    encoder = model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda rows, dropout=None: seen.append(len(rows)) or encoder(rows, dropout))
    pieces, _ = measure(model, rows_ND, num_samples=2000, random=torch.Generator().manual_seed(0))
    assert seen == [5] * 12 + [4]
    torch.testing.assert_close(pieces.mean(), whole.mean(), atol=0.02, rtol=0.0)


def test_draws_weigh_prior_against_posterior() -> None:
    """The two halves of log w against torch's own densities of the same codes."""
    model, rows_ND = vae(), every_row()[:7]
    drawn = draw(model, rows_ND, num_samples=3, random=torch.Generator().manual_seed(5))
    noise = torch.randn(2, 3, 7, 2, generator=torch.Generator().manual_seed(5))
    q = torch.distributions.Normal(drawn.mean_MBZ[:, None], torch.exp(0.5 * drawn.log_variance_MBZ[:, None]))
    codes = q.mean + q.stddev * noise
    wanted = (torch.distributions.Normal(0.0, 1.0).log_prob(codes) - q.log_prob(codes)).sum(dim=-1)
    torch.testing.assert_close(drawn.log_prior_SMB, wanted.transpose(0, 1))
    for member in range(2):
        for sample in range(3):
            logits = model.decoder(codes[:, sample])[member]
            wanted = torch.distributions.Bernoulli(logits=logits).log_prob(rows_ND).sum(dim=-1)
            torch.testing.assert_close(drawn.log_likelihood_SMB[sample, member], wanted)


@pytest.mark.parametrize("num_training_samples", [1, 4])
def test_fitting_finds_what_independent_dimensions_cannot_say(num_training_samples: int) -> None:
    """Two kinds of rows: 6 log 2 nats a row without their dependence; better on rows that it has not seen, trained by either bound."""
    density = fit(data(), small(num_training_samples=num_training_samples), run := Run())
    estimate = density.log_likelihood(torch.from_numpy(made_up(300, 7)).float())
    assert estimate.value > -D * math.log(2.0) + 0.8
    curve = run.curves["fit/bound"]
    assert max(value for _, value in curve) > curve[0][1]
    assert {"training_bound", "kl", "kl_weight"} <= {name.removeprefix("fit/") for name in run.curves}


def test_the_best_epoch_on_validation_rows_is_kept() -> None:
    """From twenty rows it learns too much in the end; the returned model has the bound of the best look, not of the last one."""
    few = BinaryData("few", made_up(20, 0), made_up(80, 1), made_up(0, 2))
    config = small(learning_rate=0.1, weight_decay=0.0, num_training_samples=1, num_validation_samples=100, patience=2)
    density = fit(few, config, run := Run())
    curve = run.curves["fit/bound"]
    best_epoch, best = max(curve, key=lambda point: point[1])
    assert best_epoch < curve[-1][0]
    bounds_N, _ = measure(density.vae, torch.from_numpy(few.valid_ND).float(), num_samples=100, random=run.generator(1))
    assert float(bounds_N.mean()) == pytest.approx(best, abs=1e-5)


def test_the_seed_decides() -> None:
    rows_ND = torch.from_numpy(made_up(50, 7)).float()
    one, same, other = (fit(data(), small(num_epochs=5), Run(seed=seed)).log_likelihood(rows_ND) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_samples_come_from_the_model() -> None:
    """The share of ones in each dimension against the exact probabilities of all rows."""
    model = vae()
    rows_ND = VaeDensity(model, num_samples=10, run=Run()).sample(20_000, torch.Generator().manual_seed(0))
    assert set(rows_ND.unique().tolist()) == {0.0, 1.0}
    probs_N = exact_log_likelihood(model, every_row()).exp().float()
    torch.testing.assert_close(rows_ND.mean(dim=0), probs_N @ every_row(), atol=0.015, rtol=0.0)
