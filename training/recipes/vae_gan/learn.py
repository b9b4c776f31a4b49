"""The game itself: batch after batch, one step of each of the three.

Shapes: B rows in the batch, I entries of a bag, M members.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from training.data import Interactions
from training.data.batches import log_popularity, multi_hot, shuffled, users_to_hide_from
from training.evaluation.selection import Watch
from training.loop import Best, Run
from training.models.layers import by_length
from training.models.vae import Vae
from training.models.vae_gan import BagDiscriminator
from training.objectives.elbo import annealed_kl_weight
from training.recipes.vae_gan.config import GameConfig
from training.recipes.vae_gan.game import descend, hide, losses, observe, play


def learn(
    data: Interactions,
    config: GameConfig,
    run: Run,
    *,
    name: str,
    num_members: int,
    num_epochs: int,
    watch: Watch[Vae] | None = None,
    **stateful: Best,
) -> Vae:
    """Encoders and decoders of what users liked, after so many epochs of the configured cosine.

    Raises:
        DataError: no user has events enough to learn from.
    """
    liked = data.positives().histories()
    vae, _ = learn_bags(
        lambda users_B: multi_hot(liked.take(users_B), data.num_items, run.device),
        users_to_hide_from(liked, "vae-gan"),
        config,
        run,
        initial_bias_I=log_popularity(data),
        name=name,
        num_members=num_members,
        num_epochs=num_epochs,
        inputs=by_length,
        watch=watch,
        **stateful,
    )
    return vae


def learn_bags(
    bags: Callable[[np.ndarray], Tensor],
    rows: np.ndarray,
    config: GameConfig,
    run: Run,
    *,
    initial_bias_I: Tensor,
    name: str,
    num_members: int,
    num_epochs: int,
    inputs: Callable[[Tensor], Tensor],
    watch: Watch[Vae] | None = None,
    **stateful: Best,
) -> tuple[Vae, BagDiscriminator]:
    """All three networks after so many epochs on bags of any kind.

    Args:
        bags: the bags of some rows, float32 [B, I].
        rows: of all bags to learn from.
        config: of the game.
        run: where and how.
        initial_bias_I: where the decoder's logits start.
        name: of the phase.
        num_members: M.
        num_epochs: to learn for.
        inputs: what the encoder is given of a bag.
        watch: told of every epoch's end.
        stateful: what the phase saves beside its own.
    """
    random = run.generator()
    vae = Vae(
        num_entries=len(initial_bias_I),
        num_members=num_members,
        encoder_hidden_size=config.hidden_size,
        embedding_size=config.embedding_size,
        decoder_hidden_size=config.decoder_hidden_size,
        dropout=config.dropout,
        initial_log_variance=config.initial_log_variance,
        initial_bias_I=initial_bias_I,
        generator=random,
    ).to(run.device)
    discriminator = BagDiscriminator(
        num_entries=len(initial_bias_I),
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
    steps_per_epoch = -(-len(rows) // config.batch_size)
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
            for number, rows_B in enumerate(shuffled(rows, config.batch_size, random)):
                batch = hide(bags(rows_B), num_members=num_members, config=config, random=random)
                kl_weight = annealed_kl_weight(epoch * steps_per_epoch + number, num_annealing_steps, config.kl_weight)
                weights_MB = batch.target_MBI.sum(dim=-1).clamp(min=1.0) ** -config.user_weight_exponent
                played = play(vae, discriminator, batch, random, inputs)
                told = losses(played, weights_MB, kl_weight, config)
                descend(told, groups, optimizers)
                for schedule in schedules.values():
                    schedule.step()
                figures.append(observe(played, told, kl_weight))
            phase.log_means(figures)
            if watch is not None:
                watch(phase, epoch, vae)
    return vae, discriminator
