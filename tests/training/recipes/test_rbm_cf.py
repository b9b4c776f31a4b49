"""`rbm-cf`: levels of rating, the losses of a batch, and that queries, scores and ratings are the RBM's own.

Shapes: B users, K levels, I items, H hidden units.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from app.bundle import Histories
from tests.training.conftest import make_interactions
from training.config import parse_config
from training.data.levels import Levels
from training.errors import ConfigError, DataError
from training.loop import Run
from training.models.rbm_cf import SoftmaxRBM
from training.ranker import TrainedRanker
from training.recipes.rbm_cf import Config, recipe, train
from training.recipes.rbm_cf.scoring import Rescorer
from training.recipes.rbm_cf.steps import contrastive_divergence, losses, mean_field

SMALL: dict[str, Any] = {"hidden_size": 8, "batch_size": 16, "num_epochs": 6, "validate_every": 2}
K, I = 3, 12  # noqa: E741 - the legend's letters


def rbm(**settings: Any) -> SoftmaxRBM:
    generator = torch.Generator().manual_seed(0)
    model = SoftmaxRBM(
        **{
            "num_levels": K,
            "num_hidden": 5,
            "conditional": True,
            "share_levels": True,
            "init_std": 0.5,
            "init_rated_std": 0.5,
            "init_slope": 0.2,
            "level_probs_IK": torch.softmax(torch.randn(I, K, generator=generator), 1),
            "rated_counts_I": torch.arange(1.0, I + 1),
            "generator": generator,
            **settings,
        }
    )
    with torch.no_grad():
        model.hidden_bias_H.copy_(torch.randn(5, generator=generator))
    return model


def rated_BKI() -> Tensor:
    """Six users; the first has no rating."""
    kinds_BI = np.random.default_rng(0).integers(0, K + 1, size=(6, I))
    kinds_BI[0] = 0
    return torch.stack([torch.from_numpy(kinds_BI == level).float() for level in range(1, K + 1)], dim=1)


def learned(run: Run | None = None, **settings: Any) -> TrainedRanker:
    return train(make_interactions(), Config(**(SMALL | settings)), run or Run(seed=0))


def test_every_distinct_rating_is_a_level() -> None:
    """Borders lie half-way; what was never seen goes to the nearest, an event without a rating to the highest."""
    levels = Levels.of(np.array([1.0, 4.0, 5.0, 4.0], dtype=np.float32), most=20)
    assert levels.values_K.tolist() == [1.0, 4.0, 5.0]
    assert levels.boundaries.tolist() == [2.5, 4.5]
    assert levels.places(np.array([0.0, 2.4, 3.0, 4.5, 9.0, np.nan], dtype=np.float32)).tolist() == [0, 0, 1, 2, 2, 2]
    assert [levels.first_at_least(threshold) for threshold in (0.5, 2.0, 4.0, 4.5, 7.0)] == [0, 1, 1, 2, 2]
    histories = Histories.of([[2, 0], [], [1]], [[1.0, 5.0], [], [np.nan]])
    found_BKI = levels.one_hot(histories, 3, torch.device("cpu"))
    assert [tuple(cell) for cell in found_BKI.nonzero().tolist()] == [(0, 0, 2), (0, 2, 0), (2, 2, 1)]


def test_many_distinct_ratings_become_bins_of_equally_many() -> None:
    """A hundred ratings in four levels, each with the mean of its 25; and one rating alone is one level."""
    levels = Levels.of(np.arange(100, dtype=np.float32), most=4)
    assert levels.values_K.tolist() == [12.0, 37.0, 62.0, 87.0]
    alone = Levels.of(np.full(3, 4.0, dtype=np.float32), most=4)
    assert (alone.num_levels, alone.values_K.tolist(), len(alone.boundaries)) == (1, [4.0], 0)


def test_the_parts_of_the_loss_have_their_weights() -> None:
    def told(**settings: Any) -> dict[str, Tensor]:
        return losses(rbm(), rated_BKI(), Config(**settings), torch.Generator().manual_seed(1))

    plain = told(exposure_loss_weight=0.0, contrastive_weight=0.0)
    assert set(plain) == {"rating_loss"}
    assert set(told(objective="contrastive")) == {"contrastive_loss"}
    single, double = (told(exposure_loss_weight=w, contrastive_weight=w) for w in (1.0, 2.0))
    assert set(single) == {"rating_loss", "exposure_loss", "contrastive_loss"}
    torch.testing.assert_close(single["rating_loss"], plain["rating_loss"])
    for part in ("exposure_loss", "contrastive_loss"):
        torch.testing.assert_close(double[part], 2 * single[part])


def test_the_rating_loss_is_the_likelihood_of_hidden_ratings_alone() -> None:
    """Nearly everything is hidden, so the prediction is that of an empty history, at σ(c): the mean −log p over all ratings."""
    model = rbm()
    settings = Config(hidden_fraction=1 - 1e-9, exposure_loss_weight=0.0, contrastive_weight=0.0, dropout=0.0)
    found = losses(model, rated_BKI(), settings, torch.Generator().manual_seed(1))["rating_loss"]
    log_probs_1KI = torch.log_softmax(model.visible_logits(torch.sigmoid(model.hidden_bias_H)[None]), 1)
    torch.testing.assert_close(found, -(log_probs_1KI * rated_BKI()).sum() / rated_BKI().sum())


def test_contrastive_divergence_points_along_the_exact_gradient() -> None:
    """Two rated items: −∇ log p(v | r) by enumerating their nine ratings, against the mean of 3,000 chains of twenty steps."""
    model = rbm()
    data_1KI, all_VKI = torch.zeros(1, K, I), torch.zeros(K * K, K, I)
    data_1KI[0, 2, 3] = data_1KI[0, 0, 7] = 1.0
    for number in range(K * K):
        all_VKI[number, number // K, 3] = all_VKI[number, number % K, 7] = 1.0
    parameters = [model.steps_KIH, model.visible_bias_IK, model.hidden_bias_H]

    def gradient(loss: Tensor) -> Tensor:
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)])

    exact = gradient(model.free_energy(data_1KI).mean() + torch.logsumexp(-model.free_energy(all_VKI), 0))
    random = torch.Generator().manual_seed(0)
    found = gradient(contrastive_divergence(model, data_1KI.repeat(3000, 1, 1), 20, random)) * 2.0  # a rating's share of two
    torch.testing.assert_close(found, exact, atol=0.03, rtol=0.0)


def test_mean_field_is_the_conditional_distribution_without_scaling() -> None:
    model = rbm()
    with torch.no_grad():
        plain_BH = mean_field(model, rated_BKI(), scale=1.0, exponent=0.0)
        torch.testing.assert_close(plain_BH, torch.sigmoid(model.hidden_logits(rated_BKI())))
        scaled_BH = mean_field(model, rated_BKI(), scale=4.0, exponent=0.5)
        for rated_KI, found_H in zip(rated_BKI(), scaled_BH, strict=True):
            sums_H = (rated_KI[..., None] * model.table()).sum((0, 1))
            scale = 4.0 / max(1.0, float(rated_KI.sum())) ** 0.5
            torch.testing.assert_close(found_H, torch.sigmoid(model.hidden_bias_H + scale * sums_H))


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("rank_by", ["liked", "expected"])
def test_scores_and_ratings_are_the_rbms(conditional: bool, rank_by: str) -> None:
    """Expected rating, P(level ≥ 1) and the log-odds of being rated, from two members' mean logits, for candidates in any order."""
    models = [rbm(conditional=conditional), rbm(conditional=conditional, generator=torch.Generator().manual_seed(9))]
    values_K = torch.tensor([1.0, 4.0, 5.0])
    rescorer = Rescorer(
        models,
        values_K=values_K,
        first_liked=1,
        rank_by=rank_by,
        rating_weight=0.7,
        exposure_weight=0.4,  # type: ignore[arg-type]
    )
    hidden_MBH = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(1))
    items_C = torch.tensor([7, 0, 11])
    with torch.no_grad():
        scores_BC, ratings_BC = rescorer(torch.cat([*hidden_MBH, torch.ones(4, 1)], dim=1), items_C)
        logits_MBKI = torch.stack(
            [model.visible_logits(hidden_BH) for model, hidden_BH in zip(models, hidden_MBH, strict=True)]
        )
        logits_BKI = logits_MBKI.mean(0)
        probs_BKI = torch.softmax(logits_BKI, 1)
        expected_BI = (probs_BKI * values_K[:, None]).sum(1)
        liked_BI = torch.log(probs_BKI[:, 1:].sum(1))
        without_MBI = [  # a + D h, what is not log Σ exp of the levels
            model.rated_logits(hidden_BH, logits) - torch.logsumexp(logits, 1)
            for model, hidden_BH, logits in zip(models, hidden_MBH, logits_MBKI, strict=True)
        ]
        rated_BI = torch.stack(without_MBI).mean(0) + torch.logsumexp(logits_BKI, 1)
        wanted_BI = 0.4 * rated_BI + 0.7 * (liked_BI if rank_by == "liked" else expected_BI)
    assert scores_BC.dtype == ratings_BC.dtype == torch.float64
    torch.testing.assert_close(ratings_BC.float(), expected_BI[:, items_C])
    torch.testing.assert_close(scores_BC.float(), wanted_BI[:, items_C])


