"""The density of a binary RBM: persistent contrastive divergence, log Z by annealed importance sampling or by enumeration.

Tieleman 2008; Salakhutdinov & Murray 2008.

Shapes: N rows, B rows in the batch, D dimensions, H hidden units.
"""

from __future__ import annotations

import copy
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from training.config import RankerConfig
from training.data.batches import shuffled
from training.data.binary import BinaryData
from training.densities.density import Estimate
from training.loop import Best, Phase, Run
from training.models.rbm import BernoulliRBM, PersistentChains, bernoulli
from training.objectives.annealed_importance import LogPartition, annealed_log_partition, exact_log_partition
from training.objectives.contrastive_divergence import (
    contrastive_loss,
    pseudo_log_likelihood,
    reconstruction_error,
    run_chains,
)

_MOST_ENUMERATED = 14
"""Units of the smaller side up to which the likelihood is exact; more would make each look at the validation rows slow."""
_ANNEALING_STREAM = 1
_BURN_IN = 2000
"""Gibbs steps of a sample, from the base rates on."""


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on validation rows."""

    hidden_size: int = Field(default=200, ge=1)
    """Hidden units, H. Up to 14 the likelihood is computed exactly."""
    init_std: float = Field(default=0.01, ge=0)
    """Standard deviation of the first weights, the practical guide's."""
    num_epochs: int = Field(default=500, ge=1)
    """Over which the learning rate falls to zero in a straight line; validation may choose to stop earlier on it."""
    batch_size: int = Field(default=100, ge=1)
    """Rows."""
    learning_rate: float = Field(default=0.1, gt=0)
    """Of plain gradient steps."""
    weight_decay: float = Field(default=4e-3, ge=0)
    """λ of λ‖W‖² / 2."""
    chains: Literal["data", "persistent"] = "persistent"
    """Where chains start. `data` is CD-k; `persistent` is PCD-k, chains that go on from the last update."""
    num_chains: int = Field(default=200, ge=1)
    """Persistent: how many."""
    num_steps: int = Field(default=2, ge=1)
    """Steps k of block Gibbs sampling an update."""
    averaging: float = Field(default=0.99, ge=0, lt=1)
    """Share of itself that the running mean of the parameters keeps at each update; the mean is what is measured. 0 takes the last."""
    num_annealing_chains: int = Field(default=100, ge=2)
    """Chains of annealed importance sampling."""
    num_annealing_steps: int = Field(default=5000, ge=2)
    """Temperatures of the final figure; a look at the validation rows takes a tenth of them."""
    validate_every: int = Field(default=25, ge=1)
    """Epochs between looks at the validation rows."""
    patience: int = Field(default=8, ge=1)
    """Looks without a better value after which learning stops."""


class RBMDensity:
    """A trained RBM with its log Z.

    Args:
        model: trained.
        log_partition: log Z and its interval.
        base_bias_D: log-odds of the training rows' means, where chains of samples start.
    """

    def __init__(self, model: BernoulliRBM, log_partition: LogPartition, base_bias_D: Tensor) -> None:
        self.model = model
        self.log_partition = log_partition
        self._base_bias_D = base_bias_D

    def log_likelihood(self, rows_ND: Tensor) -> Estimate:
        """Mean of −F(v) − log Z; the interval is that of log Z."""
        with torch.no_grad():
            minus_energy = -float(self.model.free_energy(rows_ND).double().mean())
        log_z = self.log_partition
        kind: Literal["exact", "ais"] = "exact" if log_z.low == log_z.high else "ais"
        return Estimate(minus_energy - log_z.value, minus_energy - log_z.high, minus_energy - log_z.low, kind)

    def sample(self, num_rows: int, generator: torch.Generator) -> Tensor:
        """Rows at the end of long Gibbs chains, 0 and 1, [N, D]."""
        start_ND = bernoulli(torch.sigmoid(self._base_bias_D).expand(num_rows, -1), generator)
        return run_chains(lambda state: self.model.gibbs_step(state, generator), start_ND, _BURN_IN)


