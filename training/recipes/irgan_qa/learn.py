"""Two phases of one member: QA-CNN's pre-training, then the game."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from training.evaluation.selection import EarlyStopping
from training.loop import Run
from training.recipes.irgan_qa.bodies import Body
from training.recipes.irgan_qa.config import Config
from training.recipes.irgan_qa.game import Player, discriminator_turn, generator_turn, picks, pretraining_turn, scores
from training.recipes.irgan_qa.questions import Batch, Questions
from training.recipes.irgan_qa.validation import SELECTED, mean_average_precision

Turn = Callable[[Batch], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What every phase of every member has in common.

    Attributes:
        body: reads the texts.
        fit: the questions to learn from.
        valid: those that choose the moment.
        config: with no setting left to the body.
        run: seed, device, checkpoints.
    """

    body: Body
    fit: Questions
    valid: Questions
    config: Config
    run: Run

    def player(self, model: Any, learning_rate: float | None, num_epochs: int | None) -> Player:
        """A model with an optimiser whose rate falls to zero over so many epochs."""
        assert learning_rate is not None and num_epochs is not None
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=self.config.weight_decay)
        num_steps = max(1, num_epochs) * -(-len(self.fit) // self.config.batch_size)
        return Player(model, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps))


def pretrain(lesson: Lesson, member: int) -> Any:
    """A model that has learned to put right answers before random ones, as it was at its best moment."""
    config, random = lesson.config, lesson.run.generator(2 * member)
    model = lesson.body.player(random)
    player = lesson.player(model, config.pretraining_learning_rate, config.num_pretraining_epochs)

    def turn(batch: Batch) -> dict[str, float]:
        return pretraining_turn(player, batch, body=lesson.body, config=config, random=random)

    _learn(
        lesson,
        f"pretraining-{member}",
        config.num_pretraining_epochs,
        turn,
        config.num_random,
        ranking=player,
        other=None,
        random=random,
    )
    return model


def play(lesson: Lesson, pretrained: Any, member: int) -> Any:
    """The model that answers after the game, which both players begin as the pre-trained one."""
    config, body, random = lesson.config, lesson.body, lesson.run.generator(2 * member + 1)
    discriminator = lesson.player(copy.deepcopy(pretrained), config.learning_rate, config.num_rounds)
    generator = lesson.player(copy.deepcopy(pretrained), config.generator_learning_rate, config.num_rounds)

    def turn(batch: Batch) -> dict[str, float]:
        if config.adversary == "none":
            return pretraining_turn(discriminator, batch, body=body, config=config, random=random)
        picks_BN = None
        if config.adversary == "generator":
            with torch.no_grad():
                picks_BN = picks(scores(body, generator.model, batch), batch, config.temperature)
        told = discriminator_turn(discriminator, batch, picks_BN=picks_BN, body=body, config=config, random=random)
        if config.adversary == "generator":
            judge = discriminator.model
            told |= generator_turn(generator, batch, judge=judge, body=body, config=config, random=random)
        return told

    # Without candidates of its own a question would have nothing to pick from; the twin has the pool of pre-training.
    bare = config.adversary == "none" or not lesson.fit.whole
    num_random = config.num_random if bare else config.num_random_picked
    ranking, other = (discriminator, generator) if config.player == "discriminator" else (generator, discriminator)
    _learn(lesson, f"game-{member}", config.num_rounds, turn, num_random, ranking=ranking, other=other, random=random)
    return ranking.model


def _learn(
    lesson: Lesson,
    name: str,
    num_epochs: int | None,
    turn: Turn,
    num_random: int,
    *,
    ranking: Player,
    other: Player | None,
    random: torch.Generator,
) -> None:
    """Epochs of turns; afterwards the ranking player is as it was at the best look."""
    assert num_epochs is not None
    config, run, model = lesson.config, lesson.run, ranking.model
    stopping = EarlyStopping(SELECTED, every=config.validate_every, patience=config.patience)
    stateful: dict[str, Any] = {}
    for side, player in (("ranking", ranking), ("other", other)):
        if player is not None:
            stateful |= {
                f"{side}_model": player.model,
                f"{side}_optimizer": player.optimizer,
                f"{side}_schedule": player.schedule,
            }

    def measure() -> float:
        return mean_average_precision(lesson.body, model, lesson.valid)

    with run.phase(name, num_epochs, best=stopping.best, random=random, **stateful) as phase:
        for epoch in phase:
            batches = lesson.fit.batches(config.batch_size, num_random, random, run.device)
            phase.log_means([turn(batch) for batch in batches])
            stopping.look(phase, epoch, measure, model.state_dict())
    assert stopping.best.state is not None
    model.load_state_dict(stopping.best.state)
