"""Adversarial variational Bayes with Bernoulli likelihood as a density of binary rows (Mescheder et al. 2017, arXiv 1701.04722).

The posterior has no density, so rows are measured by importance sampling from the Gaussian that has its moments: the bound holds for
any proposal.

Shapes: N rows, B rows of a batch, D dimensions, S samples a row, K noise vectors, Z latent dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from training.config import RankerConfig
from training.data.batches import shuffled
from training.data.binary import BinaryData
from training.densities.density import Estimate
from training.evaluation.selection import EarlyStopping
from training.loop import Run
from training.models.avb import Adversary, BasisPosterior, Decoder
from training.objectives import avb as objectives

_METRIC = "bound"
_CELLS = 4_000_000
"""Logits held at once when rows are measured."""
_VALIDATION_STREAM, _MEASURING_STREAM, _ADVERSARY_STREAM = 1, 2, 3
"""Of random numbers, beside the training's."""
_TWO_SIDED_95 = 1.96
_MOMENT_DRAWS = 2_000
"""Of the noise, when the proposal's moments are taken for measuring."""


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on the validation rows of mushrooms.

    The rows of dna and nips, which are few for their width, want dropout 0.3 and weight decay 1.
    """

    hidden_size: int = Field(default=200, ge=1)
    """Hidden units of the inference network and of the decoder."""
    embedding_size: int = Field(default=20, ge=1)
    """Dimensions of the code z."""
    num_noises: int = Field(default=2, ge=1)
    """Noise vectors ε_k of the inference network."""
    noise_hidden_size: int = Field(default=16, ge=1)
    """Hidden units that shape each of them."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the decoder's hidden units switched off in training."""
    adversary_hidden_size: int = Field(default=100, ge=1)
    """Hidden units of each of T's two layers."""
    adversary_learning_rate: float = Field(default=2e-3, gt=0)
    """Of Adam."""
    num_adversary_steps: int = Field(default=1, ge=1)
    """Of T before each step of the other two networks."""
    kl_annealing: float = Field(default=0.1, ge=0, le=1)
    """Share of `num_epochs` over which the weight of the divergence climbs from 0 to 1."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Of AdamW, on a cosine to zero over `num_epochs`."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of AdamW."""
    batch_size: int = Field(default=100, ge=2)
    """Rows; the Gaussian's moments are taken over as many draws of the noise."""
    num_epochs: int = Field(default=300, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""
    proposal_width: float = Field(default=1.1, gt=0)
    """The proposal's standard deviation, as a multiple of the posterior's."""
    num_validation_samples: int = Field(default=50, ge=2)
    """Draws a row in the bound that chooses the epoch."""
    num_samples: int = Field(default=1000, ge=2)
    """Draws a row in the bound that is reported."""
    validate_every: int = Field(default=10, ge=1)
    """Epochs between looks at the validation rows."""
    patience: int = Field(default=5, ge=1)
    """Looks without a better value after which training stops."""


class Networks(NamedTuple):
    """Three networks that learn together."""

    posterior: BasisPosterior
    decoder: Decoder
    adversary: Adversary


class AvbDensity:
    """A trained model; see `Density`.

    Args:
        networks: trained; the decoder's logits are of Bernoulli variables.
        proposal_width: see `Config`.
        num_samples: S.
        run: gives the random numbers.
    """

    def __init__(self, networks: Networks, *, proposal_width: float, num_samples: int, run: Run) -> None:
        self.networks = networks
        self._proposal_width = proposal_width
        self._num_samples = num_samples
        self._run = run

    def log_likelihood(self, rows_ND: Tensor) -> Estimate:
        """A lower bound of mean log p(x) by `num_samples` draws a row; the interval is that of the drawing."""
        random = self._run.generator(_MEASURING_STREAM)
        bounds_N, errors_N = measure(
            self.networks, rows_ND, proposal_width=self._proposal_width, num_samples=self._num_samples, random=random
        )
        value = float(bounds_N.mean())
        margin = _TWO_SIDED_95 * float(errors_N.square().sum().sqrt()) / len(rows_ND)
        return Estimate(value, value - margin, value + margin, "bound")

    def sample(self, num_rows: int, generator: torch.Generator) -> Tensor:
        """Rows drawn from the prior through the decoder, float [N, D]."""
        device = self.networks.decoder.output_HJ.device
        with torch.no_grad():
            z_NZ = torch.randn(num_rows, self.networks.posterior.latent_size, generator=generator)
            probs_ND = torch.sigmoid(self.networks.decoder(z_NZ.to(device)))
        return (torch.rand(probs_ND.shape, generator=generator).to(device) < probs_ND).float()


def fit(data: BinaryData, config: Config, run: Run) -> AvbDensity:
    """Learn from the training rows; the epoch with the best bound on the validation rows is kept."""
    random, adversary_random = run.generator(), run.generator(_ADVERSARY_STREAM)
    train_ND, valid_ND = (torch.from_numpy(rows_ND).float().to(run.device) for rows_ND in (data.train_ND, data.valid_ND))
    networks = build(train_ND, config, random, adversary_random)
    posterior, decoder, adversary = networks
    optimizer = torch.optim.AdamW(
        [*posterior.parameters(), *decoder.parameters()], lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    adversary_optimizer = torch.optim.Adam(
        adversary.parameters(), lr=config.adversary_learning_rate, betas=(0.5, 0.999), fused=True
    )
    steps_per_epoch = -(-len(train_ND) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.num_epochs * steps_per_epoch)
    stopping = EarlyStopping(_METRIC, every=config.validate_every, patience=config.patience)

    def bound() -> float:
        validation_random = run.generator(_VALIDATION_STREAM)  # the same draws at every look
        bounds_N, _ = measure(
            networks,
            valid_ND,
            proposal_width=config.proposal_width,
            num_samples=config.num_validation_samples,
            random=validation_random,
        )
        return float(bounds_N.mean())

    with run.phase(
        "fit",
        config.num_epochs,
        posterior=posterior,
        decoder=decoder,
        adversary=adversary,
        optimizer=optimizer,
        adversary_optimizer=adversary_optimizer,
        schedule=schedule,
        random=random,
        adversary_random=adversary_random,
        best=stopping.best,
    ) as phase:
        for epoch in phase:
            kl_weight = min(1.0, (epoch + 1) / max(1.0, config.kl_annealing * config.num_epochs))
            figures: list[dict[str, float]] = []
            for chosen_B in shuffled(np.arange(len(train_ND)), config.batch_size, random):
                rows_BD = train_ND[chosen_B]
                told: dict[str, float] = {}
                for _ in range(config.num_adversary_steps):
                    told |= adversary_step(networks, adversary_optimizer, rows_BD, adversary_random)
                told |= model_step(networks, optimizer, rows_BD, kl_weight=kl_weight, dropout=config.dropout, random=random)
                schedule.step()
                figures.append(told)
            phase.log_means(figures)
            stopping.look(phase, epoch, bound, {"posterior": posterior.state_dict(), "decoder": decoder.state_dict()})
    posterior.load_state_dict(stopping.best.state["posterior"])
    decoder.load_state_dict(stopping.best.state["decoder"])
    return AvbDensity(networks, proposal_width=config.proposal_width, num_samples=config.num_samples, run=run)


def build(train_ND: Tensor, config: Config, random: torch.Generator, adversary_random: torch.Generator) -> Networks:
    """The networks as they are before they learn; the decoder says the training rows' means."""
    num_dimensions = train_ND.shape[1]
    scale = num_dimensions**-0.5
    means_D = (train_ND.sum(dim=0) + 0.5) / (len(train_ND) + 1.0)
    posterior = BasisPosterior(
        num_inputs=num_dimensions,
        hidden_size=config.hidden_size,
        latent_size=config.embedding_size,
        num_noises=config.num_noises,
        noise_hidden_size=config.noise_hidden_size,
        noise_scale=config.num_noises**-0.5,
        input_scale=scale,
        generator=random,
    )
    decoder = Decoder(
        latent_size=config.embedding_size,
        hidden_size=config.hidden_size,
        output_bias_J=torch.logit(means_D).cpu(),
        output_scale=config.hidden_size**-0.5,
        generator=random,
    )
    adversary = Adversary(
        num_inputs=num_dimensions,
        latent_size=config.embedding_size,
        hidden_size=config.adversary_hidden_size,
        input_scale=scale,
        generator=adversary_random,
    )
    return Networks(posterior.to(train_ND.device), decoder.to(train_ND.device), adversary.to(train_ND.device))


class Drawn(NamedTuple):
    """A code for each row, the moments of its distribution, and the code standardised by them."""

    z_BZ: Tensor
    mean_BZ: Tensor
    std_BZ: Tensor
    judged_BZ: Tensor


def draw(posterior: BasisPosterior, rows_BD: Tensor, random: torch.Generator) -> Drawn:
    """Codes z ~ q(z|x); no gradient flows into the moments."""
    shaped_BKZ = posterior.shaped(posterior.draw_noise(max(2, len(rows_BD)), random).to(rows_BD.device))
    coefficients = posterior(rows_BD)
    z_BZ = posterior.place(coefficients, shaped_BKZ[: len(rows_BD)])
    with torch.no_grad():
        mean_BZ, std_BZ = posterior.moments(coefficients, shaped_BKZ)
    return Drawn(z_BZ, mean_BZ, std_BZ, objectives.standardised(z_BZ, mean_BZ, std_BZ))


def adversary_step(
    networks: Networks, optimizer: torch.optim.Optimizer, rows_BD: Tensor, random: torch.Generator
) -> dict[str, float]:
    """Tell standardised codes from N(0, 1)."""
    with torch.no_grad():
        judged_BZ = draw(networks.posterior, rows_BD, random).judged_BZ
    normal_BZ = torch.randn(judged_BZ.shape, generator=random).to(judged_BZ.device)
    loss = objectives.adversary_loss(networks.adversary(rows_BD, judged_BZ), networks.adversary(rows_BD, normal_BZ))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"adversary_loss": loss.item()}


def model_step(
    networks: Networks,
    optimizer: torch.optim.Optimizer,
    rows_BD: Tensor,
    *,
    kl_weight: float,
    dropout: float,
    random: torch.Generator,
) -> dict[str, float]:
    """One step of the inference network and the decoder on the bound; gradients left in the adversary are cleared by its next step."""
    drawn = draw(networks.posterior, rows_BD, random)
    hidden_BH = networks.decoder.hidden(drawn.z_BZ)
    if dropout:
        hidden_BH = hidden_BH * (torch.rand(hidden_BH.shape, generator=random) >= dropout).to(hidden_BH.device) / (1 - dropout)
    log_likelihood_B = bernoulli_log_likelihood(networks.decoder.logits(hidden_BH), rows_BD)
    logits_B = networks.adversary(rows_BD, drawn.judged_BZ)
    divergence_B = objectives.divergence(logits_B, drawn.z_BZ, drawn.mean_BZ, drawn.std_BZ)
    loss = objectives.negative_bound(log_likelihood_B, divergence_B, kl_weight).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "log_likelihood": log_likelihood_B.mean().item(),
        "divergence": divergence_B.mean().item(),
        "adversary_logit": logits_B.mean().item(),
    }