def fit(data: BinaryData, config: Config, run: Run) -> RBMDensity:
    """Learn from the training rows; the epoch is the one whose running mean gives the validation rows the highest likelihood."""
    random = run.generator()
    rows_ND = torch.from_numpy(data.train_ND).float().to(run.device)
    valid_ND = torch.from_numpy(data.valid_ND).float().to(run.device)
    base_bias_D = torch.logit((rows_ND.sum(0) + 0.5) / (len(rows_ND) + 1.0))
    model = BernoulliRBM(
        num_visible=data.num_dimensions,
        num_hidden=config.hidden_size,
        init_std=config.init_std,
        visible_bias_D=base_bias_D.cpu(),
        generator=random,
    ).to(run.device)
    averaged = copy.deepcopy(model)
    start_N = torch.randint(len(rows_ND), (config.num_chains,), generator=random)
    chains = PersistentChains(rows_ND[start_N]).to(run.device)
    optimizer = torch.optim.SGD(
        [
            {"params": [model.weights_HD], "weight_decay": config.weight_decay},
            {"params": [model.visible_bias_D, model.hidden_bias_H], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
    )
    num_updates = config.num_epochs * -(-len(rows_ND) // config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: max(0.0, 1.0 - update / num_updates))
    best = Best()
    with run.phase(
        "fit",
        config.num_epochs,
        model=model,
        averaged=averaged,
        chains=chains,
        optimizer=optimizer,
        schedule=schedule,
        random=random,
        best=best,
    ) as phase:
        for epoch in phase:
            for batch in shuffled(np.arange(len(rows_ND)), config.batch_size, random):
                batch_BD = rows_ND[batch]
                if config.chains == "persistent":
                    end_ND = chains.advance(model, config.num_steps, random)
                else:
                    end_ND = run_chains(lambda state: model.gibbs_step(state, random), batch_BD, config.num_steps)
                loss = contrastive_loss(model.free_energy(batch_BD), model.free_energy(end_ND))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                with torch.no_grad():
                    for mean, latest in zip(averaged.parameters(), model.parameters(), strict=True):
                        mean.lerp_(latest, 1.0 - config.averaging)
            if (epoch + 1) % config.validate_every == 0 or phase.is_last:
                phase.log(**_watched(averaged, batch_BD, random))
                _look(phase, epoch, averaged, best, valid_ND=valid_ND, base_bias_D=base_bias_D, config=config, run=run)
    averaged.load_state_dict(best.state)
    log_z = _log_partition(averaged, base_bias_D, config, run, num_temperatures=config.num_annealing_steps)
    return RBMDensity(averaged, log_z, base_bias_D)


def _look(
    phase: Phase,
    epoch: int,
    averaged: BernoulliRBM,
    best: Best,
    *,
    valid_ND: Tensor,
    base_bias_D: Tensor,
    config: Config,
    run: Run,
) -> None:
    """The likelihood of the validation rows; keeps the best parameters, and ends what no longer gets better."""
    temperatures = max(2, config.num_annealing_steps // 10)
    log_z = _log_partition(averaged, base_bias_D, config, run, num_temperatures=temperatures)
    value = RBMDensity(averaged, log_z, base_bias_D).log_likelihood(valid_ND).value
    phase.log(valid_log_likelihood=value)
    best.update(value, epoch, averaged.state_dict())
    if epoch - best.epoch >= config.patience * config.validate_every:
        phase.stop()


def _watched(model: BernoulliRBM, rows_BD: Tensor, random: torch.Generator) -> dict[str, float]:
    """Pseudo-likelihood from one unit a row, and the reconstruction error, of a batch."""
    with torch.no_grad():
        units_B = torch.randint(rows_BD.shape[1], (len(rows_BD),), generator=random).to(rows_BD.device)
        reconstructed_BD = torch.sigmoid(model.visible_logits(torch.sigmoid(model.hidden_logits(rows_BD))))
        return {
            "pseudo_likelihood": pseudo_log_likelihood(model.free_energy, rows_BD, units_B).mean().item(),
            "reconstruction_error": reconstruction_error(rows_BD, reconstructed_BD).mean().item(),
        }


def _log_partition(
    model: BernoulliRBM, base_bias_D: Tensor, config: Config, run: Run, *, num_temperatures: int
) -> LogPartition:
    parameters = model.weights_HD, model.visible_bias_D, model.hidden_bias_H
    if min(model.weights_HD.shape) <= _MOST_ENUMERATED:
        return exact_log_partition(*parameters)
    return annealed_log_partition(
        *parameters,
        base_bias_D=base_bias_D,
        betas=torch.linspace(0.0, 1.0, num_temperatures),
        num_chains=config.num_annealing_chains,
        # Always the same numbers, so that looks differ by the model alone.
        generator=run.generator(_ANNEALING_STREAM),
    )
