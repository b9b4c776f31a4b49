"""The RBM for ratings against enumeration: free energy, conditionals, and that a missing rating is no rating at all.

Shapes: B users, K rating levels, I items, H hidden units, S all states of the hidden units, V all ratings of the rated items.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from training.models.rbm_cf import SoftmaxRBM

K, I, H = 3, 4, 3  # noqa: E741 - the legend's letters
FORMS = pytest.mark.parametrize(("conditional", "share_levels"), [(False, False), (True, False), (True, True)])


def rbm(conditional: bool, share_levels: bool) -> SoftmaxRBM:
    generator = torch.Generator().manual_seed(0)
    model = SoftmaxRBM(
        num_levels=K,
        num_hidden=H,
        conditional=conditional,
        share_levels=share_levels,
        init_std=1.0,
        init_rated_std=0.0,
        init_slope=0.5,
        level_probs_IK=torch.softmax(torch.randn(I, K, generator=generator), 1),
        rated_counts_I=torch.arange(I).float(),
        generator=generator,
    ).double()
    with torch.no_grad():
        model.hidden_bias_H.copy_(torch.randn(H, generator=generator))
        if model.rated_IH is not None:
            model.rated_IH.copy_(torch.randn(I, H, generator=generator))
    return model


def ratings(*levels: int | None) -> Tensor:
    """One user's v [1, K, I] from the level of each item, None where there is none."""
    visible_1KI = torch.zeros(1, K, I, dtype=torch.float64)
    for item, level in enumerate(levels):
        if level is not None:
            visible_1KI[0, level, item] = 1.0
    return visible_1KI


def hidden_states() -> Tensor:
    return ((torch.arange(2**H)[:, None] >> torch.arange(H)) & 1).double()


def energies(model: SoftmaxRBM, visible_KI: Tensor, also_rated: tuple[int, ...] = ()) -> Tensor:
    """−Σ_i Σ_k v_ik (b_ik + W_kiᵀh) − Σ_i r_i (a_i + D_iᵀh) − cᵀh for all h [S], item by item."""
    energies_S = torch.zeros(2**H, dtype=torch.float64)
    for place, h in enumerate(hidden_states()):
        total = float(model.hidden_bias_H @ h)
        for item in range(I):
            for level in range(K):
                if visible_KI[level, item]:
                    used = range(level + 1) if model.share_levels else [level]
                    weights_H = sum(model.steps_KIH[step, item] for step in used)
                    total += float(model.visible_bias_IK[item, level] + weights_H @ h)
            if visible_KI[:, item].any() or item in also_rated:
                total += float(model.rated_bias_I[item])
                if model.rated_IH is not None:
                    total += float(model.rated_IH[item] @ h)
        energies_S[place] = -total
    return energies_S


@FORMS
@pytest.mark.parametrize("levels", [(0, 2, None, 1), (None, None, None, None), (2, 2, 2, 2)])
def test_the_free_energy_is_the_sum_over_all_hidden_states(
    conditional: bool, share_levels: bool, levels: tuple[int | None, ...]
) -> None:
    model, visible_1KI = rbm(conditional, share_levels), ratings(*levels)
    with torch.no_grad():
        expected = -torch.logsumexp(-energies(model, visible_1KI[0]), 0)
        torch.testing.assert_close(model.free_energy(visible_1KI)[0], expected)


@FORMS
def test_conditionals_are_those_of_the_joint_distribution(conditional: bool, share_levels: bool) -> None:
    """Items 0 and 2 are rated: p(h | v) for each of their nine ratings, and p(v | h), from all energies; levels sum to one."""
    model = rbm(conditional, share_levels)
    all_visible = [ratings(first, None, second, None)[0] for first, second in itertools.product(range(K), range(K))]
    with torch.no_grad():
        joint_VS = torch.stack([torch.exp(-energies(model, visible_KI)) for visible_KI in all_visible])
        given_v_VH = joint_VS @ hidden_states() / joint_VS.sum(1, keepdim=True)
        torch.testing.assert_close(torch.sigmoid(model.hidden_logits(torch.stack(all_visible))), given_v_VH)
        probs_SKI = torch.softmax(model.visible_logits(hidden_states()), 1)
        torch.testing.assert_close(probs_SKI.sum(1), torch.ones(2**H, I, dtype=torch.float64))
        given_h_SKI = torch.einsum("vs,vki->ski", joint_VS / joint_VS.sum(0), torch.stack(all_visible))
        torch.testing.assert_close(probs_SKI[:, :, [0, 2]], given_h_SKI[:, :, [0, 2]])


