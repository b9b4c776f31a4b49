"""One round: what the three networks make of a batch, and the step that each takes by its own loss.

Shapes: B users in the batch, I items, M members, Z latent dimensions, H units of the discriminator's l-th layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.models.layers import by_length
from training.models.vae import Vae
from training.models.vae_gan import BagDiscriminator, Verdict
from training.objectives import elbo
from training.objectives import vae_gan as objectives
from training.objectives.irgan import policy_log_probs
from training.recipes.vae_gan.config import GameConfig


class Batch(NamedTuple):
    """Some users; each member has another part hidden.

    Attributes:
        real_MBI: whole histories.
        visible_MBI: 1 for what the encoder sees.
        target_MBI: 1 for what the decoder is to make.
        excluded_MBI: what it cannot make, for it is there already.
    """

    real_MBI: Tensor
    visible_MBI: Tensor
    target_MBI: Tensor
    excluded_MBI: Tensor


class Round(NamedTuple):
    """What came of a batch, with the graph that gradients flow through.

    Attributes:
        kl_MB: KL(q(z|x) ‖ p(z)), nats.
        log_likelihood_MB: of the targets, nats.
        real, reconstructed, prior: the discriminator's verdict on histories, on what is decoded from their codes, and on what is
            decoded from the prior.
    """

    kl_MB: Tensor
    log_likelihood_MB: Tensor
    real: Verdict
    reconstructed: Verdict
    prior: Verdict


class Losses(NamedTuple):
    """Of the three parameter groups, each a scalar."""

    encoder: Tensor
    decoder: Tensor
    discriminator: Tensor


def hide(liked_BI: Tensor, *, num_members: int, config: GameConfig, random: torch.Generator) -> Batch:
    """Hide each event from each member with the configured chance."""
    drawn_MBI = torch.rand(num_members, *liked_BI.shape, generator=random)
    visible_MBI = liked_BI * (drawn_MBI >= config.hidden_fraction).to(liked_BI.device)
    real_MBI = liked_BI.expand_as(visible_MBI)
    if config.targets == "hidden":
        return Batch(real_MBI, visible_MBI, real_MBI - visible_MBI, visible_MBI.bool())
    return Batch(real_MBI, visible_MBI, real_MBI, torch.zeros_like(visible_MBI, dtype=torch.bool))


def play(
    vae: Vae,
    discriminator: BagDiscriminator,
    batch: Batch,
    random: torch.Generator,
    inputs: Callable[[Tensor], Tensor] = by_length,
) -> Round:
    """Encode, decode, decode from the prior, and judge; nothing learns yet.

    A decoded bag is the softmax times the number of targets, on top of what was excluded from it; from the prior, where nothing is
    visible, it is the softmax times the length of the history. `inputs` is what the encoder is given of the visible part.
    """

    def noise() -> Tensor:
        return torch.randn(mean_MBZ.shape, generator=random).to(mean_MBZ.device)

    mean_MBZ, log_variance_MBZ = vae.encoder(inputs(batch.visible_MBI), random)
    logits_MBI = vae.decoder(elbo.gaussian_code(mean_MBZ, log_variance_MBZ, noise()), random)
    log_probs_MBI = policy_log_probs(logits_MBI.flatten(0, 1), excluded_BI=batch.excluded_MBI.flatten(0, 1)).view_as(logits_MBI)
    num_targets_MB1 = batch.target_MBI.sum(dim=-1, keepdim=True)
    reconstructed_MBI = batch.real_MBI * batch.excluded_MBI + num_targets_MB1 * log_probs_MBI.exp()
    prior_MBI = batch.real_MBI.sum(dim=-1, keepdim=True) * torch.softmax(vae.decoder(noise(), random), dim=-1)
    return Round(
        kl_MB=elbo.gaussian_kl(mean_MBZ, log_variance_MBZ),
        log_likelihood_MB=elbo.multinomial_log_likelihood(log_probs_MBI, batch.target_MBI),
        real=discriminator(batch.real_MBI),
        reconstructed=discriminator(reconstructed_MBI),
        prior=discriminator(prior_MBI),
    )


def losses(played: Round, weights_MB: Tensor, kl_weight: float, config: GameConfig) -> Losses:
    """The triple criterion, with the likelihood beside it.

    Args:
        played: what came of the batch.
        weights_MB: of a user's likelihood, its place in the bound taken by the similarity, and KL.
        kl_weight: β of this step.
        config: the other weights.
    """
    similarity_MB = weights_MB * objectives.learned_similarity(played.real.features_MBH, played.reconstructed.features_MBH)
    likelihood_loss_MB = -config.likelihood_weight * weights_MB * played.log_likelihood_MB
    encoder_MB = objectives.encoder_loss(
        weights_MB * played.kl_MB, config.encoder_similarity_weight * similarity_MB, kl_weight=kl_weight
    )
    gan_MB = objectives.generator_gan_loss(played.reconstructed.logits_MB, played.prior.logits_MB, config.gan_objective)
    decoder_MB = objectives.decoder_loss(
        similarity_MB, gan_MB, similarity_weight=config.similarity_weight, gan_weight=config.gan_weight
    )
    value_MB = objectives.gan_value(played.real.logits_MB, played.reconstructed.logits_MB, played.prior.logits_MB)
    return Losses(
        encoder=(encoder_MB + likelihood_loss_MB).mean(),
        decoder=(decoder_MB + likelihood_loss_MB).mean(),
        discriminator=-value_MB.mean(),
    )


def descend(told: Losses, groups: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer]) -> None:
    """Each group one step down its own loss and no other, all from where they stood when the batch was played.

    The paper's "limiting error signals to relevant networks": the discriminator would make the similarity vanish, the encoder
    would take part in the game.
    """
    for name, loss in told._asdict().items():
        parameters = list(groups[name].parameters())
        gradients = torch.autograd.grad(loss, parameters, retain_graph=name != told._fields[-1])
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
    for optimizer in optimizers.values():
        optimizer.step()


def observe(played: Round, told: Losses, kl_weight: float) -> dict[str, float]:
    """The game in figures, nats a user; the share of right verdicts is over real, reconstructed and prior alike."""
    right = (played.real.logits_MB > 0, played.reconstructed.logits_MB < 0, played.prior.logits_MB < 0)
    similarity_MB = objectives.learned_similarity(played.real.features_MBH, played.reconstructed.features_MBH)
    return {
        "kl": played.kl_MB.mean().item(),
        "kl_weight": kl_weight,
        "log_likelihood": played.log_likelihood_MB.mean().item(),
        "similarity": similarity_MB.mean().item(),
        "discriminator_loss": told.discriminator.item(),
        "generator_loss": told.decoder.item(),
        "encoder_loss": told.encoder.item(),
        "right_verdicts": torch.stack(right).float().mean().item(),
    }
