"""The game itself: batch after batch, one step of each of the three.

Shapes: B users in the batch, I items, M members.
"""

from __future__ import annotations

import torch

from training.data import Interactions
from training.data.batches import log_popularity, multi_hot, shuffled, users_to_hide_from
from training.evaluation.selection import Watch
from training.loop import Best, Run
from training.models.vae import Vae
from training.models.vae_gan import BagDiscriminator
from training.objectives.elbo import annealed_kl_weight
from training.recipes.vae_gan.config import Config
from training.recipes.vae_gan.game import descend, hide, losses, observe, play


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
    """Encoders and decoders after so many epochs of the configured cosine.

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
    discriminator = BagDiscriminator(
        num_entries=data.num_items,
        num_members=num_members,
        hidden_sizes=config.discriminator_hidden_sizes,
        similarity_layer=config.similarity_layer,
        generator=random,
    ).to(run.device)
    groups = {"encoder": vae.encoder, "decoder": vae.decoder, "discriminator": discriminator}
    rates = {"discriminator": (config.discriminator_learning_rate, config.discriminator_weight_decay)}
    optimizers: dict[str, torch.optim.Optimizer] = {}
    for group, module in groups.items():
        rate, decay = rates.get(group, (config.learning_rate, config.weight_decay))
        optimizers[group] = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay, fused=True)
    liked = data.positives().histories()
    users = users_to_hide_from(liked, "vae-gan")
    steps_per_epoch = -(-len(users) // config.batch_size)
    num_steps = config.num_epochs * steps_per_epoch
    num_annealing_steps = round(config.kl_annealing * num_steps)
    schedules = {
        group: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps) for group, optimizer in optimizers.items()
    }
    with run.phase(
        name,
        num_epochs,
        vae=vae,
        discriminator=discriminator,
        random=random,
        **{f"{group}_optimizer": optimizer for group, optimizer in optimizers.items()},
        **{f"{group}_schedule": schedule for group, schedule in schedules.items()},
        **stateful,
    ) as phase:
        for epoch in phase:
            figures: list[dict[str, float]] = []
            for number, users_B in enumerate(shuffled(users, config.batch_size, random)):
                liked_BI = multi_hot(liked.take(users_B), data.num_items, run.device)
                batch = hide(liked_BI, num_members=num_members, config=config, random=random)
                kl_weight = annealed_kl_weight(epoch * steps_per_epoch + number, num_annealing_steps, config.kl_weight)
                weights_MB = batch.target_MBI.sum(dim=-1).clamp(min=1.0) ** -config.user_weight_exponent
                played = play(vae, discriminator, batch, random)
                told = losses(played, weights_MB, kl_weight, config)
                descend(told, groups, optimizers)
                for schedule in schedules.values():
                    schedule.step()
                figures.append(observe(played, told, kl_weight))
            phase.log_means(figures)
            if watch is not None:
                watch(phase, epoch, vae)
    return vae
