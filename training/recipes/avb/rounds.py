"""The two turns of a round; each can be called alone.

Shapes: B users in the batch, I items, Z latent dimensions, K noise vectors, S draws.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.models.avb import Adversary, BasisPosterior, Decoder
from training.models.layers import with_dropout
from training.objectives import avb as objectives
from training.objectives.irgan import policy_log_probs
from training.recipes.avb.config import Config


class Batch(NamedTuple):
    """Some users' histories, cut in two.

    Attributes:
        visible_BI: what the inference network sees.
        hidden_BI: what the decoder is to predict.
    """

    visible_BI: Tensor
    hidden_BI: Tensor

    def inputs(self) -> Tensor:
        """The visible part divided by its length, [B, I]."""
        return self.visible_BI / self.visible_BI.sum(dim=1, keepdim=True).clamp(min=1.0)


def hide(liked_BI: Tensor, hidden_fraction: float, random: torch.Generator) -> Batch:
    """Hide each event with the given chance."""
    visible_BI = liked_BI * (torch.rand(liked_BI.shape, generator=random) >= hidden_fraction).to(liked_BI.device)
    return Batch(visible_BI, liked_BI - visible_BI)


class Drawn(NamedTuple):
    """A draw of z for every user, and the moments of the distributions that they came from, without gradients.

    Attributes:
        z_BZ: the draws.
        judged_BZ: as the adversary sees them: standardised with adaptive contrast, so that the other side is N(0, 1) either way.
        mean_BZ, std_BZ: the posterior's moments; None where the adversary's other side is the prior.
    """

    z_BZ: Tensor
    judged_BZ: Tensor
    mean_BZ: Tensor | None
    std_BZ: Tensor | None


def draw(posterior: BasisPosterior, x_BI: Tensor, config: Config, random: torch.Generator) -> Drawn:
    """A draw of z ~ q(z|x) for each row, by the inference network and fresh noise."""
    noise_SKZ = posterior.draw_noise(max(len(x_BI), config.num_moment_draws), random).to(x_BI.device)
    shaped_SKZ = posterior.shaped(noise_SKZ)
    coefficients = posterior(x_BI)
    z_BZ = posterior.place(coefficients, shaped_SKZ[: len(x_BI)])
    if config.contrast == "prior":
        return Drawn(z_BZ, z_BZ, None, None)
    with torch.no_grad():
        mean_BZ, std_BZ = posterior.moments(coefficients, shaped_SKZ)
    return Drawn(z_BZ, objectives.standardised(z_BZ, mean_BZ, std_BZ), mean_BZ, std_BZ)


def adversary_step(
    adversary: Adversary,
    optimizer: torch.optim.Optimizer,
    posterior: BasisPosterior,
    x_BI: Tensor,
    *,
    config: Config,
    random: torch.Generator,
) -> dict[str, float]:
    """Tell the posterior's draws from those of N(0, 1)."""
    with torch.no_grad():
        judged_BZ = draw(posterior, x_BI, config, random).judged_BZ
    normal_BZ = torch.randn(judged_BZ.shape, generator=random).to(judged_BZ.device)
    posterior_logits_B, normal_logits_B = adversary(x_BI, judged_BZ), adversary(x_BI, normal_BZ)
    loss = objectives.adversary_loss(posterior_logits_B, normal_logits_B)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"adversary_loss": loss.item()}


def model_step(
    posterior: BasisPosterior,
    decoder: Decoder,
    adversary: Adversary,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    *,
    config: Config,
    kl_weight: float,
    random: torch.Generator,
) -> dict[str, float]:
    """One step of φ and θ on the bound; the adversary says what the divergence is, and learns nothing.

    Gradients that are left in the adversary are cleared by its next step.
    """
    x_BI = batch.inputs()
    drawn = draw(posterior, x_BI, config, random)
    logits_BI = decoder.logits(with_dropout(decoder.hidden(drawn.z_BZ), config.dropout, random))
    log_probs_BI = policy_log_probs(logits_BI, excluded_BI=batch.visible_BI.bool())
    log_likelihood_B = (log_probs_BI * batch.hidden_BI).sum(dim=1)
    posterior_logits_B = adversary(x_BI, drawn.judged_BZ)
    divergence_B = objectives.divergence(posterior_logits_B, drawn.z_BZ, drawn.mean_BZ, drawn.std_BZ)
    weights_B = batch.hidden_BI.sum(dim=1).clamp(min=1.0) ** -config.user_weight_exponent
    loss = (weights_B * objectives.negative_bound(log_likelihood_B, divergence_B, kl_weight)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "likelihood": (weights_B * log_likelihood_B).mean().item(),
        "divergence": divergence_B.mean().item(),
        "adversary_logit": posterior_logits_B.mean().item(),
    }
