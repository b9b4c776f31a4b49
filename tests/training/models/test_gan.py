"""The players on preference vectors: what is masked is not there, scores are inner products, members are apart.

Shapes: B histories, I items, M members.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from app.bundle import Histories
from training.export.history import HistoryGraph
from training.models.gan import GeneratorHead, PreferenceDiscriminator, PreferenceGenerator

I, M = 12, 3  # noqa: E741 - the legend's letters


def generator(dropout: float = 0.5) -> PreferenceGenerator:
    random = torch.Generator().manual_seed(0)
    made = PreferenceGenerator(
        num_items=I,
        num_members=M,
        hidden_size=5,
        dropout=dropout,
        output_bias_I=torch.linspace(-3.0, -1.0, I),
        generator=random,
    )
    strengthen(made, random)
    return made


def discriminator() -> PreferenceDiscriminator:
    random = torch.Generator().manual_seed(1)
    made = PreferenceDiscriminator(num_items=I, num_members=M, hidden_size=5, generator=random)
    strengthen(made, random)
    return made


def strengthen(network: torch.nn.Module, random: torch.Generator) -> None:
    with torch.no_grad():
        for weights in network.parameters():  # larger than at the start, so that tanh is far from a straight line
            weights.add_(0.5 * torch.randn(weights.shape, generator=random))


def verdict(judge: PreferenceDiscriminator, history_MBI: Tensor, vectors_MBI: Tensor, mask_MBI: Tensor) -> Tensor:
    return judge.verdicts(judge(history_MBI), vectors_MBI, mask_MBI)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Histories, vectors and masks, [M, B, I] each."""
    random = torch.Generator().manual_seed(2)
    history_MBI = (torch.rand(M, 4, I, generator=random) < 0.3).float()
    vectors_MBI = torch.rand(M, 4, I, generator=random)
    mask_MBI = (torch.rand(M, 4, I, generator=random) < 0.5).float()
    return history_MBI, vectors_MBI, mask_MBI


def test_masked_entries_do_not_influence_the_verdict() -> None:
    """Other values where the mask is 0 give the same logits to the last bit; other values where it is 1 do not."""
    judge, (history_MBI, vectors_MBI, mask_MBI) = discriminator(), batch()
    verdict_MB = verdict(judge, history_MBI, vectors_MBI, mask_MBI)
    elsewhere_MBI = torch.where(mask_MBI > 0, vectors_MBI, 7.0)
    assert torch.equal(verdict(judge, history_MBI, elsewhere_MBI, mask_MBI), verdict_MB)
    assert not torch.allclose(verdict(judge, history_MBI, vectors_MBI + mask_MBI * vectors_MBI.flip(2), mask_MBI), verdict_MB)


def test_masked_entries_get_no_gradient() -> None:
    """And those that are shown do: the generator learns from what the discriminator saw alone."""
    judge, (history_MBI, vectors_MBI, mask_MBI) = discriminator(), batch()
    vectors_MBI.requires_grad_(True)
    verdict(judge, history_MBI, vectors_MBI, mask_MBI).sum().backward()
    gradient_MBI = vectors_MBI.grad
    assert gradient_MBI is not None
    assert (gradient_MBI[mask_MBI == 0] == 0).all()
    assert (gradient_MBI[mask_MBI == 1] != 0).float().mean() > 0.9


def test_a_verdict_is_the_formula_written_out() -> None:
    """Σ v w(x) / Σ v + offset(x), for one member and one history."""
    judge, (history_MBI, vectors_MBI, mask_MBI) = discriminator(), batch()
    with torch.no_grad():
        x_I = history_MBI[1, 2] / history_MBI[1, 2].sum()
        hidden_H = torch.tanh(x_I @ judge.input_MIH[1] + judge.input_bias_MH[1])
        weights_I = hidden_H @ judge.output_MHI[1] + judge.output_bias_MI[1]
        shown_I = vectors_MBI[1, 2] * mask_MBI[1, 2]
        expected = (shown_I * weights_I).sum() / shown_I.sum().clamp(min=1.0)
        expected = expected + hidden_H @ judge.history_MH1[1, :, 0] + judge.bias_M1[1, 0]
        torch.testing.assert_close(verdict(judge, history_MBI, vectors_MBI, mask_MBI)[1, 2], expected)


def test_an_empty_history_and_an_empty_mask_have_a_finite_verdict() -> None:
    verdict_MB = verdict(discriminator(), torch.zeros(M, 2, I), torch.zeros(M, 2, I), torch.zeros(M, 2, I))
    assert torch.isfinite(verdict_MB).all()


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_members_are_apart(network: str) -> None:
    """Another history of member 0 changes member 0's answers and nobody else's."""
    history_MBI, vectors_MBI, mask_MBI = batch()
    other_MBI = history_MBI.clone()
    other_MBI[0] = 1.0 - other_MBI[0]
    with torch.no_grad():
        if network == "generator":
            player = generator()
            first, second = player(history_MBI), player(other_MBI)
        else:
            judge = discriminator()
            first, second = (verdict(judge, each_MBI, vectors_MBI, mask_MBI) for each_MBI in (history_MBI, other_MBI))
    assert torch.equal(first[1:], second[1:])
    assert not torch.allclose(first[0], second[0])


def test_dropout_is_the_given_generators() -> None:
    """Without one nothing is switched off; the same seed switches off the same."""
    player, (history_MBI, _, _) = generator(), batch()
    with torch.no_grad():
        assert torch.equal(player(history_MBI), player(history_MBI))
        first, second = (player(history_MBI, torch.Generator().manual_seed(3)) for _ in range(2))
        assert torch.equal(first, second)
        assert not torch.allclose(first, player(history_MBI))


def test_a_query_s_inner_products_are_the_mean_of_the_members_logits() -> None:
    """The exported graph with item vectors, for an empty history and longer ones."""
    player = generator()
    histories = Histories.of([[], [3], [0, 1, 2, 5, 11]])
    graph = HistoryGraph(player.table(), GeneratorHead(player))
    items_BL, ratings_BL = (torch.from_numpy(array) for array in histories.padded(I))
    with torch.no_grad():
        expected_BI = player(torch.from_numpy(histories.mask(I)).float()).mean(dim=0)
        torch.testing.assert_close(graph(items_BL, ratings_BL) @ player.item_vectors().T, expected_BI)


def test_at_first_an_empty_history_gets_the_given_biases() -> None:
    fresh = PreferenceGenerator(
        num_items=I,
        num_members=2,
        hidden_size=4,
        dropout=0.0,
        output_bias_I=torch.linspace(-3.0, -1.0, I),
        generator=torch.Generator().manual_seed(0),
    )
    np.testing.assert_allclose(fresh(torch.zeros(1, I))[:, 0].detach(), np.tile(np.linspace(-3, -1, I), (2, 1)), rtol=1e-6)
