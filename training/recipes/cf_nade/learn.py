"""One form of CF-NADE: histories, a random part of each shown, the rest to be predicted.

Shapes: B histories, C columns, K levels, M members, N ratings, P hidden ones of all members.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from training.data.batches import shuffled
from training.loop import Best, Phase, Run
from training.models.cf_nade import CFNADE, Events
from training.objectives import ordinal as objectives
from training.recipes.cf_nade.config import Config
from training.recipes.cf_nade.levels import Table

Watch = Callable[[Phase, int, CFNADE], None]
"""Told of every epoch's end."""

PRIOR_STRENGTH = 5.0
"""Ratings of the overall mix that are added to each column's own where the model starts."""

OFFSET_SHRINKAGE = 5.0
"""As many ratings at their columns' means are added to a history when its offset is taken."""


def learn(
    table: Table,
    config: Config,
    run: Run,
    *,
    name: str,
    by_item: bool,
    num_members: int,
    num_epochs: int,
    watch: Watch | None = None,
    **stateful: Best,
) -> CFNADE:
    """Batch after batch of histories; the model of the last step, or the average over the steps."""
    random = run.generator(2 if by_item else 0)
    model = CFNADE(
        num_columns=table.num_columns,
        num_levels=table.num_levels,
        num_members=num_members,
        hidden_sizes=[config.hidden_size] * config.num_layers,
        rank=config.rank,
        history_exponent=config.history_exponent,
        offset_shrinkage=OFFSET_SHRINKAGE if config.offset else None,
        dropout=config.dropout,
        log_frequencies_KC=table.log_frequencies(PRIOR_STRENGTH),
        mean_levels_C=table.mean_levels(PRIOR_STRENGTH),
        generator=random,
        columns="user" if by_item else "item",
    ).to(run.device)
    average = copy.deepcopy(model) if config.polyak else model
    weights, biases = model.weights_and_biases()
    optimizer = torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": config.item_weight_decay if by_item else config.weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        fused=True,
    )
    rows = np.flatnonzero(table.histories.lengths)
    num_updates = config.num_epochs * -(-len(rows) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_updates)
    with run.phase(
        name,
        num_epochs,
        model=model,
        average=average,
        optimizer=optimizer,
        schedule=schedule,
        random=random,
        **stateful,
    ) as phase:
        for epoch in phase:
            losses: list[float] = []
            for rows_B in shuffled(rows, config.batch_size, random):
                loss = hidden_loss(model, table.events(rows_B, run.device), config, random)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                if config.polyak:
                    polyak_step(average, model, decay=config.polyak, num_steps=schedule.last_epoch)
                losses.append(loss.item())
            phase.log(cost=float(np.mean(losses)))
            if watch is not None:
                watch(phase, epoch, average)
    return average


def hidden_loss(model: CFNADE, events: Events, config: Config, random: torch.Generator) -> Tensor:
    """The mean cost of a rating, estimated without bias over all orders of each history; nats.

    Each member has another part hidden. A history is shown with a chance that is drawn for it, which makes every number of visible
    ratings as likely; see `order_agnostic_loss`.
    """
    num_members, num_rows = model.num_members, events.num_rows
    chances_MB = config.least_visible + (1.0 - config.least_visible) * torch.rand(num_members, num_rows, generator=random)
    drawn_MN = torch.rand(num_members, len(events.rows_N), generator=random).to(events.rows_N.device)
    is_visible_MN = drawn_MN < chances_MB.to(events.rows_N.device)[:, events.rows_N]
    scores_PK = model.scores_of_hidden(events, is_visible_MN, random)
    members_P, events_P = (~is_visible_MN).nonzero(as_tuple=True)
    costs_P = objectives.mixed_cost(scores_PK, events.levels_N[events_P] - 1, config.ordinal_weight)
    # Members stand beside each other like more histories.
    rows_P = members_P * num_rows + events.rows_N[events_P]
    num_rated_B = torch.bincount(events.rows_N, minlength=num_rows).float()
    num_hidden_X = torch.bincount(rows_P, minlength=num_members * num_rows).float()
    losses_X = objectives.order_agnostic_loss(costs_P, rows_P, num_rated_B.repeat(num_members), num_hidden_X)
    return losses_X.sum() / (num_members * len(events.rows_N))


@torch.no_grad()
def polyak_step(average: nn.Module, model: nn.Module, *, decay: float, num_steps: int) -> None:
    """Polyak's average with weights that fall off exponentially: average ← β · average + (1 − β) · model.

    β is `decay`, but smaller in the first steps, (1 + t) / (10 + t), so that the weights' start is soon forgotten.

    Args:
        average: changed.
        model: after its step t.
        decay: β.
        num_steps: t.
    """
    towards_model = 1.0 - min(decay, (1.0 + num_steps) / (10.0 + num_steps))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), towards_model)
