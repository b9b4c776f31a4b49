"""The game itself: batch after batch, turn after turn."""

from __future__ import annotations

import torch

from training.data import Interactions
from training.data.batches import log_popularity, multi_hot, shuffled, users_to_hide_from
from training.evaluation.selection import Watch
from training.loop import Best, Run
from training.models.gan import PreferenceDiscriminator, PreferenceGenerator
from training.recipes.gan.config import Config
from training.recipes.gan.game import discriminator_step, generator_step, hide, offer

_MOMENTUM = 0.5
"""β₁ of Adam for both players, for each chases a moving target; with the usual 0.9 the game breaks off, one side winning."""


def learn(
    data: Interactions,
    config: Config,
    run: Run,
    *,
    name: str,
    num_members: int,
    num_epochs: int,
    watch: Watch[PreferenceGenerator] | None = None,
    **stateful: Best,
) -> PreferenceGenerator:
    """Algorithm 1 of Goodfellow et al. 2014, on histories of which a part is hidden.

    Raises:
        DataError: no user has two liked events.
    """
    # The discriminators have random numbers of their own, so that the twin without them sees the same batches.
    random, jury_random = run.generator(), run.generator(1)
    generator = PreferenceGenerator(
        num_items=data.num_items,
        num_members=num_members,
        hidden_size=config.hidden_size,
        dropout=config.dropout,
        output_bias_I=first_biases(data, config),
        generator=random,
    ).to(run.device)
    discriminator = PreferenceDiscriminator(
        num_items=data.num_items,
        num_members=num_members,
        hidden_size=config.discriminator_hidden_size,
        generator=jury_random,
    ).to(run.device)
    optimizer = torch.optim.AdamW(
        generator.parameters(),
        lr=config.learning_rate,
        betas=(_MOMENTUM, 0.999),
        weight_decay=config.weight_decay,
        fused=True,
    )
    discriminator_optimizer = torch.optim.AdamW(
        discriminator.parameters(),
        lr=config.discriminator_learning_rate,
        betas=(_MOMENTUM, 0.999),
        weight_decay=config.discriminator_weight_decay,
        fused=True,
    )
    liked = data.positives().histories()
    users = users_to_hide_from(liked, "gan")
    num_steps = config.num_epochs * -(-len(users) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    with run.phase(
        name,
        num_epochs,
        generator=generator,
        discriminator=discriminator,
        optimizer=optimizer,
        discriminator_optimizer=discriminator_optimizer,
        schedule=schedule,
        random=random,
        **stateful,
    ) as phase:
        for epoch in phase:
            figures: list[dict[str, float]] = []
            for users_B in shuffled(users, config.batch_size, random):
                liked_BI = multi_hot(liked.take(users_B), data.num_items, run.device)
                batch = hide(liked_BI, num_members=num_members, config=config, random=random)
                offered = offer(generator, batch, config, random)
                told: dict[str, float] = {}
                if config.game_weight:
                    for _ in range(config.num_discriminator_steps):
                        told |= discriminator_step(discriminator, discriminator_optimizer, batch, offered.vectors_MBI)
                judge = discriminator if config.game_weight else None
                told |= generator_step(judge, optimizer, batch, offered, config)
                schedule.step()
                figures.append(told)
            phase.log_means(figures)
            if watch is not None:
                watch(phase, epoch, generator)
    return generator


def first_biases(data: Interactions, config: Config) -> torch.Tensor:
    """Logits at which the generator offers every item as often as it is liked, so that it starts from popularity, [I]."""
    if config.preferences == "softmax":
        return log_popularity(data)
    popularity_I = torch.from_numpy(data.popularity()) + 0.5
    return torch.logit(config.hidden_fraction * popularity_I / (data.num_users + 1.0))
