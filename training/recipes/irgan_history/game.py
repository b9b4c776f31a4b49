"""The two turns of a batch; each can be called alone.

Shapes: B users in the batch, I items, C channels, X = C · I, M members, N = M · B rows, one member after the other.
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
    """What the players see of some users; each member of the committee has another part hidden.

    Attributes:
        visible_MBX: the generator's input.
        whole_BX: the discriminator's input.
        hidden_MBI: 1 for hidden positives.
        excluded_MBI: no candidates of the softmax: what is visible, and what was rated low where that is known.
        learner_B: which discriminator learns from the user; the next one judges.
    """

    visible_MBX: Tensor
    whole_BX: Tensor
    hidden_MBI: Tensor
    excluded_MBI: Tensor
    learner_B: Tensor


def hide(
    liked_BI: Tensor, low_BI: Tensor, learner_B: Tensor, *, num_members: int, config: Config, random: torch.Generator
) -> Batch:
    """Hide each event from each member with the configured chance; low ratings take part only with `signal=all`."""

    def visible(events_BI: Tensor) -> Tensor:
        drawn_MBI = torch.rand(num_members, *events_BI.shape, generator=random)
        return events_BI * (drawn_MBI >= config.hidden_fraction).to(events_BI.device)

    visible_MBI = visible(liked_BI)
    hidden_MBI = liked_BI - visible_MBI
    if config.signal == "positives":
        return Batch(visible_MBI, liked_BI, hidden_MBI, visible_MBI.bool(), learner_B)
    return Batch(
        visible_MBX=torch.cat([visible_MBI, visible(low_BI)], dim=-1),
        whole_BX=torch.cat([liked_BI, low_BI], dim=-1),
        hidden_MBI=hidden_MBI,
        excluded_MBI=(visible_MBI + low_BI).bool(),
        learner_B=learner_B,
    )


def verdicts(
    discriminators: Sequence[LeaveOneOutDiscriminator], chosen_B: Tensor, batch: Batch, random: torch.Generator | None = None
) -> Tensor:
    """Logits f of all items, [B, I], each user's by the discriminator that is chosen for them."""
    logits_BI = torch.zeros_like(batch.hidden_MBI[0])
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
    # The loss is linear in both distributions, so their means over the members are enough.
    true_BI = (batch.hidden_MBI / batch.hidden_MBI.sum(dim=-1, keepdim=True).clamp(min=1.0)).mean(dim=0)
    weights_B = torch.full_like(true_BI[:, 0], 1.0 / len(true_BI))
    logits_BI = verdicts(discriminators, batch.learner_B, batch, random)
    loss = objectives.discriminator_loss(logits_BI, true_BI, picks_BI, weights_B)
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
    hidden_NI = batch.hidden_MBI.flatten(0, 1)
    num_hidden_N = hidden_NI.sum(dim=1)
    weights_N = num_hidden_N.clamp(min=1.0) ** -config.user_weight_exponent / len(log_probs_NI)
    loss = objectives.likelihood_loss(log_probs_NI, hidden_NI, weights_N)
    told = {"likelihood": -loss.item()}
    if discriminators:
        with torch.no_grad():
            judge_B = (batch.learner_B + 1) % len(discriminators)
            rewards_BI = objectives.rewards(verdicts(discriminators, judge_B, batch), "bounded")
        # On the likelihood's scale: as if each hidden item were one pick.
        picks_N = config.reward_weight * weights_N * num_hidden_N
        rewards_NI = rewards_BI.repeat(len(batch.hidden_MBI), 1)
        reward_loss = objectives.expected_reward_loss(log_probs_NI, rewards_NI, picks_N)
        told["reward"] = -reward_loss.item()
        loss = loss + reward_loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return told


def observe(log_probs_NI: Tensor, batch: Batch, popularity_I: Tensor) -> dict[str, float]:
    """What the first member would pick: how often a known positive, how surely, how popular."""
    num_users = len(batch.whole_BX)
    probs_BI, known_BI = log_probs_NI[:num_users].detach().exp().cpu(), batch.hidden_MBI[0].cpu()
    return {
        "positives_among_picks": (probs_BI * known_BI).sum(dim=1).mean().item(),
        "entropy": torch.special.entr(probs_BI).sum(dim=1).mean().item(),
        "pick_popularity": (probs_BI @ popularity_I).mean().item(),
    }
