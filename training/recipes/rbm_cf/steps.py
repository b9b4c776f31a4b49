"""The losses of a batch; each can be called alone.

Shapes: B users in the batch, K levels, I items, H hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.models.rbm_cf import SoftmaxRBM
from training.objectives.contrastive_divergence import contrastive_loss, run_chains
from training.objectives.multi_prediction import multi_prediction_loss
from training.recipes.rbm_cf.config import Config

_USER_WEIGHT_EXPONENT = 0.5
"""A user's likelihood of which items were rated is divided by the root of how many they are."""


def losses(model: SoftmaxRBM, rated_BKI: Tensor, config: Config, random: torch.Generator) -> dict[str, Tensor]:
    """What is minimised, as the sum of its parts, each with its weight."""
    if config.objective == "contrastive":
        return {"contrastive_loss": contrastive_divergence(model, rated_BKI, config.num_steps, random)}
    told = prediction(model, rated_BKI, config, random)
    if config.contrastive_weight:
        contrastive = contrastive_divergence(model, rated_BKI, config.num_steps, random)
        told["contrastive_loss"] = config.contrastive_weight * contrastive
    return told


def contrastive_divergence(model: SoftmaxRBM, rated_BKI: Tensor, num_steps: int, random: torch.Generator) -> Tensor:
    """CD-k on whole histories, divided by the mean number of ratings; chains have ratings of the same items."""
    end_BKI = run_chains(lambda state: model.gibbs_step(state, random), rated_BKI, num_steps)
    num_ratings = rated_BKI.sum() / len(rated_BKI)
    return contrastive_loss(model.free_energy(rated_BKI), model.free_energy(end_BKI)) / num_ratings


def prediction(model: SoftmaxRBM, rated_BKI: Tensor, config: Config, random: torch.Generator) -> dict[str, Tensor]:
    """Hide a part of each history; predict from the rest how the hidden items were rated, and which items they are."""
    num_users, _, num_items = rated_BKI.shape
    kept_B1I = torch.rand(num_users, 1, num_items, generator=random) >= config.hidden_fraction
    visible_BKI = rated_BKI * kept_B1I.to(rated_BKI.device)
    hidden_BKI = rated_BKI - visible_BKI
    hidden_BH = mean_field(model, visible_BKI, scale=config.history_scale, exponent=config.history_exponent)
    if config.dropout:
        used_BH = torch.rand(hidden_BH.shape, generator=random).to(hidden_BH.device) >= config.dropout
        hidden_BH = hidden_BH * used_BH / (1.0 - config.dropout)
    logits_BKI = model.visible_logits(hidden_BH)
    likelihood = (torch.log_softmax(logits_BKI, 1) * hidden_BKI).sum() / hidden_BKI.sum().clamp(min=1.0)
    told = {"rating_loss": -likelihood}
    if config.exposure_loss_weight:
        which = multi_prediction_loss(
            model.rated_logits(hidden_BH, logits_BKI),
            hidden_BKI.sum(1),
            excluded_BI=visible_BKI.sum(1).bool(),
            user_weight_exponent=_USER_WEIGHT_EXPONENT,
        )
        told["exposure_loss"] = config.exposure_loss_weight * which
    return told


def mean_field(model: SoftmaxRBM, visible_BKI: Tensor, *, scale: float, exponent: float) -> Tensor:
    """σ(c + g Σ (W + D) / n^p), [B, H]: what the hidden units are expected to be, given n ratings of which more may be unseen."""
    length_B1 = visible_BKI.sum((1, 2))[:, None].clamp(min=1.0)
    return torch.sigmoid(model.hidden_bias_H + scale * length_B1**-exponent * model.hidden_sums(visible_BKI))
