"""The two losses of a batch; each can be called alone.

Shapes: B users in the batch, I items, H hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.models.rbm import BernoulliRBM, PersistentChains, bernoulli
from training.objectives.contrastive_divergence import (
    contrastive_loss,
    pseudo_log_likelihood,
    reconstruction_error,
    run_chains,
)
from training.objectives.multi_prediction import multi_prediction_loss
from training.recipes.rbm.config import Config


def losses(
    model: BernoulliRBM, chains: PersistentChains, liked_BI: Tensor, config: Config, random: torch.Generator
) -> dict[str, Tensor]:
    """What is minimised, as the sum of its parts, each with its weight."""
    if config.objective == "contrastive":
        return {"contrastive_loss": contrastive_divergence(model, chains, liked_BI, config, random)}
    told = {"prediction_loss": prediction(model, liked_BI, config, random)}
    if config.contrastive_weight:
        told["contrastive_loss"] = config.contrastive_weight * contrastive_divergence(model, chains, liked_BI, config, random)
    return told


def contrastive_divergence(
    model: BernoulliRBM, chains: PersistentChains, liked_BI: Tensor, config: Config, random: torch.Generator
) -> Tensor:
    """CD-k or PCD-k on whole histories: lower the free energy of the data, raise it where the chains are."""
    if config.chains == "persistent":
        end_NI = chains.advance(model, config.num_steps, random)
    else:
        end_NI = run_chains(lambda state: model.gibbs_step(state, random), liked_BI, config.num_steps)
    return contrastive_loss(model.free_energy(liked_BI), model.free_energy(end_NI))


def prediction(model: BernoulliRBM, liked_BI: Tensor, config: Config, random: torch.Generator) -> Tensor:
    """Hide a part of each history and predict it from one step of mean-field inference on the rest."""
    ones_BI = torch.ones_like(liked_BI)
    visible_BI = liked_BI * bernoulli((1.0 - config.hidden_fraction) * ones_BI, random)
    hidden_BH = mean_field(model, visible_BI, scale=config.history_scale, exponent=config.history_exponent)
    if config.dropout:
        hidden_BH = hidden_BH * bernoulli((1.0 - config.dropout) * torch.ones_like(hidden_BH), random) / (1.0 - config.dropout)
    logits_BI = model.visible_logits(hidden_BH)
    return multi_prediction_loss(
        logits_BI, liked_BI - visible_BI, excluded_BI=visible_BI.bool(), user_weight_exponent=config.user_weight_exponent
    )


def mean_field(model: BernoulliRBM, visible_BI: Tensor, *, scale: float, exponent: float) -> Tensor:
    """σ(c + g W v / n^p), [B, H]: what the hidden units are expected to be, given n events of which more may be unseen."""
    length_B1 = visible_BI.sum(1, keepdim=True).clamp(min=1.0)
    return torch.sigmoid(model.hidden_bias_H + scale * length_B1**-exponent * (visible_BI @ model.weights_HD.T))


def observe(model: BernoulliRBM, liked_BI: Tensor, random: torch.Generator) -> dict[str, float]:
    """Pseudo-likelihood from one unit a user, nats, and the reconstruction error, means over some users."""
    with torch.no_grad():
        units_B = torch.randint(liked_BI.shape[1], (len(liked_BI),), generator=random).to(liked_BI.device)
        reconstructed_BI = torch.sigmoid(model.visible_logits(torch.sigmoid(model.hidden_logits(liked_BI))))
        return {
            "pseudo_likelihood": pseudo_log_likelihood(model.free_energy, liked_BI, units_B).mean().item(),
            "reconstruction_error": reconstruction_error(liked_BI, reconstructed_BI).mean().item(),
        }
