"""The density of NADE: the likelihood is exact, of one model in one order as of an ensemble of members and orders.

Larochelle and Murray 2011; Uria et al. 2016 (order-agnostic and deep forms).

Shapes: N rows, B rows in the batch, D dimensions, K components (a member in one order) of the ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

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
from training.models.nade import Activation, Nade
from training.objectives.autoregressive import (
    draw_observed,
    mixture_log_prob,
    negative_log_likelihood,
    order_agnostic_loss,
)

_VALUE = "valid_log_likelihood"


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on validation rows."""

    form: Literal["fixed", "order-agnostic"] = "fixed"
    """`fixed`: each member learns one order. `order-agnostic`: each learns all orders, by a random split of a random order a row."""
    order: Literal["natural", "random"] = "random"
    """Fixed: `natural` takes the columns as they stand for every member; `random` draws an order for each."""
    num_members: int = Field(default=2, ge=1)
    """Networks trained one after the other; the ensemble's p is the mean of theirs. The paper's fixed form has 1."""
    num_orders: int = Field(default=8, ge=1)
    """Order-agnostic: random orders in which each member is asked; p is the mean over them. The paper's ensembles have up to 128."""
    hidden_size: int = Field(default=200, ge=1)
    """Hidden units of each layer; the paper has 500."""
    num_layers: int = Field(default=1, ge=1, le=2)
    """Hidden layers."""
    activation: Activation = "tanh"
    """Of the hidden units; the paper has sigmoid, and relu in the deep form."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of hidden units switched off in training."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over the epochs; the paper has plain gradient steps."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Of AdamW, on the weights; biases go free."""
    batch_size: int = Field(default=20, ge=1)
    """Rows."""
    num_epochs: int = Field(default=40, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it. The order-agnostic form needs ten times as many."""
    validate_every: int = Field(default=2, ge=1)
    """Epochs between looks at the validation rows; each member is the one of its best look."""
    patience: int = Field(default=5, ge=1)
    """Looks without a better value after which a member's learning stops."""


class NadeDensity:
    """An ensemble: p(x) is the mean of what its components say.

    Args:
        components: a member and an order each.
    """

    def __init__(self, components: Sequence[tuple[Nade, Tensor]]) -> None:
        self.components = list(components)

    def log_probs(self, rows_ND: Tensor) -> Tensor:
        """Log p(x) of each row, exactly, nats [N]."""
        return mixture_log_prob(torch.stack([model.log_prob(rows_ND, order_D) for model, order_D in self.components]))

    def log_likelihood(self, rows_ND: Tensor) -> Estimate:
        """Mean of log p(x), exactly."""
        value = float(self.log_probs(rows_ND).double().mean())
        return Estimate(value, value, value, "exact")

    def sample(self, num_rows: int, generator: torch.Generator) -> Tensor:
        """Rows of 0 and 1, each from a component drawn at random, [N, D]."""
        chosen_N = torch.randint(len(self.components), (num_rows,), generator=generator)
        rows_ND = torch.empty(num_rows, self.components[0][0].num_dimensions)
        for number, (model, order_D) in enumerate(self.components):
            is_mine_N = chosen_N == number
            rows_ND[is_mine_N] = model.sample(int(is_mine_N.sum()), order_D, generator).cpu()
        return rows_ND


def fit(data: BinaryData, config: Config, run: Run) -> NadeDensity:
    """Learn the members one after the other, each kept as it was when the validation rows had the highest likelihood."""
    components: list[tuple[Nade, Tensor]] = []
    for member in range(config.num_members):
        components += fit_member(data, config, run, member)
    return NadeDensity(components)


def fit_member(data: BinaryData, config: Config, run: Run, member: int) -> list[tuple[Nade, Tensor]]:
    """One network, with the order or the orders that it is asked in."""
    random = run.generator(member)
    rows_ND, valid_ND = (torch.from_numpy(part).float().to(run.device) for part in (data.train_ND, data.valid_ND))
    model = Nade(
        num_dimensions=data.num_dimensions,
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        activation=config.activation,
        sees_mask=config.form == "order-agnostic",
        dropout=config.dropout,
        mean_D=(rows_ND.sum(dim=0).cpu() + 0.5) / (len(rows_ND) + 1.0),
        generator=random,
    ).to(run.device)
    orders = _orders(data.num_dimensions, config, random)
    components = [(model, order_D.to(run.device)) for order_D in orders]
    weights = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    biases = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": config.weight_decay}, {"params": biases, "weight_decay": 0.0}],
        lr=config.learning_rate,
        fused=True,
    )
    num_steps = config.num_epochs * -(-len(rows_ND) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    stopping = EarlyStopping(_VALUE, every=config.validate_every, patience=config.patience)
    with run.phase(
        f"member-{member}",
        config.num_epochs,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        random=random,
        best=stopping.best,
    ) as phase:
        for epoch in phase:
            losses: list[float] = []
            for batch in shuffled(np.arange(len(rows_ND)), config.batch_size, random):
                x_BD = rows_ND[batch]
                loss = _loss(model, x_BD, components[0][1], config, random)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            phase.log(negative_log_likelihood=float(np.mean(losses)))
            stopping.look(
                phase, epoch, lambda: NadeDensity(components).log_likelihood(valid_ND).value, state=model.state_dict()
            )
    model.load_state_dict(stopping.best.state)
    return components


def _orders(num_dimensions: int, config: Config, random: torch.Generator) -> list[Tensor]:
    if config.form == "fixed" and config.order == "natural":
        return [torch.arange(num_dimensions)]
    num_orders = config.num_orders if config.form == "order-agnostic" else 1
    return [torch.randperm(num_dimensions, generator=random) for _ in range(num_orders)]


def _loss(model: Nade, x_BD: Tensor, order_D: Tensor, config: Config, random: torch.Generator) -> Tensor:
    """In the member's own order, or over a random split of a random order of each row."""
    if config.form == "fixed":
        return negative_log_likelihood(model(x_BD, order_D, random), x_BD)
    observed_BD = draw_observed(len(x_BD), x_BD.shape[1], random).to(x_BD.device)
    return order_agnostic_loss(model.conditionals(x_BD, observed_BD, random), x_BD, observed_BD)
