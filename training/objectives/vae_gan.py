"""The three losses of VAE/GAN as pure functions (Larsen et al. 2016, arXiv 1512.09300).

Discriminators are given as logits f, Dis(x) = σ(f(x)). Every function is of single bags; "..." stands for members and rows.

Shapes: H hidden units of the discriminator's l-th layer.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

GanObjective = Literal["minimax", "non-saturating"]


def learned_similarity(features: Tensor, reconstructed: Tensor) -> Tensor:
    """L_llike^Dis_l = −log N(Dis_l(x); Dis_l(x̃), 1), section 2.3, without the constant: ½ ‖Dis_l(x) − Dis_l(x̃)‖², nats [...].

    It takes the place of −log p(x|z), which measures entry by entry. Zero where the discriminator sees no difference.

    Args:
        features: Dis_l(x) of the real bags, [..., H].
        reconstructed: Dis_l(x̃) of what the decoder made of them.
    """
    return 0.5 * (features - reconstructed).square().sum(dim=-1)


def gan_value(real_logits: Tensor, reconstructed_logits: Tensor, prior_logits: Tensor) -> Tensor:
    """L_GAN = log Dis(x) + log(1 − Dis(Dec(z_p))) + log(1 − Dis(Dec(Enc(x)))), Algorithm 1; [...].

    At most 0; 3 log ½ where the discriminator cannot tell.

    Args:
        real_logits: f(x).
        reconstructed_logits: f of what is decoded from the posterior.
        prior_logits: f of what is decoded from z_p ~ N(0, 1).
    """
    return -(functional.softplus(-real_logits) + functional.softplus(reconstructed_logits) + functional.softplus(prior_logits))


def generator_gan_loss(reconstructed_logits: Tensor, prior_logits: Tensor, objective: GanObjective) -> Tensor:
    """What the decoder minimises of the game; [...].

    * `minimax`: the terms of L_GAN that the decoder moves, log(1 − Dis(x̃)) + log(1 − Dis(x_p));
    * `non-saturating`: −log Dis(x̃) − log Dis(x_p), Goodfellow et al. 2014, section 3, whose gradient does not vanish while
      the discriminator is sure.
    """
    if objective == "minimax":
        return -(functional.softplus(reconstructed_logits) + functional.softplus(prior_logits))
    return functional.softplus(-reconstructed_logits) + functional.softplus(-prior_logits)


def encoder_loss(kl: Tensor, similarity: Tensor, *, kl_weight: float = 1.0) -> Tensor:
    """L_prior + L_llike^Dis_l, the encoder's part of the triple criterion; β is 1 in the paper; [...]."""
    return kl_weight * kl + similarity


def decoder_loss(similarity: Tensor, gan_loss: Tensor, *, similarity_weight: float, gan_weight: float = 1.0) -> Tensor:
    """γ L_llike^Dis_l − L_GAN, Eq. (9): what is kept of the bag against what passes for a real one; [...].

    Args:
        similarity: L_llike^Dis_l.
        gan_loss: see `generator_gan_loss`; its sign is that of a loss.
        similarity_weight: γ.
        gan_weight: of the game; 1 in the paper.
    """
    return similarity_weight * similarity + gan_weight * gan_loss
