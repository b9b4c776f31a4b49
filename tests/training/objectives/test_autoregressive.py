"""The losses of autoregressive models against sums over all orders, all splits and all subsets.

Shapes: B rows, D dimensions, K components.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from training.models.nade import Nade
from training.objectives.autoregressive import (
    bernoulli_log_probs,
    conditionals_loss,
    draw_observed,
    hidden_likes_loss,
    mixture_log_prob,
    negative_log_likelihood,
    order_agnostic_loss,
)

D = 4
X_BD = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0], [0, 1, 0, 0]], dtype=torch.float64)


def model() -> Nade:
    generator = torch.Generator().manual_seed(0)
    made = Nade(
        num_dimensions=D, hidden_size=3, num_layers=2, activation="tanh", sees_mask=True, dropout=0.0,
        mean_D=torch.full((D,), 0.4), generator=generator,
    )  # fmt: skip
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(torch.randn(weights.shape, generator=generator))
    return made.double()


def test_a_single_entry_has_the_log_probability_of_a_coin() -> None:
    """The logs: 0.8 for a one, 0.2 for a zero, where σ(l) = 0.8."""
    logit = math.log(4.0)
    found = bernoulli_log_probs(torch.tensor([[logit, logit]]), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[math.log(0.8), math.log(0.2)]]))


def test_the_order_agnostic_loss_is_an_unbiased_estimate_of_the_mean_over_all_orders() -> None:
    """Its mean over all 4! orders and all 4 splits, enumerated, is the mean of −log p(x) over all orders."""
    nade, estimates, exact = model(), [], []
    with torch.no_grad():
        for order in itertools.permutations(range(D)):
            exact.append(negative_log_likelihood(nade(X_BD, torch.tensor(order)), X_BD))
            for split in range(D):
                observed_BD = torch.zeros_like(X_BD)
                observed_BD[:, list(order[:split])] = 1.0
                estimates.append(order_agnostic_loss(nade.conditionals(X_BD, observed_BD), X_BD, observed_BD))
    assert len(estimates) == 24 * 4
    torch.testing.assert_close(torch.stack(estimates).mean(), torch.stack(exact).mean())
    assert torch.stack(estimates).std() > 0.1


def test_every_split_and_every_subset_is_drawn_as_often_as_any_other_of_its_size() -> None:
    """Sizes d − 1 uniform in 0 … 3, and each of the (4 over d − 1) subsets alike: 40,000 rows in batches of 10, five standard errors."""
    random = torch.Generator().manual_seed(0)
    observed_ND = torch.cat([draw_observed(10, D, random) for _ in range(4000)])
    assert set(observed_ND.unique().tolist()) == {0.0, 1.0}
    counts: dict[tuple[float, ...], int] = {}
    for row in observed_ND.tolist():
        counts[tuple(row)] = counts.get(tuple(row), 0) + 1
    assert len(counts) == 15  # all subsets but the whole
    for subset, count in counts.items():
        probability = 1 / D / math.comb(D, int(sum(subset)))
        error = math.sqrt(probability * (1 - probability) / len(observed_ND))
        assert count / len(observed_ND) == pytest.approx(probability, abs=5 * error)


@pytest.mark.parametrize("num_rows", [1, 3])
def test_each_row_of_a_batch_has_a_uniform_split(num_rows: int) -> None:
    """Also the last row, also a batch of one: spreading the splits over the batch favours no row."""
    random = torch.Generator().manual_seed(1)
    sizes_N = torch.stack([draw_observed(num_rows, D, random)[-1].sum() for _ in range(8000)]).long()
    frequencies = torch.bincount(sizes_N, minlength=D) / 8000
    assert frequencies.tolist() == pytest.approx([0.25] * D, abs=5 * math.sqrt(0.25 * 0.75 / 8000))


def test_a_mixture_is_the_mean_of_probabilities() -> None:
    """Also of some that are too small for a float: e⁻¹⁰⁰⁰ and e⁻¹⁰⁰¹."""
    log_probs_KB = torch.tensor([[math.log(0.5), -1000.0], [math.log(0.1), -1001.0]], dtype=torch.float64)
    expected_B = torch.tensor([math.log(0.3), -1000.0 + math.log((1 + math.exp(-1)) / 2)], dtype=torch.float64)
    torch.testing.assert_close(mixture_log_prob(log_probs_KB), expected_B)


LIKED = torch.tensor([[1.0, 1, 0, 1, 0], [1, 0, 0, 0, 1]])
OBSERVED = torch.tensor([[1.0, 0, 0, 0, 0], [1, 0, 0, 0, 0]])
LOGITS = torch.tensor([[9.0, 1, -1, 0.5, 0], [-9, 0, 1, 2, -0.5]])


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_losses_over_a_catalogue_are_sums_over_what_is_not_observed(exponent: float) -> None:
    """Both written out row by row; the first item is observed by both and counts nowhere."""
    bernoulli, softmax = [], []
    for row in range(2):
        hidden = (LIKED - OBSERVED)[row].bool()
        weight = hidden.sum().item() ** -exponent
        coins = torch.distributions.Bernoulli(logits=LOGITS[row, 1:])
        bernoulli.append(-weight * coins.log_prob(LIKED[row, 1:]).sum())
        log_probs = LOGITS[row, 1:] - LOGITS[row, 1:].exp().sum().log()
        softmax.append(-weight * log_probs[hidden[1:]].sum())
    found = conditionals_loss(LOGITS, LIKED, OBSERVED, user_weight_exponent=exponent)
    torch.testing.assert_close(found, torch.stack(bernoulli).mean())
    found = hidden_likes_loss(LOGITS, LIKED, OBSERVED, user_weight_exponent=exponent)
    torch.testing.assert_close(found, torch.stack(softmax).mean())


@pytest.mark.parametrize("loss", [conditionals_loss, hidden_likes_loss])
def test_a_user_with_nothing_hidden_does_no_harm(loss: type) -> None:
    """Finite, and so is the gradient; of the softmax such a user is no part."""
    logits_BD = LOGITS.clone().requires_grad_()
    value = loss(logits_BD, LIKED, LIKED, user_weight_exponent=0.5)
    value.backward()
    assert torch.isfinite(value)
    assert logits_BD.grad is not None
    assert torch.isfinite(logits_BD.grad).all()
    if loss is hidden_likes_loss:
        assert value.item() == 0.0
