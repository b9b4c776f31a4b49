"""What people rate at all, log p(rated | history): the part of a ranking that ratings don't know.

Shapes: B users in the batch, I items, M members, N = M · B.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from app.bundle import Histories
from training.data import Interactions
from training.data.batches import multi_hot, shuffled
from training.loop import Run
from training.models.history import HistoryCommittee
from training.objectives.irgan import likelihood_loss, policy_log_probs
from training.recipes.cf_nade.config import Config

_USER_WEIGHT_EXPONENT = 0.5
"""A user's likelihood is divided by the number of hidden events to this power."""


def channels(histories: Histories, data: Interactions, device: torch.device) -> Tensor:
    """What was liked and what was rated low, next to each other, float32 [B, 2 · I]."""
    low_N = histories.is_low(data.positive_threshold)
    parts = [multi_hot(histories.where(kept_N), data.num_items, device) for kept_N in (~low_N, low_N)]
    return torch.cat(parts, dim=1)


def learn_exposure(data: Interactions, config: Config, run: Run, *, name: str) -> HistoryCommittee:
    """Half of what a user rated is hidden, high or low, and the hidden half predicted: one softmax over all that is not visible."""
    random = run.generator(4)
    counts_I = torch.from_numpy(np.bincount(data.item_rows, minlength=data.num_items)).float() + 0.5
    model = HistoryCommittee(
        num_items=data.num_items,
        num_channels=2,
        num_members=config.exposure_members,
        hidden_size=config.exposure_hidden_size,
        dropout=config.exposure_dropout,
        log_popularity_I=torch.log(counts_I / counts_I.sum()),
        generator=random,
    ).to(run.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.exposure_learning_rate, weight_decay=config.exposure_weight_decay, fused=True
    )
    histories = data.histories()
    users = np.flatnonzero(histories.lengths)
    num_updates = config.exposure_epochs * -(-len(users) // config.exposure_batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_updates)
    with run.phase(name, config.exposure_epochs, model=model, optimizer=optimizer, schedule=schedule, random=random) as phase:
        for _ in phase:
            losses: list[float] = []
            for users_B in shuffled(users, config.exposure_batch_size, random):
                whole_BX = channels(histories.take(users_B), data, run.device)
                drawn_MBX = torch.rand(config.exposure_members, *whole_BX.shape, generator=random)
                visible_MBX = whole_BX * (drawn_MBX >= 0.5).to(run.device)
                # Members stand beside each other like more users.
                visible_NI, hidden_NI = (
                    part.unflatten(-1, (2, data.num_items)).sum(dim=-2).flatten(0, 1)
                    for part in (visible_MBX, whole_BX - visible_MBX)
                )
                log_probs_NI = policy_log_probs(model(visible_MBX, random).flatten(0, 1), excluded_BI=visible_NI.bool())
                weights_N = hidden_NI.sum(dim=1).clamp(min=1.0) ** -_USER_WEIGHT_EXPONENT / len(hidden_NI)
                loss = likelihood_loss(log_probs_NI, hidden_NI, weights_N)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            phase.log(likelihood=-float(np.mean(losses)))
    return model
