"""The two turns of a batch; each can be called alone.

Shapes: B users in the batch, I items, C channels, X = C · I, N rows of all members' users, one member after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from training.models.history import LeaveOneOutDiscriminator
from training.objectives import irgan as objectives
from training.recipes.irgan_history.config import Config


class Batch(NamedTuple):
    """What the players see of some users.

    Attributes:
        visible_BX: the generator's input.
        whole_BX: the discriminator's input.
        hidden_BI: 1 for hidden positives.
        excluded_BI: no candidates of the softmax: what is visible, and what was rated low where that is known.
        learner_B: which discriminator learns from the user; the next one judges.
    """

    visible_BX: Tensor
    whole_BX: Tensor
    hidden_BI: Tensor
    excluded_BI: Tensor
    learner_B: Tensor


def hide(liked_BI: Tensor, low_BI: Tensor, learner_B: Tensor, config: Config, random: torch.Generator) -> Batch:
    """Hide each event with the configured chance; low ratings take part only with `signal=all`."""

    def visible(events_BI: Tensor) -> Tensor:
        return events_BI * (torch.rand(events_BI.shape, generator=random) >= config.hidden_fraction).to(events_BI.device)

    visible_BI = visible(liked_BI)
    if config.signal == "positives":
        return Batch(visible_BI, liked_BI, liked_BI - visible_BI, visible_BI.bool(), learner_B)
    return Batch(
        visible_BX=torch.cat([visible_BI, visible(low_BI)], dim=1),
        whole_BX=torch.cat([liked_BI, low_BI], dim=1),
        hidden_BI=liked_BI - visible_BI,
        excluded_BI=(visible_BI + low_BI).bool(),
        learner_B=learner_B,
    )


def verdicts(
    discriminators: Sequence[LeaveOneOutDiscriminator], chosen_B: Tensor, batch: Batch, random: torch.Generator | None = None
) -> Tensor:
    """Logits f of all items, [B, I], each user's by the discriminator that is chosen for them."""
    logits_BI = torch.zeros_like(batch.hidden_BI)
    for number, discriminator in enumerate(discriminators):
        rows_B = chosen_B == number
        logits_BI[rows_B] = discriminator(batch.whole_BX[rows_B], random)
    return logits_BI


def discriminator_step(
    discriminators: Sequence[LeaveOneOutDiscriminator],
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    picks_BI: Tensor,
    random: torch.Generator,
) -> dict[str, float]:
    """Tell hidden items from the generator's picks, users alike; Eq. (3) with exact expectations."""
    num_hidden_B = batch.hidden_BI.sum(1)
    weights_B = num_hidden_B.clamp(min=1.0).reciprocal() / len(num_hidden_B)
    logits_BI = verdicts(discriminators, batch.learner_B, batch, random)
    loss = objectives.discriminator_loss(logits_BI, batch.hidden_BI, picks_BI, weights_B)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"discriminator_loss": loss.item()}


def generator_step(
    optimizer: torch.optim.Optimizer,
    log_probs_NI: Tensor,
    discriminators: Sequence[LeaveOneOutDiscriminator],
    batch: Batch,
    config: Config,
) -> dict[str, float]:
    """Towards the hidden items' likelihood, and towards what a discriminator takes for hidden items, Eq. (4) computed exactly.

    The judge is a discriminator that has not learned from the user, where there are several: one that has would remember which
    items the user had, instead of saying which would suit.
    """
    num_members = len(log_probs_NI) // len(batch.hidden_BI)
    num_hidden_B = batch.hidden_BI.sum(1)
    weights_B = num_hidden_B.clamp(min=1.0) ** -config.user_weight_exponent / len(log_probs_NI)
    loss = objectives.likelihood_loss(log_probs_NI, batch.hidden_BI.repeat(num_members, 1), weights_B.repeat(num_members))
    told = {"likelihood": -loss.item()}
    if discriminators:
        with torch.no_grad():
            judge_B = (batch.learner_B + 1) % len(discriminators)
            rewards_BI = objectives.rewards(verdicts(discriminators, judge_B, batch), "bounded")
        # On the likelihood's scale: as if each hidden item were one pick.
        picks_B = config.reward_weight * weights_B * num_hidden_B
        reward_loss = objectives.expected_reward_loss(
            log_probs_NI, rewards_BI.repeat(num_members, 1), picks_B.repeat(num_members)
        )
        told["reward"] = -reward_loss.item()
        loss = loss + reward_loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return told


def observe(picks_BI: Tensor, hidden_BI: Tensor, popularity_I: Tensor) -> dict[str, float]:
    """What the generator would pick: how often a known positive, how surely, how popular."""
    probs_BI, known_BI = picks_BI.cpu(), hidden_BI.cpu()
    return {
        "positives_among_picks": (probs_BI * known_BI).sum(1).mean().item(),
        "entropy": torch.special.entr(probs_BI).sum(1).mean().item(),
        "popularity_of_picks": (probs_BI @ popularity_I).mean().item(),
    }
