"""The two turns of a batch; each can be called alone.

Shapes: B pairs of a question and its document, U candidates: the documents of all pairs of the batch, and all picks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.objectives import irgan as objectives
from training.recipes.irgan_text.config import Config
from training.recipes.irgan_text.players import Player


class Batch(NamedTuple):
    """What both players are asked.

    Attributes:
        questions_B: rows.
        candidates_U: rows of documents, none twice.
        places_B: where each question's document stands among the candidates.
        excluded_BU: other documents that answer the question; they are nobody's negatives.
        weights_B: they add up to 1.
    """

    questions_B: Tensor
    candidates_U: Tensor
    places_B: Tensor
    excluded_BU: Tensor
    weights_B: Tensor

    @property
    def one_hot(self) -> Tensor:
        """1 for each question's document, [B, U]."""
        return torch.nn.functional.one_hot(self.places_B, len(self.candidates_U)).to(self.weights_B.dtype)


def judged(logits_BU: Tensor, batch: Batch, objective: str) -> Tensor:
    """What the discriminator says of each candidate: a document's logit, or of the pair that it makes with the relevant one."""
    if objective == "pointwise":
        return logits_BU
    return objectives.pairwise_logits(logits_BU, logits_BU.gather(1, batch.places_B[:, None]))


def discriminator_step(
    discriminator: Player,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    *,
    log_probs_BU: Tensor,
    config: Config,
    random: torch.Generator,
) -> dict[str, float]:
    """Tell relevant documents from the generator's picks, Eq. (3), the expectation over the candidates computed exactly.

    Args:
        discriminator: learns.
        optimizer: its own.
        batch: what is asked.
        log_probs_BU: the generator's policy; what it gives to relevant documents is shared out among the others.
        config: the objective.
        random: of dropout.
    """
    positives_BU = batch.one_hot
    picks_BU = log_probs_BU.detach().exp() * (1 - positives_BU)
    picks_BU = picks_BU / picks_BU.sum(dim=1, keepdim=True).clamp(min=torch.finfo(picks_BU.dtype).tiny)
    logits_BU = judged(discriminator.logits(batch.questions_B, batch.candidates_U, random), batch, config.objective)
    if config.objective == "pointwise":
        loss = objectives.discriminator_loss(logits_BU, positives_BU, picks_BU, batch.weights_B)
    else:
        loss = objectives.pairwise_discriminator_loss(logits_BU, picks_BU, batch.weights_B)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"discriminator_loss": loss.item()}


def generator_step(
    optimizer: torch.optim.Optimizer, log_probs_BU: Tensor, discriminator: Player | None, batch: Batch, config: Config
) -> dict[str, float]:
    """Towards the likelihood of the relevant documents, and towards what the discriminator takes for relevant, Eq. (4)."""
    loss = objectives.likelihood_loss(log_probs_BU, batch.one_hot, batch.weights_B)
    told = {"likelihood": -loss.item()}
    if discriminator is not None:
        with torch.no_grad():
            logits_BU = discriminator.logits(batch.questions_B, batch.candidates_U)
            rewards_BU = objectives.rewards(judged(logits_BU, batch, config.objective), "bounded")
        reward_loss = objectives.expected_reward_loss(log_probs_BU, rewards_BU, batch.weights_B)
        told["reward"] = -reward_loss.item()
        loss = loss + config.reward_weight * reward_loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return told
