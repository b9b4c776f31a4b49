"""The inference network's draws and moments, the exported query, and a posterior with two modes.

Shapes: B rows, X inputs, K noise vectors, Z latent dimensions, S draws, I items.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from app.bundle import Histories
from tests.bench import toys
from training.export.history import HistoryGraph
from training.models.avb import Adversary, BasisPosterior, Decoder, RankingHead

I, Z, K = 9, 4, 2  # noqa: E741 - the legend's letters
HIDDEN = pytest.mark.parametrize("hidden_size", [0, 6])


def posterior(hidden_size: int) -> BasisPosterior:
    random = torch.Generator().manual_seed(0)
    made = BasisPosterior(
        num_inputs=I,
        hidden_size=hidden_size,
        latent_size=Z,
        num_noises=K,
        noise_hidden_size=5,
        noise_scale=0.5,
        input_scale=0.3,
        generator=random,
    )
    with torch.no_grad():
        for weights in made.parameters():  # larger than at the start, so that nothing is nearly Gaussian or nearly linear
            weights.add_(0.5 * torch.randn(weights.shape, generator=random))
    return made


def inputs_BX() -> Tensor:
    return torch.rand(3, I, generator=torch.Generator().manual_seed(1))


@HIDDEN
def test_a_draw_is_the_sum_of_shaped_noises_times_their_coefficients(hidden_size: int) -> None:
    """Z = a_0(x) + Σ_k v_k(ε_k) ⊙ a_k(x), written out."""
    model, x_BX = posterior(hidden_size), inputs_BX()
    noise_SKZ = model.draw_noise(3, torch.Generator().manual_seed(2))
    with torch.no_grad():
        coefficients, shaped_SKZ = model(x_BX), model.shaped(noise_SKZ)
        expected_BZ = coefficients[:, 0].clone()
        for k in range(K):
            inner = torch.tanh(noise_SKZ[:, k] @ model.noise_in_KZG[k] + model.noise_bias_KG[k])
            v_SZ = noise_SKZ[:, k] + inner @ model.noise_out_KGZ[k]
            torch.testing.assert_close(shaped_SKZ[:, k], v_SZ)
            expected_BZ += v_SZ * coefficients[:, 1 + k]
        torch.testing.assert_close(model.place(coefficients, shaped_SKZ), expected_BZ)


@HIDDEN
def test_the_moments_are_those_of_many_draws(hidden_size: int) -> None:
    """Against the mean and standard deviation of 40,000 draws for the same x: noise vectors are independent, so variances add."""
    model, x_BX = posterior(hidden_size), inputs_BX()[:1]
    with torch.no_grad():
        shaped_SKZ = model.shaped(model.draw_noise(40_000, torch.Generator().manual_seed(3)))
        coefficients = model(x_BX)
        z_SZ = model.place(coefficients, shaped_SKZ)
        mean_1Z, std_1Z = model.moments(coefficients, shaped_SKZ)
    torch.testing.assert_close(mean_1Z[0], z_SZ.mean(dim=0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(std_1Z[0], z_SZ.std(dim=0), atol=0.02, rtol=0.02)


def test_at_first_the_posterior_s_width_is_the_noise_scale() -> None:
    """Of each of K noise vectors, within a tenth: the v_k start near a standard normal distribution."""
    fresh = BasisPosterior(
        num_inputs=I,
        hidden_size=6,
        latent_size=Z,
        num_noises=K,
        noise_hidden_size=5,
        noise_scale=0.5,
        input_scale=1e-3,
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        shaped_SKZ = fresh.shaped(fresh.draw_noise(5_000, torch.Generator().manual_seed(0)))
        _, std_BZ = fresh.moments(fresh(inputs_BX()), shaped_SKZ)
    torch.testing.assert_close(std_BZ, torch.full_like(std_BZ, 0.5 * K**0.5), atol=0.07, rtol=0.0)


def test_nothing_global_decides_the_first_weights() -> None:
    """Linear layers of torch would draw theirs from the global generator."""
    before = torch.get_rng_state()
    for _ in range(2):
        random = torch.Generator().manual_seed(5)
        adversary = Adversary(num_inputs=I, latent_size=Z, hidden_size=3, input_scale=1.0, generator=random)
        decoder = Decoder(latent_size=Z, hidden_size=3, output_bias_J=torch.zeros(I), output_scale=1.0, generator=random)
        weights = torch.cat([each.flatten() for net in (adversary, decoder) for each in net.state_dict().values()])
        assert torch.isfinite(weights).all()
    assert torch.equal(torch.get_rng_state(), before)


@HIDDEN
def test_a_query_s_inner_products_are_the_mean_logits_over_the_fixed_draws(hidden_size: int) -> None:
    """The exported graph with item vectors, for an empty history and longer ones, alone as in company."""
    model = posterior(hidden_size)
    random = torch.Generator().manual_seed(4)
    decoder = Decoder(
        latent_size=Z, hidden_size=7, output_bias_J=torch.linspace(-2.0, 0.0, I), output_scale=0.5, generator=random
    )
    noise_SKZ = model.draw_noise(6, random)
    head = RankingHead(model, decoder, noise_SKZ)
    histories = Histories.of([[], [3], [0, 1, 2, 5, 8]])
    graph = HistoryGraph(model.input_XH[None], head)
    items_BL, ratings_BL = (torch.from_numpy(array) for array in histories.padded(I))
    liked_BI = torch.from_numpy(histories.mask(I)).float()
    with torch.no_grad():
        coefficients = model(liked_BI / liked_BI.sum(dim=1, keepdim=True).clamp(min=1.0))
        draws = [decoder(model.place(coefficients, shaped_KZ)) for shaped_KZ in model.shaped(noise_SKZ)]
        torch.testing.assert_close(graph(items_BL, ratings_BL) @ head.item_vectors().T, torch.stack(draws).mean(dim=0))


def test_the_posterior_of_an_absolute_value_has_both_modes_where_a_gaussian_has_one() -> None:
    """X = |z| + noise, with the decoder given: given x, z is about x or about −x, alike likely.

    Against the posterior on a grid: each half gets between 0.4 and 0.6 of the draws, where the best Gaussian at x = 1.5 has chosen
    one; and the divergence from the true posterior is less than half the best Gaussian's, which is log 2 where modes are far apart.
    """
    learned = toys.learn_posterior(num_steps=600, seed=0)
    for x in (1.0, 1.5):
        true_G, drawn_G, gaussian_G = toys.true_posterior(x), toys.drawn_posterior(learned, x), toys.best_gaussian(x)
        assert 0.4 < drawn_G[toys.GRID_G < 0].sum() < 0.6
        assert drawn_G[toys.GRID_G.abs() < 0.25 * x].sum() < 0.1
        assert toys.divergence(drawn_G, true_G) < 0.5 * toys.divergence(gaussian_G, true_G)
    assert gaussian_G[toys.GRID_G < 0].sum() < 0.01
    assert toys.divergence(gaussian_G, true_G) == pytest.approx(0.693, abs=0.02)


def test_the_trained_discriminator_of_the_picture_lies_on_the_optimum() -> None:
    """On draws of two distributions over a grid, D comes to p / (p + q) wherever either goes often; mean error below .03."""
    data_G, model_G = toys.two_hills(), toys.hill()
    learned_G = torch.sigmoid(toys.learn_discriminator(data_G, model_G, num_steps=500, seed=0))
    error_G = (learned_G - data_G / (data_G + model_G)).abs()
    assert ((data_G + model_G) / 2 * error_G).sum() < 0.03
