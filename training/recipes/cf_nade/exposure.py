"""What people rate at all, or what they come to like, log p(chosen | history): the part of a ranking that ratings don't know.

Shapes: B users in the batch, I items, M members, N = M · B.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from app.bundle import Histories
from training.data import Interactions
from training.data.batches import multi_hot, shuffled
from training.errors import DataError
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
    """Half of what a user rated is hidden, high or low, and the hidden half predicted, or what was liked in it.

    With the target `rated` there is one softmax over all items that are not visible. With `liked` what is visible and low stays in it, so
    that the model learns that this is not liked later.

    Raises:
        DataError: nothing is there to be predicted.
    """
    random = run.generator(4)
    wanted = data.positives() if config.exposure_target == "liked" else data
    counts_I = torch.from_numpy(np.bincount(wanted.item_rows, minlength=data.num_items)).float() + 0.5
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
    users = np.flatnonzero(wanted.histories().lengths)
    if not len(users):
        raise DataError(
            f"none of {len(data)} ratings reaches the positive threshold {data.positive_threshold:g}, so nothing says what is liked; "
            "give another threshold, or --set exposure_target=rated"
        )
    num_updates = config.exposure_epochs * -(-len(users) // config.exposure_batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_updates)
    with run.phase(name, config.exposure_epochs, model=model, optimizer=optimizer, schedule=schedule, random=random) as phase:
        for _ in phase:
            losses: list[float] = []
            for users_B in shuffled(users, config.exposure_batch_size, random):
                whole_BX = channels(histories.take(users_B), data, run.device)
                drawn_MBX = torch.rand(config.exposure_members, *whole_BX.shape, generator=random)
                visible_MBX = whole_BX * (drawn_MBX >= 0.5).to(run.device)
                logits_NI = model(visible_MBX, random).flatten(0, 1)  # members stand beside each other like more users
                visible_NI, hidden_NI = _of_target(visible_MBX, config), _of_target(whole_BX - visible_MBX, config)
                log_probs_NI = policy_log_probs(logits_NI, excluded_BI=visible_NI.bool())
                weights_N = hidden_NI.sum(dim=1).clamp(min=1.0) ** -_USER_WEIGHT_EXPONENT / len(hidden_NI)
                loss = likelihood_loss(log_probs_NI, hidden_NI, weights_N)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            phase.log(likelihood=-float(np.mean(losses)))
    return model


def _of_target(events_MBX: Tensor, config: Config) -> Tensor:
    """What counts of some events, [N, I]: those of the first channel, which holds what was liked, or of both."""
    liked_MBI, low_MBI = events_MBX.chunk(2, dim=-1)
    return (liked_MBI if config.exposure_target == "liked" else liked_MBI + low_MBI).flatten(0, 1)
