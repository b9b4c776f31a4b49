"""Two problems small enough to know the answer to: what a discriminator should say, and a posterior with two modes.

Shapes: N draws, G grid points, S draws of noise, K noise vectors, Z latent dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.models.avb import Adversary, BasisPosterior
from training.objectives import adversarial, avb

GRID_G = torch.linspace(-4.0, 4.0, 161, dtype=torch.float64)
_NOISE = 0.35
NUM_STEPS = 1_000
"""Of `learn_posterior`; enough for both modes."""


def two_hills() -> Tensor:
    """What plays the data: 0.6 · N(−1, ½) + 0.4 · N(1.5, 0.4), on the grid, as probabilities of its cells, [G]."""
    hills_2G = torch.stack([avb.gaussian_log_density(GRID_G[:, None], mean, std) for mean, std in ((-1.0, 0.5), (1.5, 0.4))])
    return torch.softmax(torch.logsumexp(hills_2G + torch.tensor([[0.6], [0.4]]).log(), dim=0), dim=0)


def hill(mean: float = 0.0, std: float = 1.2) -> Tensor:
    """What plays the model: a Gaussian on the grid, [G]."""
    return torch.softmax(avb.gaussian_log_density(GRID_G[:, None], mean, std), dim=0)


def learn_discriminator(data_G: Tensor, model_G: Tensor, *, num_steps: int, seed: int, num_draws: int = 512) -> Tensor:
    """Logits on the grid of a small network that learned to tell draws of the two distributions, [G]."""
    random = torch.Generator().manual_seed(seed)
    weights = [torch.randn(16, 64, generator=random) / 4, torch.zeros(64), torch.zeros(64, 1), torch.zeros(1)]
    parameters = [nn.Parameter(weight) for weight in weights]
    # Soft steps along the axis are the network's input, so that it can follow hills of any place.
    features_GX = torch.tanh(2.0 * (GRID_G[:, None] - torch.linspace(-3.5, 3.5, 16, dtype=torch.float64))).float()

    def logits(points_N: Tensor) -> Tensor:
        hidden_NH = torch.tanh(features_GX[points_N] @ parameters[0] + parameters[1])
        return (hidden_NH @ parameters[2] + parameters[3])[:, 0]

    optimizer = torch.optim.Adam(parameters, lr=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    for _ in range(num_steps):
        real_N, fake_N = (torch.multinomial(each_G, num_draws, True, generator=random) for each_G in (data_G, model_G))
        loss = adversarial.discriminator_loss(logits(real_N), logits(fake_N))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return logits(torch.arange(len(GRID_G))).double()


def log_joint(x: Tensor, z: Tensor) -> Tensor:
    """Joint log p(z) + log p(x|z), up to a constant, for z ~ N(0, 1) and x = |z| + 0.35 · N(0, 1): given x, z may as well be about x as about −x."""
    return -0.5 * z.square() - 0.5 * ((x - z.abs()) / _NOISE).square()


def true_posterior(x: float) -> Tensor:
    """p(z|x) on the grid, as probabilities of its cells, [G]."""
    return torch.softmax(log_joint(torch.tensor(x, dtype=torch.float64), GRID_G), dim=0)


def divergence(q_G: Tensor, p_G: Tensor) -> float:
    """KL(q ‖ p) of two distributions over the grid's cells, nats."""
    return float((torch.xlogy(q_G, q_G) - torch.xlogy(q_G, p_G)).sum())


def best_gaussian(x: float) -> Tensor:
    """The Gaussian, on the grid, that has the least KL(q ‖ p(z|x)): the best that a Gaussian VAE's encoder could say, [G]."""
    p_G = true_posterior(x)
    found = []
    for start in (x, 0.0):
        mean = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        log_std = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([mean, log_std], lr=0.05)
        for _ in range(200):
            q_G = torch.softmax(-0.5 * ((GRID_G - mean) / log_std.exp()).square(), dim=0)
            loss = (torch.xlogy(q_G, q_G) - q_G * torch.log(p_G)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found.append(q_G.detach())
    return min(found, key=lambda q_G: divergence(q_G, p_G))


def learn_posterior(*, num_steps: int, seed: int, num_draws: int = 512, adversary_steps: int = 2) -> BasisPosterior:
    """Adversarial variational Bayes with the decoder given: q(z|x) for every x, by Algorithm 1 of Mescheder et al. 2017."""
    random = torch.Generator().manual_seed(seed)
    posterior = BasisPosterior(
        num_inputs=1,
        hidden_size=32,
        latent_size=1,
        num_noises=3,
        noise_hidden_size=32,
        noise_scale=0.6,
        input_scale=1.0,
        generator=random,
    )
    adversary = Adversary(num_inputs=1, latent_size=1, hidden_size=48, input_scale=1.0, generator=random)
    rates = {"betas": (0.5, 0.999), "fused": True}
    optimizer = torch.optim.Adam(posterior.parameters(), lr=4e-3, **rates)
    adversary_optimizer = torch.optim.Adam(adversary.parameters(), lr=4e-3, **rates)
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(each, num_steps) for each in (optimizer, adversary_optimizer)]

    def draw() -> tuple[Tensor, Tensor]:
        x_N1 = 2.5 * torch.rand(num_draws, 1, generator=random)
        return x_N1, posterior.place(posterior(x_N1), posterior.shaped(posterior.draw_noise(num_draws, random)))

    for step in range(num_steps):
        for _ in range(adversary_steps):
            with torch.no_grad():
                x_N1, z_N1 = draw()
            prior_N1 = torch.randn(num_draws, 1, generator=random)
            loss = avb.adversary_loss(adversary(x_N1, z_N1), adversary(x_N1, prior_N1))
            adversary_optimizer.zero_grad()
            loss.backward()
            adversary_optimizer.step()
        x_N1, z_N1 = draw()
        log_likelihood_N = -0.5 * ((x_N1 - z_N1.abs()) / _NOISE).square()[:, 0]
        # The likelihood comes in slowly: a posterior that begins as the prior parts into two halves of equal weight.
        share = min(1.0, step / (0.6 * num_steps))
        loss = avb.negative_bound(share * log_likelihood_N, avb.divergence(adversary(x_N1, z_N1), z_N1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for schedule in schedules:
            schedule.step()
    return posterior


def drawn_posterior(posterior: BasisPosterior, x: float, *, seed: int = 0, num_draws: int = 20_000) -> Tensor:
    """How often draws of q(z|x) fall into the grid's cells, smoothed over three of them, [G]."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        shaped_SKZ = posterior.shaped(posterior.draw_noise(num_draws, random))
        z_N = posterior.place(posterior(torch.full((num_draws, 1), x)), shaped_SKZ)[:, 0].double()
    step = float(GRID_G[1] - GRID_G[0])
    edges = np.append(GRID_G.numpy() - step / 2, float(GRID_G[-1]) + step / 2)
    counts_G = np.histogram(z_N.numpy(), bins=edges)[0]
    smooth_G = np.convolve(counts_G, [0.25, 0.5, 0.25], mode="same")
    return torch.from_numpy(smooth_G / smooth_G.sum())
