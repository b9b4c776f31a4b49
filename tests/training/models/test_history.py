"""History encoders: a committee is its members, an item does not vouch for itself, and scores are inner products.

Shapes: B histories, I items, C channels, X = C · I, M members, H hidden units, R rank of the linear path, L the longest history.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from app.bundle import Histories
from training.models.history import HistoryCommittee, HistoryQuery, LeaveOneOutDiscriminator

I = 12  # noqa: E741 - the legend's letter
BOTH = pytest.mark.parametrize("channels", [1, 2])


def committee(channels: int, members: int = 3, *, dropout: float = 0.5) -> HistoryCommittee:
    generator = torch.Generator().manual_seed(0)
    made = HistoryCommittee(
        num_items=I,
        num_channels=channels,
        num_members=members,
        hidden_size=5,
        dropout=dropout,
        log_popularity_I=torch.linspace(-3.0, -1.0, I),
        generator=generator,
    )
    with torch.no_grad():
        for weights in made.parameters():  # larger than at the start, so that tanh is far from a straight line
            weights.add_(0.5 * torch.randn(weights.shape, generator=generator))
    return made


def discriminator(channels: int) -> LeaveOneOutDiscriminator:
    generator = torch.Generator().manual_seed(1)
    made = LeaveOneOutDiscriminator(num_items=I, num_channels=channels, hidden_size=5, dropout=0.5, generator=generator)
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(0.5 * torch.randn(weights.shape, generator=generator))
    return made


def channels_BX(channels: int) -> Tensor:
    """An empty history, one with a single liked item, and longer ones; an item is in one channel at most."""
    kinds_BI = np.random.default_rng(0).integers(0, 3, size=(6, I))
    kinds_BI[0], kinds_BI[1] = 0, 0
    kinds_BI[1, 4] = 1
    parts = [kinds_BI == kind for kind in range(1, channels + 1)]
    return torch.from_numpy(np.concatenate(parts, axis=1)).float()


@BOTH
def test_a_committee_scores_as_its_members_do_one_by_one(channels: int) -> None:
    """v_mj · tanh(b_m + x W_m) + a_mj with x the history divided by its length, written out for each member."""
    model, history_BX = committee(channels), channels_BX(channels)
    with torch.no_grad():
        logits_MBI = model(history_BX)
        x_BX = history_BX / history_BX.sum(1, keepdim=True).clamp(min=1.0)
        for member in range(3):
            hidden_BH = torch.tanh(model.input_bias_MH[member] + x_BX @ model.input_MXH[member])
            expected_BI = hidden_BH @ model.output_MHI[member] + model.output_bias_MI[member]
            torch.testing.assert_close(logits_MBI[member], expected_BI)


def test_item_biases_start_at_log_popularity() -> None:
    """A fresh committee without a history ranks by popularity, nearly."""
    fresh = HistoryCommittee(
        num_items=I,
        num_channels=1,
        num_members=2,
        hidden_size=5,
        dropout=0.0,
        log_popularity_I=torch.linspace(-3.0, -1.0, I),
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(fresh(torch.zeros(1, I)).mean(0)[0], torch.linspace(-3.0, -1.0, I))


@pytest.mark.parametrize("network", ["committee", "discriminator"])
def test_dropout_is_the_given_generators_and_keeps_the_mean(network: str) -> None:
    """Without a generator nothing is switched off; with one, the same seed switches off the same, and on average nothing changes."""
    model = committee(1) if network == "committee" else discriminator(1)
    history_BX = channels_BX(1)[2:]
    with torch.no_grad():
        whole = model(history_BX)
        torch.testing.assert_close(model(history_BX), whole)
        first, second = (model(history_BX, torch.Generator().manual_seed(7)) for _ in range(2))
        torch.testing.assert_close(first, second)
        assert not torch.allclose(first, whole)
        random = torch.Generator().manual_seed(0)
        mean = torch.stack([model(history_BX, random) for _ in range(2000)]).mean(0)
        torch.testing.assert_close(mean, whole, atol=0.15, rtol=0.0)


@BOTH
def test_the_discriminator_scores_an_item_of_the_history_as_if_it_were_not_there(channels: int) -> None:
    """Its answer for a liked item is the one that it gives for the history without that item; all others see the whole history."""
    model, history_BX = discriminator(channels), channels_BX(channels)
    with torch.no_grad():
        scores_BI = model(history_BX)
        for user in range(len(history_BX)):
            for item in range(I):
                without_1X = history_BX[user : user + 1].clone()
                liked = bool(without_1X[0, item])
                without_1X[0, item] = 0.0
                hidden_1H = torch.tanh(without_1X @ model.input_XH / without_1X.sum().clamp(min=1.0) + model.input_bias_H)
                expected = (hidden_1H @ model.output_HI[:, item] + model.output_bias_I[item])[0]
                torch.testing.assert_close(scores_BI[user, item], expected, msg=f"user {user}, item {item}, liked {liked}")


def test_gradients_reach_the_discriminators_every_weight() -> None:
    """The scores that are put in place of others carry gradients as those do."""
    model = discriminator(2)
    model(channels_BX(2)).square().sum().backward()
    for name, weights in model.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.abs().sum() > 0, name


@BOTH
@pytest.mark.parametrize("rank", [0, 4])
def test_a_query_s_inner_products_are_the_committee_s_mean_plus_the_linear_path(channels: int, rank: int) -> None:
    """For empty, rated, unrated and low-rated histories; without a second channel low ratings do not exist for it."""
    model = committee(channels)
    generator = torch.Generator().manual_seed(2)
    table_IR, vectors_IR = torch.randn(I, rank, generator=generator), torch.randn(I, rank, generator=generator)
    query = HistoryQuery(
        model,
        linear_table_IR=table_IR,
        linear_vectors_IR=vectors_IR,
        positive_threshold=4.0,
        level_ratings_K=torch.tensor([1.0, 3.0, 5.0]),
        level_weights_K=torch.tensor([0.1, 0.3, 1.1]),
    )
    histories = Histories.of(
        [[], [3], [3], [3], [0, 1, 2, 5, 11], [7, 8]],
        [[], [5.0], [3.9], [float("nan")], [1.0, 4.0, float("nan"), 2.0, 5.0], [1.0, 2.0]],
    )
    liked_BI = torch.from_numpy(histories.positives(4.0).mask(I)).float()
    low_BI = torch.from_numpy(histories.mask(I)).float() - liked_BI
    history_BX = torch.cat([liked_BI, low_BI], dim=1) if channels == 2 else liked_BI
    weighted_BI = torch.zeros_like(liked_BI)
    kept = histories if channels == 2 else histories.positives(4.0)
    weights_N = np.where(np.isnan(kept.ratings), 1.0, np.interp(kept.ratings, [1.0, 3.0, 5.0], [0.1, 0.3, 1.1]))
    weighted_BI[kept.users, kept.items] = torch.from_numpy(weights_N).float()
    items_BL, ratings_BL = (torch.from_numpy(array) for array in histories.padded(I))
    with torch.no_grad():
        expected_BI = model(history_BX).mean(0) + weighted_BI @ table_IR @ vectors_IR.T
        torch.testing.assert_close(query(items_BL, ratings_BL) @ query.item_vectors_ID.T, expected_BI)
    assert query.item_vectors_ID.shape == (I, 3 * 5 + rank + 1)


def test_padding_changes_nothing() -> None:
    """A history among longer ones has the query that it has alone."""
    query = HistoryQuery(
        committee(2),
        linear_table_IR=torch.ones(I, 2),
        linear_vectors_IR=torch.ones(I, 2),
        positive_threshold=4.0,
        level_ratings_K=torch.tensor([1.0, 5.0]),
        level_weights_K=torch.tensor([0.1, 1.1]),
    )
    items_BL, ratings_BL = torch.tensor([[3, 5]]), torch.tensor([[5.0, 1.0]])
    longer = torch.cat([items_BL, torch.full((1, 4), I)], dim=1), torch.cat([ratings_BL, torch.full((1, 4), torch.nan)], dim=1)
    torch.testing.assert_close(query(*longer), query(items_BL, ratings_BL))
