"""A variational autoencoder with Bernoulli likelihood as a density of binary rows.

Kingma & Welling 2014, arXiv 1312.6114, trained and measured by the importance-weighted bound of Burda et al. 2016, arXiv 1509.00519.

Shapes: N rows, B rows of a batch, D dimensions, M members, S samples a row and member, Z latent dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from training.config import RankerConfig
from training.data.batches import shuffled
from training.data.binary import BinaryData
from training.densities.density import Estimate
from training.evaluation.selection import EarlyStopping
from training.loop import Run
from training.models.vae import Vae
from training.objectives import elbo as objectives

_METRIC = "bound"
_CELLS = 4_000_000
"""Logits held at once when rows are measured."""
_VALIDATION_STREAM, _MEASURING_STREAM = 1, 2
"""Of random numbers, beside the training's."""
_TWO_SIDED_95 = 1.96


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on the validation parts of mushrooms, dna and nips."""

    num_members: int = Field(default=4, ge=1)
    """Autoencoders, trained at once; the density is their mixture with equal weights. The papers have one."""
    hidden_size: int = Field(default=200, ge=0)
    """Tanh units of each encoder; 0 for none."""
    embedding_size: int = Field(default=16, ge=1)
    """Dimensions of the code z."""
    decoder_hidden_size: int = Field(default=200, ge=0)
    """Tanh units of each decoder; 0 makes the logits linear in the code."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of hidden units switched off in training; 0.2 is better on dna and nips, where rows are few for their width."""
    num_training_samples: int = Field(default=5, ge=1)
    """Draws of the code a row: 1 trains by the evidence lower bound, more by the importance-weighted bound."""
    kl_annealing: float = Field(default=0.1, ge=0, le=1)
    """Share of `num_epochs` over which the weight of prior and posterior climbs from 0 to 1."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over `num_epochs`."""
    weight_decay: float = Field(default=1e-3, ge=0)
    """Of AdamW."""
    batch_size: int = Field(default=100, ge=1)
    """Rows."""
    num_epochs: int = Field(default=300, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""
    num_validation_samples: int = Field(default=50, ge=2)
    """Draws a row in the bound that chooses the epoch."""
    num_samples: int = Field(default=500, ge=2)
    """Draws a row and member in the bound that is reported."""
    validate_every: int = Field(default=10, ge=1)
    """Epochs between looks at the validation rows."""
    patience: int = Field(default=5, ge=1)
    """Looks without a better value after which training stops."""


class VaeDensity:
    """A mixture of trained autoencoders; see `Density`.

    Args:
        vae: trained; its logits are of Bernoulli variables.
        num_samples: S.
        run: gives the random numbers.
    """

    def __init__(self, vae: Vae, *, num_samples: int, run: Run) -> None:
        self.vae = vae
        self._num_samples = num_samples
        self._run = run

    def log_likelihood(self, rows_ND: Tensor) -> Estimate:
        """A lower bound of mean log p(x) by `num_samples` draws a row and member; the interval is that of the drawing."""
        random = self._run.generator(_MEASURING_STREAM)
        bounds_N, variances_N = measure(self.vae, rows_ND, num_samples=self._num_samples, random=random)
        value = float(bounds_N.mean())
        margin = _TWO_SIDED_95 * float(variances_N.sum().sqrt()) / len(rows_ND)
        return Estimate(value, value - margin, value + margin, "bound")

    def sample(self, num_rows: int, generator: torch.Generator) -> Tensor:
        """Rows drawn from the prior through a random member each, float [N, D]."""
        parameter = next(self.vae.parameters())
        codes_MNZ = torch.randn(self.vae.num_members, num_rows, self.vae.embedding_size, generator=generator)
        member_N = torch.randint(self.vae.num_members, (num_rows,), generator=generator).to(parameter.device)
        with torch.no_grad():
            probs_MND = torch.sigmoid(self.vae.decoder(codes_MNZ.to(parameter.device)))
        probs_ND = probs_MND[member_N, torch.arange(num_rows, device=parameter.device)]
        return (torch.rand(probs_ND.shape, generator=generator).to(parameter.device) < probs_ND).float()


def fit(data: BinaryData, config: Config, run: Run) -> VaeDensity:
    """Learn from the training rows; the epoch with the best bound on the validation rows is kept."""
    random = run.generator()
    train_ND, valid_ND = (torch.from_numpy(rows_ND).float().to(run.device) for rows_ND in (data.train_ND, data.valid_ND))
    means_D = (train_ND.sum(dim=0) + 0.5) / (len(train_ND) + 1.0)
    vae = Vae(
        num_entries=data.num_dimensions,
        num_members=config.num_members,
        encoder_hidden_size=config.hidden_size,
        embedding_size=config.embedding_size,
        decoder_hidden_size=config.decoder_hidden_size,
        dropout=config.dropout,
        initial_log_variance=0.0,
        initial_bias_I=torch.logit(means_D).cpu(),
        generator=random,
    ).to(run.device)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    steps_per_epoch = -(-len(train_ND) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.num_epochs * steps_per_epoch)
    num_annealing_steps = round(config.kl_annealing * config.num_epochs * steps_per_epoch)
    stopping = EarlyStopping(_METRIC, every=config.validate_every, patience=config.patience)

    def bound() -> float:
        validation_random = run.generator(_VALIDATION_STREAM)  # the same draws at every look
        bounds_N, _ = measure(vae, valid_ND, num_samples=config.num_validation_samples, random=validation_random)
        return float(bounds_N.mean())

    with run.phase(
        "fit", config.num_epochs, vae=vae, optimizer=optimizer, schedule=schedule, random=random, best=stopping.best
    ) as phase:
        for epoch in phase:
            figures: list[dict[str, float]] = []
            for number, rows_B in enumerate(shuffled(np.arange(len(train_ND)), config.batch_size, random)):
                kl_weight = objectives.annealed_kl_weight(epoch * steps_per_epoch + number, num_annealing_steps, 1.0)
                figures.append(step(vae, optimizer, train_ND[rows_B], kl_weight=kl_weight, config=config, random=random))
                schedule.step()
            phase.log_means(figures)
            stopping.look(phase, epoch, bound, vae.state_dict())
    vae.load_state_dict(stopping.best.state)
    return VaeDensity(vae, num_samples=config.num_samples, run=run)


class Posterior(NamedTuple):
    """Draws z ~ q(z|x) of some rows.

    Attributes:
        mean_MBZ, log_variance_MBZ: of q.
        log_likelihood_SMB: log p(x|z), nats.
        log_prior_SMB: log p(z) − log q(z|x), so that log w is the sum of both.
    """

    mean_MBZ: Tensor
    log_variance_MBZ: Tensor
    log_likelihood_SMB: Tensor
    log_prior_SMB: Tensor


def draw(
    vae: Vae, rows_BD: Tensor, *, num_samples: int, random: torch.Generator, dropout: torch.Generator | None = None
) -> Posterior:
    """So many codes a row and member, and what the decoder makes of each; `dropout` switches hidden units off, in training."""
    mean_MBZ, log_variance_MBZ = vae.encoder(rows_BD, dropout)
    noise_MSBZ = torch.randn(len(mean_MBZ), num_samples, *mean_MBZ.shape[1:], generator=random).to(mean_MBZ.device)
    mean_M1BZ, log_variance_M1BZ = mean_MBZ[:, None], log_variance_MBZ[:, None]
    codes_MSBZ = objectives.gaussian_code(mean_M1BZ, log_variance_M1BZ, noise_MSBZ)
    logits_MSBD = vae.decoder(codes_MSBZ.flatten(1, 2), dropout).unflatten(1, codes_MSBZ.shape[1:3])
    log_likelihood_MSB = objectives.bernoulli_log_likelihood(logits_MSBD, rows_BD)
    log_prior_MSB = objectives.importance_log_weights(
        torch.zeros_like(log_likelihood_MSB), codes_MSBZ, mean_M1BZ, log_variance_M1BZ
    )
    return Posterior(mean_MBZ, log_variance_MBZ, log_likelihood_MSB.transpose(0, 1), log_prior_MSB.transpose(0, 1))


def step(
    vae: Vae, optimizer: torch.optim.Optimizer, rows_BD: Tensor, *, kl_weight: float, config: Config, random: torch.Generator
) -> dict[str, float]:
    """Every member one step up its own bound."""
    drawn = draw(vae, rows_BD, num_samples=config.num_training_samples, random=random, dropout=random)
    kl_MB = objectives.gaussian_kl(drawn.mean_MBZ, drawn.log_variance_MBZ)
    if config.num_training_samples == 1:
        bound_MB = objectives.elbo(drawn.log_likelihood_SMB[0], kl_MB, kl_weight)
    else:
        bound_MB = objectives.importance_weighted_bound(drawn.log_likelihood_SMB + kl_weight * drawn.log_prior_SMB)
    optimizer.zero_grad()
    (-bound_MB.mean(dim=1).sum()).backward()
    optimizer.step()
    return {"training_bound": bound_MB.mean().item(), "kl": kl_MB.mean().item(), "kl_weight": kl_weight}


def measure(vae: Vae, rows_ND: Tensor, *, num_samples: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """The importance-weighted bound of log p(x) of each row under the mixture of members, and the variance that drawing gives it.

    The variance is that of log of a mean by its first-order expansion, Var(w) / (S E[w]²), members apart. `num_samples` is at least 2.

    Returns:
        Nats [N], and nats² [N].
    """
    width = max(1, _CELLS // (vae.num_members * num_samples * vae.num_entries))
    bounds, variances = [], []
    with torch.no_grad():
        for rows_BD in rows_ND.split(width):
            drawn = draw(vae, rows_BD, num_samples=num_samples, random=random)
            log_weights_SMB = (drawn.log_likelihood_SMB + drawn.log_prior_SMB).double()
            bound_B = objectives.importance_weighted_bound(log_weights_SMB.flatten(0, 1))
            weights_SMB = torch.exp(log_weights_SMB - bound_B)
            bounds.append(bound_B)
            variances.append(weights_SMB.var(dim=0).sum(dim=0) / (vae.num_members**2 * num_samples))
    return torch.cat(bounds), torch.cat(variances)