@pytest.mark.parametrize("objective", ["hybrid", "contrastive"])
def test_the_exported_encoder_is_mean_field_inference(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty, single and longer histories, unknown ratings among them, through the graph and through the models."""
    kept: list[SoftmaxRBM] = []
    fit = recipe.learn
    monkeypatch.setattr(recipe, "learn", lambda *args, **settings: kept.append(fit(*args, **settings)) or kept[-1])
    ranker = learned(objective=objective)
    levels = Levels.of(np.arange(1.0, 6.0), most=20)
    histories = Histories.of([[], [3], [5, 0, 39, 12]], [[], [2.0], [5.0, 1.0, np.nan, 3.4]])
    scale, exponent = (Config().history_scale, Config().history_exponent) if objective == "hybrid" else (1.0, 0.0)
    rated_BKI = levels.one_hot(histories, 40, torch.device("cpu"))
    with torch.no_grad():
        expected_BW = torch.cat([mean_field(model, rated_BKI, scale=scale, exponent=exponent) for model in kept[1:]], dim=1)
    found_BD = ranker.model.encoder.encode(histories)
    np.testing.assert_allclose(found_BD[:, :-1], expected_BW.numpy(), rtol=1e-4, atol=1e-5)
    assert found_BD[:, -1].tolist() == [1.0, 1.0, 1.0]


def test_the_epoch_is_the_one_with_the_lowest_error() -> None:
    run = Run(seed=0)
    ranker = learned(run, num_epochs=20)
    looks = dict(run.curves["choose/RMSE"])
    chosen = ranker.summary["num_epochs"] - 1
    assert looks[chosen] == min(looks.values())
    assert max(epoch for epoch, _ in run.curves["fit-3/rating_loss"]) == chosen


def test_all_ratings_alike_are_one_level_and_one_prediction() -> None:
    data = make_interactions()
    assert data.ratings is not None
    ranker = train(replace(data, ratings=np.full_like(data.ratings, 4.0)), Config(**SMALL), Run(seed=0))
    np.testing.assert_allclose(ranker.model.ratings(Histories.of([[], [3]])), 4.0)


def test_what_cannot_be_learned_from_is_refused() -> None:
    data = make_interactions()
    with pytest.raises(DataError, match="rbm-cf learns from ratings"):
        train(replace(data, ratings=None), Config(**SMALL), Run(seed=0))
    first_N = np.unique(data.user_rows, return_index=True)[1]
    with pytest.raises(DataError, match="none of 60 users has two"):
        train(data.where(first_N), Config(**SMALL, validation_fraction=0.0), Run(seed=0))
    with pytest.raises(ConfigError, match="nothing is left to rank by"):
        parse_config(Config, assignments=["rating_weight=0", "exposure_weight=0"])
