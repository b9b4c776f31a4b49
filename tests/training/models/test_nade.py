"""NADE held to enumeration: of all vectors, of all orders, and to the computation that its recursion saves.

Shapes: N = 2^D vectors, D dimensions, H hidden units, K components of an ensemble, M members, I items, B rows.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from training.models import nade
from training.models.nade import Activation, Nade, NadeCommittee
from training.objectives.autoregressive import mixture_log_prob

D, H = 8, 5
FORMS = pytest.mark.parametrize(
    ("sees_mask", "num_layers", "activation"),
    [(False, 1, "sigmoid"), (False, 1, "tanh"), (True, 1, "tanh"), (True, 2, "relu"), (False, 2, "sigmoid")],
)


def made(
    sees_mask: bool = False, num_layers: int = 1, activation: Activation = "tanh", *, dims: int = D, seed: int = 0
) -> Nade:
    """Weights far from their first values, so that every part of the model matters; double precision."""
    generator = torch.Generator().manual_seed(seed)
    model = Nade(
        num_dimensions=dims,
        hidden_size=H,
        num_layers=num_layers,
        activation=activation,
        sees_mask=sees_mask,
        dropout=0.5,
        mean_D=torch.linspace(0.1, 0.8, dims),
        generator=generator,
    )
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn(weights.shape, generator=generator))
    return model.double()


def everything(dims: int = D) -> Tensor:
    """All 2^D vectors."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=dims)), dtype=torch.float64)


def an_order(seed: int, dims: int = D) -> Tensor:
    return torch.randperm(dims, generator=torch.Generator().manual_seed(seed))


@FORMS
@pytest.mark.parametrize("order", [None, 1, 2])
def test_probabilities_sum_to_one_in_every_form_and_order(
    sees_mask: bool, num_layers: int, activation: Activation, order: int | None
) -> None:
    """By enumeration, in the columns' own order and in two others."""
    model = made(sees_mask, num_layers, activation)
    order_D = torch.arange(D) if order is None else an_order(order)
    probs_N = model.log_prob(everything(), order_D).exp()
    assert probs_N.sum().item() == pytest.approx(1.0, abs=1e-7)
    assert probs_N.max() > 2 * probs_N.min(), "a distribution that is worth checking"


def test_single_precision_is_enough() -> None:
    """The same to 1e-5, as models are trained."""
    model = made().float()
    assert model.log_prob(everything().float(), an_order(1)).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_an_ensemble_of_members_and_orders_is_a_distribution() -> None:
    """The mean of probabilities of four components, two orders of each of two models."""
    components = [(made(True, seed=seed), an_order(order)) for seed in (0, 1) for order in (2, 3)]
    log_probs_KN = torch.stack([model.log_prob(everything(), order_D) for model, order_D in components])
    probs_N = mixture_log_prob(log_probs_KN).exp()
    torch.testing.assert_close(probs_N, log_probs_KN.exp().mean(dim=0))
    assert probs_N.sum().item() == pytest.approx(1.0, abs=1e-7)


@FORMS
def test_the_recursion_gives_what_the_conditionals_give_one_by_one(
    sees_mask: bool, num_layers: int, activation: Activation
) -> None:
    """Each p(x_{o_d} | x_{o_<d}) from the observed part alone, written out from the paper's equations: O(D²) in place of O(D)."""
    model, x_ND, order_D = made(sees_mask, num_layers, activation), everything()[::7], an_order(4)
    g = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}[activation]
    with torch.no_grad():
        logits_ND = model(x_ND, order_D)
        for place, dimension in enumerate(order_D.tolist()):
            earlier = order_D[:place].tolist()
            a_NH = model.input_bias_H.expand(len(x_ND), -1)
            for i in earlier:
                a_NH = a_NH + x_ND[:, i, None] * model.input_DH[i]
                if model.mask_DH is not None:
                    a_NH = a_NH + model.mask_DH[i]
            h_NH = g(a_NH)
            if model.second_HH is not None:
                h_NH = g(h_NH @ model.second_HH + model.second_bias_H)
            expected_N = h_NH @ model.output_DH[dimension] + model.output_bias_D[dimension]
            torch.testing.assert_close(logits_ND[:, dimension], expected_N)
            observed_ND = torch.zeros_like(x_ND)
            observed_ND[:, earlier] = 1.0
            torch.testing.assert_close(model.conditionals(x_ND, observed_ND)[:, dimension], expected_N)


def test_conditionals_are_ratios_of_enumerated_joint_probabilities() -> None:
    """p(x_{o_d} = 1 | x_{o_<d}) = Σ p(x with the same o_<d and x_{o_d} = 1) / Σ p(x with the same o_<d), summed over all vectors."""
    model, x_ND, order_D = made(), everything(), an_order(5)
    probs_N = model.log_prob(x_ND, order_D).exp()
    with torch.no_grad():
        said_ND = torch.sigmoid(model(x_ND, order_D))
    for row in (0, 77, 255):
        for place, dimension in enumerate(order_D.tolist()):
            earlier = order_D[:place]
            agrees_N = (x_ND[:, earlier] == x_ND[row, earlier]).all(dim=1)
            ratio = probs_N[agrees_N & (x_ND[:, dimension] == 1)].sum() / probs_N[agrees_N].sum()
            assert said_ND[row, dimension].item() == pytest.approx(ratio.item(), abs=1e-7)


