"""The game's optimum, value and gradients, on four points where everything can be computed by hand.

Shapes: X points.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from training.objectives import adversarial

DATA_X = torch.tensor([0.5, 0.25, 0.25, 0.0], dtype=torch.float64)
MODEL_X = torch.tensor([0.25, 0.25, 0.0, 0.5], dtype=torch.float64)
# ½ Σ p log(p/m) + ½ Σ q log(q/m) with m = (3/8, 1/4, 1/8, 1/4):
HAND_COMPUTED_JSD = 0.5 * (0.5 * math.log(4 / 3) + 0.25 * math.log(2)) + 0.5 * (0.25 * math.log(2 / 3) + 0.5 * math.log(2))


def value(logits_X: Tensor, data_X: Tensor = DATA_X, model_X: Tensor = MODEL_X) -> Tensor:
    """V with both expectations as sums over the points."""
    return adversarial.value(logits_X, logits_X, data_X, model_X)


def best_logits(data_X: Tensor, model_X: Tensor) -> Tensor:
    """A free logit a point, by gradient ascent on V."""
    logits_X = torch.zeros(len(data_X), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits_X], lr=0.3)
    for _ in range(400):
        loss = -value(logits_X, data_X, model_X)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return logits_X.detach()


def test_a_free_discriminator_comes_to_p_data_over_p_data_plus_p_model() -> None:
    """Proposition 1: ascent from D = ½ everywhere; where one side never goes, D tends to 0 or 1."""
    verdicts_X = torch.sigmoid(best_logits(DATA_X, MODEL_X))
    torch.testing.assert_close(verdicts_X[:2], (DATA_X / (DATA_X + MODEL_X))[:2], atol=1e-4, rtol=0.0)
    assert verdicts_X[2] > 0.99
    assert verdicts_X[3] < 0.01


def test_the_optimal_logit_is_the_difference_of_log_probabilities() -> None:
    """σ(log p − log q) = p / (p + q), and no other discriminator that was tried has a greater value."""
    logits_X = adversarial.optimal_logits(DATA_X[:2].log(), MODEL_X[:2].log())
    torch.testing.assert_close(torch.sigmoid(logits_X), torch.tensor([2 / 3, 1 / 2], dtype=torch.float64))
    model_X = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    data_X = model_X.flip(0)
    best_X = adversarial.optimal_logits(data_X.log(), model_X.log())
    random = torch.Generator().manual_seed(0)
    for _ in range(20):
        other_X = best_X + 0.3 * torch.randn(4, generator=random, dtype=torch.float64)
        assert value(other_X, data_X, model_X) < value(best_X, data_X, model_X)


def test_at_equality_the_value_is_log_a_quarter() -> None:
    """Theorem 1: D* = ½, V = log ½ + log ½ = −log 4, whatever the distribution."""
    logits_X = best_logits(DATA_X, DATA_X)
    torch.testing.assert_close(value(logits_X, DATA_X, DATA_X).item(), math.log(1 / 4))
    assert math.log(1 / 4) == pytest.approx(adversarial.VALUE_AT_EQUALITY)
    torch.testing.assert_close(adversarial.optimal_value(DATA_X, DATA_X).item(), math.log(1 / 4))


def test_elsewhere_the_best_value_is_minus_log_four_plus_twice_the_divergence() -> None:
    """Theorem 1 with the divergence computed by hand, for the discriminator that gradient ascent found."""
    assert adversarial.jensen_shannon_divergence(DATA_X, MODEL_X).item() == pytest.approx(HAND_COMPUTED_JSD)
    expected = -math.log(4) + 2 * HAND_COMPUTED_JSD
    assert adversarial.optimal_value(DATA_X, MODEL_X).item() == pytest.approx(expected)
    assert value(best_logits(DATA_X, MODEL_X)).item() == pytest.approx(expected, abs=1e-3)


def test_the_divergence_is_zero_at_equality_and_log_two_for_disjoint_distributions() -> None:
    """And it does not matter which comes first."""
    apart_X = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert adversarial.jensen_shannon_divergence(apart_X[0], apart_X[1]).item() == pytest.approx(math.log(2))
    assert adversarial.jensen_shannon_divergence(DATA_X, DATA_X).item() == pytest.approx(0.0, abs=1e-12)
    there, back = (adversarial.jensen_shannon_divergence(*pair) for pair in ((DATA_X, MODEL_X), (MODEL_X, DATA_X)))
    torch.testing.assert_close(there, back)


def test_the_estimate_from_the_loss_is_exact_for_the_best_discriminator_and_too_low_for_others() -> None:
    """It is log 2 − loss / 2 with loss = −V; a discriminator that cannot tell says 0."""
    best_X = best_logits(DATA_X, MODEL_X)
    assert adversarial.estimated_divergence(-value(best_X)).item() == pytest.approx(HAND_COMPUTED_JSD, abs=1e-3)
    assert adversarial.estimated_divergence(-value(0.5 * best_X)).item() < HAND_COMPUTED_JSD
    assert adversarial.estimated_divergence(-value(torch.zeros_like(best_X))).item() == pytest.approx(0.0, abs=1e-12)


def test_the_loss_of_examples_is_minus_the_mean_value() -> None:
    """Two real examples with D = ¾ and ½, one made-up one with D = ¼."""
    real_N, fake_F = torch.logit(torch.tensor([0.75, 0.5])), torch.logit(torch.tensor([0.25]))
    expected = -(math.log(0.75) + math.log(0.5)) / 2 - math.log(0.75)
    assert adversarial.discriminator_loss(real_N, fake_F).item() == pytest.approx(expected)
    assert adversarial.share_of_right_verdicts(real_N, fake_F).item() == pytest.approx(0.75)


def test_where_the_discriminator_is_sure_minimax_has_no_gradient_and_non_saturating_has_its_greatest() -> None:
    """d/df log(1 − D) = −D and d/df −log D = −(1 − D): at D = σ(−12) about −6e-6 and −1; at D = ½ both are −½."""
    for logit, minimax, non_saturating in ((-12.0, -6.144e-06, -0.999994), (0.0, -0.5, -0.5), (12.0, -0.999994, -6.144e-06)):
        for objective, expected in (("minimax", minimax), ("non-saturating", non_saturating)):
            logits = torch.tensor([logit], requires_grad=True)
            adversarial.generator_loss(logits, objective).backward()  # type: ignore[arg-type]
            assert logits.grad is not None
            assert logits.grad.item() == pytest.approx(expected, rel=1e-3)


def test_both_objectives_fall_as_the_discriminator_is_deceived() -> None:
    """Their gradients have the same sign everywhere, so they have the same fixed points."""
    logits = torch.linspace(-5.0, 5.0, 11)
    for objective in ("minimax", "non-saturating"):
        losses = [adversarial.generator_loss(logit[None], objective).item() for logit in logits]  # type: ignore[arg-type]
        assert losses == sorted(losses, reverse=True)


def test_huge_logits_give_finite_losses_and_gradients() -> None:
    """A sigmoid before the logarithm would be log 0 here."""
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    total = adversarial.discriminator_loss(logits, logits)
    for objective in ("minimax", "non-saturating"):
        total = total + adversarial.generator_loss(logits, objective)  # type: ignore[arg-type]
    total.backward()
    assert torch.isfinite(total)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