@FORMS
def test_missing_ratings_change_nothing(conditional: bool, share_levels: bool) -> None:
    """Whatever the parameters of items without a rating are, hidden units, free energy and the rated items' draws stay."""
    model, visible_1KI = rbm(conditional, share_levels), ratings(0, None, 2, None)
    with torch.no_grad():
        before = (
            model.hidden_logits(visible_1KI),
            model.free_energy(visible_1KI),
            model.gibbs_step(visible_1KI, torch.Generator().manual_seed(1)),
        )
        for item in (1, 3):
            model.steps_KIH[:, item] += 5.0
            model.visible_bias_IK[item] -= torch.arange(K) * 3.0
            model.rated_bias_I[item] += 1.0
            if model.rated_IH is not None:
                model.rated_IH[item] += 2.0
        after = (
            model.hidden_logits(visible_1KI),
            model.free_energy(visible_1KI),
            model.gibbs_step(visible_1KI, torch.Generator().manual_seed(1)),
        )
    for first, second in zip(before, after, strict=True):
        torch.testing.assert_close(first, second)


def test_a_step_draws_one_level_for_each_rated_item_and_none_for_others() -> None:
    model = rbm(conditional=True, share_levels=True)
    drawn_BKI = model.gibbs_step(ratings(0, None, 2, None).repeat(50, 1, 1), torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn_BKI.sum(1), torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64).repeat(50, 1))


def test_gibbs_sampling_comes_to_the_model_s_distribution() -> None:
    """Frequencies of the nine ratings of two rated items after 30 steps, 20,000 chains, against exp(−F) / Z by enumeration."""
    model, levels = rbm(conditional=True, share_levels=False), list(itertools.product(range(K), range(K)))
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        energies_V = model.free_energy(torch.cat([ratings(first, None, second, None) for first, second in levels]))
        probs_V = torch.softmax(-energies_V, 0)
        state_BKI = ratings(0, None, 0, None).repeat(20_000, 1, 1)
        for _ in range(30):
            state_BKI = model.gibbs_step(state_BKI, random)
    found_V = torch.stack([(state_BKI[:, first, 0] * state_BKI[:, second, 2]).mean() for first, second in levels])
    torch.testing.assert_close(found_V, probs_V, atol=0.015, rtol=0.0)


def test_knowing_that_an_item_was_rated_tells_the_hidden_units() -> None:
    """The conditional variant: r_i without v_i adds D_i to the logits, and the free energy is that of the energy with this r."""
    model, visible_1KI = rbm(conditional=True, share_levels=False), ratings(0, None, 2, None)
    also_1I = torch.tensor([[0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    assert model.rated_IH is not None
    with torch.no_grad():
        difference_1H = model.hidden_logits(visible_1KI, also_1I) - model.hidden_logits(visible_1KI)
        torch.testing.assert_close(difference_1H[0], model.rated_IH[1])
        expected = -torch.logsumexp(-energies(model, visible_1KI[0], also_rated=(1,)), 0)
        torch.testing.assert_close(model.free_energy(visible_1KI, also_1I)[0], expected)
        plain = rbm(conditional=False, share_levels=False)
        torch.testing.assert_close(plain.hidden_logits(visible_1KI, also_1I), plain.hidden_logits(visible_1KI))


def test_the_gradient_of_every_parameter_is_there() -> None:
    model = rbm(conditional=True, share_levels=True)
    model.free_energy(ratings(0, 1, 2, 1)).sum().backward()
    for name, weights in model.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.abs().sum() > 0, name


@FORMS
def test_whether_an_item_is_rated_follows_from_the_energy_too(conditional: bool, share_levels: bool) -> None:
    """p(r_3 = 1 | h) from the energies without a rating of item 3 and with each of the three."""
    model = rbm(conditional, share_levels)
    with torch.no_grad():
        weights_SX = torch.stack(
            [torch.exp(-energies(model, ratings(0, None, None, level)[0])) for level in (None, *range(K))], dim=1
        )
        expected_S = weights_SX[:, 1:].sum(1) / weights_SX.sum(1)
        found_SI = torch.sigmoid(model.rated_logits(hidden_states(), model.visible_logits(hidden_states())))
        torch.testing.assert_close(found_SI[:, 3], expected_S)


@pytest.mark.parametrize("share_levels", [False, True])
def test_first_weights_rise_with_the_level_and_leave_the_frequencies_as_they_are(share_levels: bool) -> None:
    """With undecided hidden units the levels have the given probabilities; W_k − W_k−1 is the slope of its hidden unit."""
    probs_IK = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    model = SoftmaxRBM(
        num_levels=K,
        num_hidden=H,
        conditional=True,
        share_levels=share_levels,
        init_std=0.0,
        init_rated_std=0.0,
        init_slope=1.0,
        level_probs_IK=probs_IK,
        rated_counts_I=torch.tensor([3.0, 8.0]),
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        half_1H = torch.full((1, H), 0.5)
        logits_1KI = model.visible_logits(half_1H)
        torch.testing.assert_close(torch.softmax(logits_1KI, 1)[0].T, probs_IK)
        torch.testing.assert_close(model.rated_logits(half_1H, logits_1KI)[0].exp(), torch.tensor([3.5, 8.5]))
        slopes_KIH = model.weights().diff(dim=0)
        torch.testing.assert_close(slopes_KIH, slopes_KIH[:1, :1].expand_as(slopes_KIH))
        means_I = (probs_IK * torch.arange(3.0)).sum(1)
        torch.testing.assert_close(model.weights()[0], -means_I[:, None] * slopes_KIH[0, 0])
