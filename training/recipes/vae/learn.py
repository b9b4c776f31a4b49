"""Batch after batch, one step up the bound.

Shapes: B users in the batch, I items, M members, Z latent dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.data import Interactions
from training.data.batches import log_popularity, multi_hot, shuffled, users_to_hide_from
from training.evaluation.selection import Watch
from training.loop import Best, Run
from training.models.layers import by_length
from training.models.vae import Vae
from training.objectives import elbo as objectives
from training.objectives.irgan import policy_log_probs
from training.recipes.vae.config import Config

_ACTIVE = 0.01
"""A latent dimension is active if the variance of its mean between users is above this, Burda et al. 2016."""


class Batch(NamedTuple):
    """Some users; each member of the committee has another part hidden.

    Attributes:
        visible_MBI: 1 for what the encoder sees.
        target_MBI: 1 for what the decoder is to say.
        excluded_MBI: no candidates of the softmax.
    """

    visible_MBI: Tensor
    target_MBI: Tensor
    excluded_MBI: Tensor


def hide(liked_BI: Tensor, *, num_members: int, config: Config, random: torch.Generator) -> Batch:
    """Hide each event from each member with the configured chance."""
    drawn_MBI = torch.rand(num_members, *liked_BI.shape, generator=random)
    visible_MBI = liked_BI * (drawn_MBI >= config.hidden_fraction).to(liked_BI.device)
    if config.targets == "hidden":
        return Batch(visible_MBI, liked_BI - visible_MBI, visible_MBI.bool())
    return Batch(visible_MBI, liked_BI.expand_as(visible_MBI), torch.zeros_like(visible_MBI, dtype=torch.bool))


def step(
    vae: Vae, optimizer: torch.optim.Optimizer, batch: Batch, *, kl_weight: float, config: Config, random: torch.Generator
) -> dict[str, float]:
    """Up the bound of log p(targets), with one draw of z for each user and member."""
    mean_MBZ, log_variance_MBZ = vae.encoder(by_length(batch.visible_MBI), random)
    noise_MBZ = torch.randn(mean_MBZ.shape, generator=random).to(mean_MBZ.device)
    logits_MBI = vae.decoder(objectives.gaussian_code(mean_MBZ, log_variance_MBZ, noise_MBZ), random)
    # Members stand beside each other like more users.
    log_probs_NI = policy_log_probs(logits_MBI.flatten(0, 1), excluded_BI=batch.excluded_MBI.flatten(0, 1))
    log_likelihood_N = objectives.multinomial_log_likelihood(log_probs_NI, batch.target_MBI.flatten(0, 1))
    kl_N = objectives.gaussian_kl(mean_MBZ, log_variance_MBZ).flatten()
    num_targets_N = batch.target_MBI.sum(dim=-1).flatten()
    weights_N = num_targets_N.clamp(min=1.0) ** -config.user_weight_exponent
    loss = -(weights_N * objectives.elbo(log_likelihood_N, kl_N, kl_weight)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "log_likelihood": log_likelihood_N.mean().item(),
        "kl": kl_N.mean().item(),
        "kl_weight": kl_weight,
        "active_dimensions": (mean_MBZ.detach().var(dim=1, correction=0) > _ACTIVE).float().mean().item(),
    }


def learn(
    data: Interactions,
    config: Config,
    run: Run,
    *,
    name: str,
    num_members: int,
    num_epochs: int,
    watch: Watch[Vae] | None = None,
    **stateful: Best,
) -> Vae:
    """The autoencoders after so many epochs of the configured cosine.

    Raises:
        DataError: no user has events enough to learn from.
    """
    random = run.generator()
    vae = Vae(
        num_entries=data.num_items,
        num_members=num_members,
        encoder_hidden_size=config.hidden_size,
        embedding_size=config.embedding_size,
        decoder_hidden_size=config.decoder_hidden_size,
        dropout=config.dropout,
        initial_log_variance=config.initial_log_variance,
        initial_bias_I=log_popularity(data),
        generator=random,
    ).to(run.device)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    liked = data.positives().histories()
    users = users_to_hide_from(liked, "vae")
    steps_per_epoch = -(-len(users) // config.batch_size)
    num_annealing_steps = round(config.kl_annealing * config.num_epochs * steps_per_epoch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.num_epochs * steps_per_epoch)
    with run.phase(name, num_epochs, vae=vae, optimizer=optimizer, schedule=schedule, random=random, **stateful) as phase:
        for epoch in phase:
            figures: list[dict[str, float]] = []
            for number, users_B in enumerate(shuffled(users, config.batch_size, random)):
                liked_BI = multi_hot(liked.take(users_B), data.num_items, run.device)
                batch = hide(liked_BI, num_members=num_members, config=config, random=random)
                kl_weight = objectives.annealed_kl_weight(
                    epoch * steps_per_epoch + number, num_annealing_steps, config.kl_weight
                )
                figures.append(step(vae, optimizer, batch, kl_weight=kl_weight, config=config, random=random))
                schedule.step()
            phase.log_means(figures)
            if watch is not None:
                watch(phase, epoch, vae)
    return vae
