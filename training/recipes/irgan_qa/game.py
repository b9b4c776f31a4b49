"""The turns of a batch; each can be called alone.

Shapes: B questions in the batch, N answers in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.objectives import answers
from training.objectives import irgan as objectives
from training.recipes.irgan_qa.bodies import Body
from training.recipes.irgan_qa.config import Config
from training.recipes.irgan_qa.questions import Batch


@dataclass(frozen=True, slots=True)
class Player:
    """A model with what moves it.

    Attributes:
        model: of the body's kind.
        optimizer: of its parameters.
        schedule: of its learning rate.
    """

    model: Any
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def step(self, loss: Tensor) -> None:
        """Go down a loss."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


def scores(body: Body, model: Any, batch: Batch, random: torch.Generator | None = None) -> Tensor:
    """S of every answer of the batch to every question, [B, N]; with `random` as in training."""
    queries_BD = body.queries(model, batch.questions_B, random)
    return queries_BD @ body.documents(model, batch.answers_N, random).T


def uniform_picks(batch: Batch) -> Tensor:
    """Every wrong answer of a question's pool alike, [B, N]; zeros where there is none."""
    wrong_BN = batch.wrong_BN.float()
    return wrong_BN / wrong_BN.sum(dim=1, keepdim=True).clamp(min=1)


def picks(scores_BN: Tensor, batch: Batch, temperature: float) -> Tensor:
    """A softmax over each question's pool, [B, N]; zeros where there is none."""
    log_probs_BN = objectives.policy_log_probs(scores_BN, temperature=temperature, excluded_BI=~batch.wrong_BN)
    return log_probs_BN.exp() * batch.wrong_BN


def pretraining_turn(player: Player, batch: Batch, *, body: Body, config: Config, random: torch.Generator) -> dict[str, float]:
    """QA-CNN's own training: against uniform picks, or by likelihood."""
    scores_BN = scores(body, player.model, batch, random)
    if config.pretraining == "likelihood":
        # Without candidates everything in the pool competes.
        competing_BN = batch.own_BN if (batch.own_BN & ~batch.right_BN).any() else batch.right_BN | batch.wrong_BN
        loss = answers.right_answers_loss(scores_BN, batch.right_BN, competing_BN, temperature=config.likelihood_temperature)
    else:
        assert config.margin is not None
        loss = answers.hinge_loss(scores_BN, batch.right_BN, uniform_picks(batch), margin=config.margin)
    player.step(loss)
    return {"loss": loss.item()}


def discriminator_turn(
    player: Player, batch: Batch, *, picks_BN: Tensor | None, body: Body, config: Config, random: torch.Generator
) -> dict[str, float]:
    """Right answers before the picked ones.

    Args:
        player: learns.
        batch: questions and their pool.
        picks_BN: the generator's; None for the learner's own, a rule that does not learn.
        body: reads the texts.
        config: margin and temperature.
        random: of dropout.
    """
    assert config.margin is not None
    scores_BN = scores(body, player.model, batch, random)
    if picks_BN is None:
        picks_BN = picks(scores_BN.detach(), batch, config.temperature)
    if config.discriminator_loss == "hinge":
        loss = answers.hinge_loss(scores_BN, batch.right_BN, picks_BN, margin=config.margin)
    else:
        assert config.discriminator_temperature is not None
        loss = answers.logistic_loss(scores_BN, batch.right_BN, picks_BN, temperature=config.discriminator_temperature)
    player.step(loss)
    own = (picks_BN * batch.own_BN).sum(dim=1).mean().item()
    return {"discriminator_loss": loss.item(), "own_among_picks": own}


def generator_turn(
    player: Player, batch: Batch, *, judge: Any, body: Body, config: Config, random: torch.Generator
) -> dict[str, float]:
    """Towards wrong answers that the judge puts before right ones; the expectation over the pool is exact."""
    assert config.margin is not None
    scores_BN = scores(body, player.model, batch, random)
    log_probs_BN = objectives.policy_log_probs(scores_BN, temperature=config.temperature, excluded_BI=~batch.wrong_BN)
    with torch.no_grad():
        verdicts_BN = scores(body, judge, batch)
    rewards_BN = answers.deception_rewards(
        verdicts_BN, batch.right_BN, margin=config.margin, temperature=config.reward_temperature
    )
    weights_B = batch.wrong_BN.any(dim=1) / len(scores_BN)
    loss = objectives.expected_reward_loss(log_probs_BN, rewards_BN, weights_B)
    probs_BN = log_probs_BN.detach().exp() * batch.wrong_BN
    told = {"reward": -loss.item(), "entropy": torch.special.entr(probs_BN).sum(dim=1).mean().item()}
    if config.likelihood_weight:
        likelihood = answers.right_answers_loss(
            scores_BN, batch.right_BN, batch.own_BN, temperature=config.likelihood_temperature
        )
        loss = loss + config.likelihood_weight * likelihood
    player.step(loss)
    return told
