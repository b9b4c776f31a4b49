"""Two stages: the graph computes what the module does, the first stage is a least-squares fit, and candidates are counted honestly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from app.bundle import LinearEncoder, VectorModel
from tests.conftest import make_rescorer
from training.export import export_rescorer, fit_first_stage
from training.export.rescorer import count_candidates


class Levels(nn.Module):
    """Scores log P(rating ≥ 4) and expected ratings from one softmax over five levels an item."""

    vectors_IKD: Tensor

    def __init__(self, num_items: int, dim: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("vectors_IKD", torch.randn(num_items, 5, dim, generator=generator, dtype=torch.float64))

    def forward(self, queries_BD: Tensor, items_C: Tensor) -> tuple[Tensor, Tensor]:
        log_probs_BCK = torch.log_softmax(torch.einsum("bd,ckd->bck", queries_BD.double(), self.vectors_IKD[items_C]), dim=-1)
        levels_K = torch.arange(1.0, 6.0, dtype=torch.float64)
        return torch.logsumexp(log_probs_BCK[..., 3:], dim=-1), (log_probs_BCK.exp() * levels_K).sum(-1)


@pytest.mark.parametrize(("num_items", "dim"), [(40, 6), (1, 2)])
def test_the_graph_equals_the_module_for_any_queries_and_items(num_items: int, dim: int) -> None:
    """Batches and candidates of any number, repeated ones too, in double precision."""
    module = Levels(num_items, dim)
    rescorer = export_rescorer(module, dim=dim, num_items=num_items)
    rng = np.random.default_rng(1)
    for num_queries, num_candidates in ((1, 1), (3, num_items), (17, 2)):
        queries_BD = rng.normal(size=(num_queries, dim)).astype(np.float32)
        items_C = rng.integers(0, num_items, size=num_candidates)
        scores_BC, ratings_BC = (t.numpy() for t in module(torch.from_numpy(queries_BD), torch.from_numpy(items_C)))
        np.testing.assert_allclose(rescorer.scores(queries_BD, items_C), scores_BC, rtol=1e-12)
        np.testing.assert_allclose(rescorer.ratings(queries_BD, items_C), ratings_BC, rtol=1e-12)


def test_a_rescorer_in_single_precision_is_a_mistake() -> None:
    """Its order could depend on what is asked together."""

    class Single(Levels):
        def forward(self, queries_BD: Tensor, items_C: Tensor) -> tuple[Tensor, Tensor]:
            scores_BC, ratings_BC = super().forward(queries_BD, items_C)
            return scores_BC.float(), ratings_BC.float()

    with pytest.raises(AssertionError, match="double precision"):
        export_rescorer(Single(10, 3), dim=3, num_items=10)


def test_a_query_may_hold_a_share_of_a_mix() -> None:
    """With a share below 0 or above 1 the mix has negative probabilities, and its logarithm is nothing that two programs agree on."""

    class Mixed(Levels):
        def forward(self, queries_BD: Tensor, items_C: Tensor) -> tuple[Tensor, Tensor]:
            scores_BC, ratings_BC = super().forward(queries_BD, items_C)
            share_B1 = queries_BD[:, :1].double()
            return ((1.0 - share_B1) * scores_BC.exp() + share_B1 * 0.5).log(), ratings_BC

    export_rescorer(Mixed(200, 6), dim=6, num_items=200)


def test_the_first_stage_finds_inner_products_again() -> None:
    """Where the scores are inner products, regression gives their vectors back; a strong penalty shortens them."""
    rng = np.random.default_rng(0)
    queries_UD, vectors_ID = rng.normal(size=(200, 6)).astype(np.float32), rng.normal(size=(30, 6)).astype(np.float32)
    scores_UI = queries_UD.astype(np.float64) @ vectors_ID.T
    np.testing.assert_allclose(fit_first_stage(queries_UD, scores_UI, ridge=1e-9), vectors_ID, atol=1e-5)
    assert np.linalg.norm(fit_first_stage(queries_UD, scores_UI, ridge=1e4)) < 0.1 * np.linalg.norm(vectors_ID)


def test_candidates_are_as_many_as_the_overlap_needs() -> None:
    """A second stage that nearly agrees needs the fewest; one that disagrees needs more, with the overlap that they really have."""
    rng = np.random.default_rng(0)
    vectors_ID = rng.normal(size=(3000, 8)).astype(np.float32)
    queries_BD = rng.normal(size=(50, 8)).astype(np.float32)
    encoder = LinearEncoder(table_ID=vectors_ID)
    counted = {}
    for bend in (0.01, 20.0):
        model = VectorModel(vectors_ID, encoder, rescorer=make_rescorer(vectors_ID, bend=bend))
        counted[bend] = count_candidates(model, queries_BD)
        candidates, overlap = counted[bend]
        own_BK = np.argsort(-model.rescorer.scores(queries_BD, np.arange(3000)), axis=1)[:, :100]
        first_BC = np.argsort(-model.first_scores(queries_BD), axis=1)[:, :candidates]
        shares = [np.isin(own, first).mean() for own, first in zip(own_BK, first_BC, strict=True)]
        assert overlap == pytest.approx(np.mean(shares))
        assert overlap >= 0.99
    assert counted[0.01][0] == 200
    assert counted[20.0][0] > 200
