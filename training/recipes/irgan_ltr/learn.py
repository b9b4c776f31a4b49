"""The game itself: round after round, pass after pass.

Shapes: N candidates, M members.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch

from training.data.candidates import Candidates
from training.evaluation.committees import Looks, Watched
from training.loop import Run
from training.models.features import FeatureCommittee
from training.recipes.irgan_ltr.config import Config
from training.recipes.irgan_ltr.game import discriminator_loss, observe, picks, reward_loss, supervised_loss


class Player(NamedTuple):
    """A committee with what moves it."""

    committee: FeatureCommittee
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def step(self, loss: torch.Tensor) -> None:
        """Go down a batch's loss."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


def discriminator_pass(
    discriminator: Player,
    generator: FeatureCommittee,
    candidates: Candidates,
    config: Config,
    random: torch.Generator,
) -> dict[str, float]:
    """The discriminators learn against the generators' picks as they are now."""
    losses = []
    for batch in candidates.batches(config.batch_size, random):
        with torch.no_grad():
            scores_MN = generator(batch.features_NF)
        picks_RC = picks(scores_MN, batch, config, random)
        loss = discriminator_loss(discriminator.committee(batch.features_NF, random), picks_RC, batch, config)
        discriminator.step(loss)
        losses.append(loss.item() / config.num_members)
    return {"discriminator_loss": sum(losses) / len(losses)}


def generator_pass(
    generator: Player,
    discriminator: FeatureCommittee | None,
    candidates: Candidates,
    config: Config,
    *,
    random: torch.Generator,
    jury_random: torch.Generator,
) -> dict[str, float]:
    """The generators learn by the pre-training's loss, and from their discriminators' verdicts where there are any."""
    told: list[dict[str, float]] = []
    for batch in candidates.batches(config.batch_size, random):
        scores_MN = generator.committee(batch.features_NF, random)
        loss = scores_MN.new_zeros(())
        figures: dict[str, float] = {}
        if config.likelihood_weight or discriminator is None:
            supervised = supervised_loss(scores_MN, batch, config)
            figures["loss"] = supervised.item() / config.num_members
            loss = loss + (config.likelihood_weight if discriminator is not None else 1.0) * supervised
        if discriminator is not None:
            with torch.no_grad():
                verdicts_MN = discriminator(batch.features_NF)
            loss = loss + config.reward_weight * reward_loss(scores_MN, verdicts_MN, batch, config, jury_random)
            figures |= observe(scores_MN, verdicts_MN, batch, config)
        generator.step(loss)
        told.append(figures)
    return {key: sum(figures[key] for figures in told) / len(told) for key in told[0]}


def play(
    pretrained: FeatureCommittee,
    candidates: Candidates,
    valid: Watched,
    config: Config,
    run: Run,
) -> tuple[FeatureCommittee, FeatureCommittee | None, dict[str, Any]]:
    """All rounds of the game from a pre-trained generator; or as many passes of its own loss.

    Returns:
        The generators, the discriminators if there are any, and what to tell of the game.
    """
    # The discriminators have random numbers of their own, so that the twin without them sees the same batches.
    random, jury_random = run.generator(1), run.generator(2)
    num_batches = -(-len(candidates.queries) // config.batch_size)

    def player(committee: FeatureCommittee, learning_rate: float, weight_decay: float, num_passes: int) -> Player:
        optimizer = torch.optim.AdamW(committee.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
        num_steps = config.num_rounds * num_passes * num_batches
        return Player(committee, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps))

    generator = player(
        copy.deepcopy(pretrained), config.generator_learning_rate, config.generator_weight_decay, config.generator_steps
    )
    discriminator = player(
        copy.deepcopy(pretrained)
        if config.discriminator_start == "pretrained"
        else FeatureCommittee(
            num_features=pretrained.num_features,
            num_members=config.num_members,
            hidden_size=config.hidden_size,
            activation=config.activation,
            dropout=config.dropout,
            generator=jury_random,
        ).to(run.device),
        config.discriminator_learning_rate,
        config.discriminator_weight_decay,
        config.discriminator_steps,
    )
    playing = config.adversary == "discriminator"
    ranks, other = (discriminator, generator) if config.player == "discriminator" else (generator, discriminator)
    others = {"other": other.committee} if playing else {}
    looks = Looks(valid, choice=config.epoch, every=config.validate_every, patience=config.patience)
    with run.phase(
        "game",
        config.num_rounds,
        generator=generator.committee,
        generator_optimizer=generator.optimizer,
        generator_schedule=generator.schedule,
        discriminator=discriminator.committee,
        discriminator_optimizer=discriminator.optimizer,
        discriminator_schedule=discriminator.schedule,
        random=random,
        jury_random=jury_random,
        best=looks.stopping.best,
    ) as phase:
        for game_round in phase:
            told: dict[str, float] = {}
            if playing:
                for _ in range(config.discriminator_steps):
                    told |= discriminator_pass(discriminator, generator.committee, candidates, config, jury_random)
            for _ in range(config.generator_steps):
                judge = discriminator.committee if playing else None
                told |= generator_pass(generator, judge, candidates, config, random=random, jury_random=jury_random)
            phase.log(**told)
            looks.look(phase, game_round, ranks.committee, **others)
    summary = looks.settle(run, "game", ranks.committee, **others)
    return generator.committee, discriminator.committee if playing else None, summary
