"""The two turns of a batch; each can be called alone.

Shapes: B users in the batch, I items, M members.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.models.gan import PreferenceDiscriminator, PreferenceGenerator
from training.objectives import adversarial
from training.objectives.irgan import likelihood_loss, policy_log_probs
from training.recipes.gan.config import Config


class Batch(NamedTuple):
    """Some users' histories, cut in two for each member in another place.

    Attributes:
        visible_MBI: the condition.
        hidden_MBI: the real preference vector.
        mask_MBI: 1 for the entries that the discriminators are shown.
        zeros_MBI: 1 for the entries that zero reconstruction pulls down.
    """

    visible_MBI: Tensor
    hidden_MBI: Tensor
    mask_MBI: Tensor
    zeros_MBI: Tensor


def hide(liked_BI: Tensor, *, num_members: int, config: Config, random: torch.Generator) -> Batch:
    """Hide each event from each member with the configured chance, and draw what else is shown and what is pulled down.

    Two separate draws of items that were not liked, as in CFGAN.
    """
    shape = (num_members, *liked_BI.shape)

    def drawn(chance: float) -> Tensor:
        return (torch.rand(shape, generator=random) < chance).to(liked_BI.device)

    hidden_MBI = liked_BI * drawn(config.hidden_fraction)
    others_BI = 1.0 - liked_BI
    mask_MBI = hidden_MBI + others_BI * (drawn(config.shown_negatives) if config.shown_negatives < 1 else 1.0)
    zeros_MBI = others_BI * drawn(config.zero_reconstruction_fraction) if config.zero_reconstruction_weight else mask_MBI
    return Batch(liked_BI - hidden_MBI, hidden_MBI, mask_MBI, zeros_MBI)


class Offer(NamedTuple):
    """What the generators say of a batch.

    Attributes:
        vectors_MBI: the preference vectors, not masked.
        log_probs_MBI: their logits as a policy over what is not visible, for the likelihood; nats.
    """

    vectors_MBI: Tensor
    log_probs_MBI: Tensor


def offer(generator: PreferenceGenerator, batch: Batch, config: Config, random: torch.Generator) -> Offer:
    """The generators' preference vectors, given what is visible."""
    logits_MBI = generator(batch.visible_MBI, random)
    log_probs_MBI = policy_log_probs(logits_MBI.flatten(0, 1), excluded_BI=batch.visible_MBI.flatten(0, 1).bool())
    log_probs_MBI = log_probs_MBI.view_as(logits_MBI)
    if config.preferences == "sigmoid":
        return Offer(torch.sigmoid(logits_MBI), log_probs_MBI)
    # As many in all as are hidden, or their number alone would tell the two apart.
    return Offer(log_probs_MBI.exp() * batch.hidden_MBI.sum(dim=-1, keepdim=True), log_probs_MBI)


def discriminator_step(
    discriminator: PreferenceDiscriminator, optimizer: torch.optim.Optimizer, batch: Batch, vectors_MBI: Tensor
) -> dict[str, float]:
    """Tell the hidden parts of histories from the generators' vectors, Algorithm 1; members learn side by side."""
    taste = discriminator(batch.visible_MBI)
    real_MB = discriminator.verdicts(taste, batch.hidden_MBI, batch.mask_MBI)
    fake_MB = discriminator.verdicts(taste, vectors_MBI.detach(), batch.mask_MBI)
    loss = adversarial.discriminator_loss(real_MB, fake_MB)
    optimizer.zero_grad()
    (len(real_MB) * loss).backward()
    optimizer.step()
    with torch.no_grad():
        return {
            "discriminator_loss": loss.item(),
            "divergence": adversarial.estimated_divergence(loss).item(),
            "right_verdicts": adversarial.share_of_right_verdicts(real_MB, fake_MB).item(),
        }


def generator_step(
    discriminator: PreferenceDiscriminator | None,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    offered: Offer,
    config: Config,
) -> dict[str, float]:
    """Towards what the discriminators take for real, and beside it towards what the other settings ask for."""
    num_users = batch.hidden_MBI.shape[1]
    hidden_NI = batch.hidden_MBI.flatten(0, 1)
    weights_N = hidden_NI.sum(dim=1).clamp(min=1.0) ** -config.user_weight_exponent
    likelihood = -likelihood_loss(offered.log_probs_MBI.flatten(0, 1), hidden_NI, weights_N)
    told = {"likelihood": likelihood.item() / len(hidden_NI)}
    loss = -config.likelihood_weight * likelihood
    if discriminator is not None:
        with torch.no_grad():  # the gradient is the vectors'; the discriminators learn nothing here
            taste = discriminator(batch.visible_MBI)
        fake_MB = discriminator.verdicts(taste, offered.vectors_MBI, batch.mask_MBI)
        objective = adversarial.generator_loss(fake_MB, config.objective)
        told["generator_loss"] = objective.item()
        loss = loss + config.game_weight * objective * len(fake_MB) * num_users
    if config.zero_reconstruction_weight:
        loss = loss + config.zero_reconstruction_weight * (batch.zeros_MBI * offered.vectors_MBI.square()).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return told