def bernoulli_log_likelihood(logits: Tensor, rows: Tensor) -> Tensor:
    """Σ_d log p(x_d|z), nats, […]."""
    return (rows * logits - functional.softplus(logits)).sum(dim=-1)


def measure(
    networks: Networks, rows_ND: Tensor, *, proposal_width: float, num_samples: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The importance-weighted bound of log p(x) of each row and its standard error, nats, [N] both."""
    posterior, decoder, _ = networks
    rows_ND = rows_ND.to(decoder.output_HJ.device)
    width = max(1, _CELLS // (num_samples * rows_ND.shape[1]))
    bounds, errors = [], []
    with torch.no_grad():
        shaped_SKZ = posterior.shaped(posterior.draw_noise(_MOMENT_DRAWS, random).to(rows_ND.device))
        for rows_BD in rows_ND.split(width):
            mean_BZ, std_BZ = posterior.moments(posterior(rows_BD), shaped_SKZ)
            std_BZ = proposal_width * std_BZ
            noise_SBZ = torch.randn(num_samples, *mean_BZ.shape, generator=random).to(rows_ND.device)
            z_SBZ = mean_BZ + std_BZ * noise_SBZ
            log_joint_SB = bernoulli_log_likelihood(decoder(z_SBZ), rows_BD) + objectives.gaussian_log_density(z_SBZ)
            log_proposal_SB = objectives.gaussian_log_density(z_SBZ, mean_BZ, std_BZ)
            bound_B, error_B = objectives.importance_weighted_bound(log_joint_SB.double(), log_proposal_SB.double())
            bounds.append(bound_B)
            errors.append(error_B)
    return torch.cat(bounds), torch.cat(errors)
