"""The three losses of VAE/GAN by hand, and what each pulls at."""

from __future__ import annotations

import math

import pytest
import torch

from training.objectives.vae_gan import decoder_loss, encoder_loss, gan_value, generator_gan_loss, learned_similarity


def test_the_learned_similarity_is_zero_for_equal_features_alone() -> None:
    """½ ‖a − b‖² by hand; symmetric, and never below zero."""
    one, other = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[0.0, 0.0, 0.5]])
    assert learned_similarity(one, one).item() == 0.0
    assert learned_similarity(one, other).item() == 2.5
    assert learned_similarity(other, one).item() == 2.5


def test_the_learned_similarity_is_the_gaussian_log_likelihood_but_for_a_constant() -> None:
    """−log N(Dis_l(x); Dis_l(x̃), 1) of torch, at two pairs of features: the same difference."""
    real, made = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(0))
    negative = -torch.distributions.Normal(made, 1.0).log_prob(real).sum(dim=-1)
    similarity = learned_similarity(real, made)
    torch.testing.assert_close(similarity - similarity[0], negative - negative[0])


def test_the_value_of_the_game_by_hand() -> None:
    """Logits of zero: three verdicts of one half. Sure and right: zero. Sure and wrong: very low, and finite."""
    zero = torch.zeros(())
    assert gan_value(zero, zero, zero).item() == pytest.approx(3 * math.log(0.5))
    three = torch.tensor(math.log(3.0))  # Dis = ¾
    assert gan_value(three, -three, zero).item() == pytest.approx(2 * math.log(0.75) + math.log(0.5))
    sure = torch.tensor(50.0)
    assert gan_value(sure, -sure, -sure).item() == pytest.approx(0.0, abs=1e-6)
    assert gan_value(-sure, sure, sure).item() == pytest.approx(-150.0)


@pytest.mark.parametrize("which", ["reconstruction", "prior sample"])
@pytest.mark.parametrize("objective", ["minimax", "non-saturating"])
def test_reconstructions_and_prior_samples_both_take_part(which: str, objective: str) -> None:
    """Each moves the discriminator's value, and the decoder's loss falls when either passes for real."""
    logits = {"reconstruction": torch.tensor(-1.0), "prior sample": torch.tensor(-1.0)}
    before = generator_gan_loss(*logits.values(), objective)
    value = gan_value(torch.tensor(1.0), *logits.values())
    logits[which] = torch.tensor(1.0)
    assert generator_gan_loss(*logits.values(), objective) < before
    assert gan_value(torch.tensor(1.0), *logits.values()) < value


def test_the_decoder_s_minimax_loss_is_what_it_moves_of_the_value() -> None:
    """Their gradients with regard to both kinds of fakes are the same; the real ones are nothing to the decoder."""
    made, prior = torch.tensor(0.3, requires_grad=True), torch.tensor(-0.8, requires_grad=True)
    value = torch.autograd.grad(gan_value(torch.tensor(0.5), made, prior), [made, prior])
    loss = torch.autograd.grad(generator_gan_loss(made, prior, "minimax"), [made, prior])
    torch.testing.assert_close(loss, value)


def test_the_non_saturating_loss_pulls_where_the_minimax_one_has_stopped() -> None:
    """Against a sure discriminator, f = −10: σ(f) against 1 − σ(f)."""
    for objective, wanted in (("minimax", -torch.sigmoid(torch.tensor(-10.0))), ("non-saturating", -torch.tensor(1.0))):
        fake = torch.tensor(-10.0, requires_grad=True)
        (gradient,) = torch.autograd.grad(generator_gan_loss(fake, torch.tensor(0.0), objective), [fake])
        torch.testing.assert_close(gradient, wanted, atol=1e-4, rtol=1e-4)


def test_gamma_weighs_the_similarity_of_the_decoder_alone() -> None:
    """γ · similarity + GAN for the decoder, β · KL + similarity for the encoder."""
    kl, similarity, gan = torch.tensor(3.0), torch.tensor(2.0), torch.tensor(0.7)
    assert decoder_loss(similarity, gan, similarity_weight=10.0).item() == pytest.approx(20.7)
    assert decoder_loss(similarity, gan, similarity_weight=0.0).item() == pytest.approx(0.7)
    assert decoder_loss(similarity, gan, similarity_weight=1.0, gan_weight=0.0).item() == pytest.approx(2.0)
    assert encoder_loss(kl, similarity).item() == 5.0
    assert encoder_loss(kl, similarity, kl_weight=0.1).item() == pytest.approx(2.3)
