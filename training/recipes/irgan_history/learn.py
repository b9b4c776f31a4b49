"""The game itself: batch after batch, turn after turn.

Shapes: B users in the batch, I items, M members, N = M · B.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from training.data import Interactions
from training.data.batches import log_popularity, multi_hot, shuffled, users_to_hide_from
from training.loop import Best, Run
from training.models.history import HistoryCommittee, LeaveOneOutDiscriminator
from training.objectives import irgan as objectives
from training.recipes.irgan_history.config import Config
from training.recipes.irgan_history.game import discriminator_step, generator_step, hide, observe

Watch = Callable[[int, bool, HistoryCommittee], bool]
"""Told of every epoch's end, and whether it is the last; says whether to stop."""


def learn(
    data: Interactions,
    config: Config,
    run: Run,
    *,
    name: str,
    num_members: int,
    num_epochs: int,
    watch: Watch | None = None,
    **stateful: Best,
) -> HistoryCommittee:
    """The game: every batch, the discriminator takes a step against the generator's picks, the generator one against its verdict.

    Raises:
        DataError: no user has two liked events.
    """
    # The discriminators have random numbers of their own, so that the twin without them sees the same batches.
    random, jury_random = run.generator(), run.generator(1)
    num_channels = 2 if config.signal == "all" else 1
    popularity_I = torch.from_numpy(data.popularity())
    generator = HistoryCommittee(
        num_items=data.num_items,
        num_channels=num_channels,
        num_members=num_members,
        hidden_size=config.hidden_size,
        dropout=config.dropout,
        log_popularity_I=log_popularity(data),
        generator=random,
    ).to(run.device)
    discriminators = [
        LeaveOneOutDiscriminator(
            num_items=data.num_items,
            num_channels=num_channels,
            hidden_size=config.discriminator_hidden_size,
            dropout=config.dropout,
            generator=jury_random,
        ).to(run.device)
        for _ in range(config.num_discriminators)
    ]
    jury = torch.nn.ModuleList(discriminators)
    generator_optimizer = torch.optim.AdamW(
        generator.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    discriminator_optimizer = torch.optim.AdamW(
        jury.parameters(),
        lr=config.discriminator_learning_rate,
        weight_decay=config.discriminator_weight_decay,
        fused=True,
    )
    liked, low = data.positives().histories(), data.where(~data.is_positive).histories()
    users = users_to_hide_from(liked, "irgan-history")
    num_steps = config.num_epochs * -(-len(users) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(generator_optimizer, num_steps)
    with run.phase(
        name,
        num_epochs,
        generator=generator,
        discriminators=jury,
        generator_optimizer=generator_optimizer,
        discriminator_optimizer=discriminator_optimizer,
        schedule=schedule,
        random=random,
        jury_random=jury_random,
        **stateful,
    ) as phase:
        for epoch in phase:
            playing = config.adversary == "discriminator" and epoch >= config.warmup_epochs
            figures: list[dict[str, float]] = []
            for users_B in shuffled(users, config.batch_size, random):
                liked_BI = multi_hot(liked.take(users_B), data.num_items, run.device)
                low_BI = multi_hot(low.take(users_B), data.num_items, run.device)
                learner_B = torch.from_numpy(users_B % config.num_discriminators).to(run.device)
                batch = hide(liked_BI, low_BI, learner_B, num_members=num_members, config=config, random=random)
                logits_MBI = generator(batch.visible_MBX, random)
                # Members stand beside each other like more users.
                log_probs_NI = objectives.policy_log_probs(
                    logits_MBI.flatten(0, 1), excluded_BI=batch.excluded_MBI.flatten(0, 1)
                )
                told: dict[str, float] = {}
                if playing:
                    picks_BI = log_probs_NI.detach().exp().view_as(logits_MBI).mean(dim=0)
                    told |= discriminator_step(discriminators, discriminator_optimizer, batch, picks_BI, jury_random)
                    told |= observe(log_probs_NI, batch, popularity_I)
                told |= generator_step(generator_optimizer, log_probs_NI, discriminators if playing else [], batch, config)
                schedule.step()
                figures.append(told)
            phase.log_means(figures)
            if watch is not None and watch(epoch, phase.is_last, generator):
                phase.stop()
    return generator