@pytest.mark.parametrize("sees_mask", [False, True])
def test_samples_come_as_often_as_they_are_probable(sees_mask: bool) -> None:
    """Four dimensions, 40,000 draws: every vector's frequency within five standard errors of its exact probability."""
    model, order_D, num_draws = made(sees_mask, dims=4), an_order(6, 4), 40_000
    rows_BD = model.sample(num_draws, order_D, torch.Generator().manual_seed(7))
    assert set(rows_BD.unique().tolist()) == {0.0, 1.0}
    numbers_B = (rows_BD @ torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=rows_BD.dtype)).long()
    frequencies_N = torch.bincount(numbers_B, minlength=16) / num_draws
    probs_N = model.log_prob(everything(4), order_D).exp()
    errors_N = (probs_N * (1 - probs_N) / num_draws).sqrt()
    assert ((frequencies_N - probs_N).abs() < 5 * errors_N).all()
    torch.testing.assert_close(rows_BD, model.sample(num_draws, order_D, torch.Generator().manual_seed(7)))


def test_unobserved_entries_are_not_looked_at() -> None:
    """Whatever stands there, the conditionals are the same; and none depends on its own entry."""
    model, observed_BD = made(True), torch.tensor([[1.0, 0, 1, 0, 0, 1, 0, 0]], dtype=torch.float64)
    x_BD = torch.tensor([[1.0, 0, 0, 0, 0, 1, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(model.conditionals(x_BD, observed_BD), model.conditionals(x_BD + 1.0 - observed_BD, observed_BD))


def test_a_mask_tells_an_observed_zero_from_one_that_is_not_observed() -> None:
    model, nothing_BD = made(True), torch.zeros(1, D, dtype=torch.float64)
    one_seen_BD = nothing_BD.clone()
    one_seen_BD[0, 3] = 1.0
    assert not torch.allclose(model.conditionals(nothing_BD, nothing_BD), model.conditionals(nothing_BD, one_seen_BD))


def test_chunks_of_rows_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for three rows at a time."""
    model, order_D = made(), an_order(8)
    at_once_N = model.log_prob(everything(), order_D)
    monkeypatch.setattr(nade, "_CELLS", 3 * D * H)
    torch.testing.assert_close(model.log_prob(everything(), order_D), at_once_N)


def test_a_fresh_model_starts_at_the_means() -> None:
    """Without anything learned each conditional is close to its dimension's mean."""
    mean_D = torch.linspace(0.1, 0.8, D)
    model = Nade(
        num_dimensions=D, hidden_size=50, num_layers=1, activation="tanh", sees_mask=False, dropout=0.0, mean_D=mean_D,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    with torch.no_grad():
        probs_ND = torch.sigmoid(model(everything().float(), torch.arange(D)))
    assert (probs_ND - mean_D).abs().max() < 0.1


def committee(length_exponent: float = 1.0, dropout: float = 0.5) -> NadeCommittee:
    generator = torch.Generator().manual_seed(0)
    model = NadeCommittee(
        num_items=12, num_members=3, hidden_size=H, length_exponent=length_exponent, dropout=dropout,
        mean_I=torch.linspace(0.1, 0.8, 12), generator=generator,
    )  # fmt: skip
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.5 * torch.randn(weights.shape, generator=generator))
    return model


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_a_committee_says_what_its_members_say_one_by_one(exponent: float) -> None:
    """v_mi · tanh(c_m + W_m m / n^p) + b_mi, written out; an empty history has n = 1, so as not to divide by nothing."""
    model = committee(exponent)
    observed_BI = (torch.rand(6, 12, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    observed_BI[0] = 0.0
    with torch.no_grad():
        logits_MBI = model(observed_BI)
        for member in range(3):
            sums_BH = torch.stack([model.input_MIH[member][row_I.bool()].sum(dim=0) for row_I in observed_BI])
            lengths_B1 = observed_BI.sum(dim=1, keepdim=True).clamp(min=1.0)
            hidden_BH = torch.tanh(model.input_bias_MH[member] + sums_BH / lengths_B1**exponent)
            expected_BI = hidden_BH @ model.output_MHI[member] + model.output_bias_MI[member]
            torch.testing.assert_close(logits_MBI[member], expected_BI)
        torch.testing.assert_close(model(observed_BI.expand(3, -1, -1)), logits_MBI)


def test_with_length_exponent_zero_it_is_an_order_agnostic_nade_of_which_only_ones_are_observed() -> None:
    """The same weights in `Nade`, with W and U added up: x ⊙ m = m where all that is observed is 1."""
    ranker = committee(0.0)
    model = made(True, dims=12).float()
    observed_BI = (torch.rand(6, 12, generator=torch.Generator().manual_seed(2)) < 0.4).float()
    with torch.no_grad():
        assert model.mask_DH is not None
        ranker.input_MIH[1] = model.input_DH + model.mask_DH
        ranker.input_bias_MH[1] = model.input_bias_H
        ranker.output_MHI[1] = model.output_DH.T
        ranker.output_bias_MI[1] = model.output_bias_D
        torch.testing.assert_close(ranker(observed_BI)[1], model.conditionals(torch.ones(6, 12), observed_BI))


def test_dropout_switches_units_off_in_training_alone_and_keeps_the_mean() -> None:
    """Over many draws the logits' mean is what is said without dropout: the output is linear in the hidden units."""
    model, observed_BI = committee(), torch.eye(12)[:1].expand(20_000, -1)
    with torch.no_grad():
        plain_I = model(observed_BI[:1])[0, 0]
        drawn_BI = model(observed_BI, torch.Generator().manual_seed(3))[0]
    assert drawn_BI.std(dim=0).min() > 0.01
    torch.testing.assert_close(drawn_BI.mean(dim=0), plain_I, atol=0.05, rtol=0.0)
