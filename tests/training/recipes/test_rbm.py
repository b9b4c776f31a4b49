"""`rbm`: the two losses, what the hidden units make of a history, and that scores are the units' logits.

Shapes: B users, I items, H hidden units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from app.bundle import Histories
from tests.training.conftest import make_interactions
from training.errors import DataError
from training.loop import Run
from training.models.rbm import BernoulliRBM, PersistentChains
from training.recipes.rbm import Config, train
from training.recipes.rbm.steps import losses, mean_field

SMALL: dict[str, Any] = {"hidden_size": 16, "batch_size": 16, "num_epochs": 6, "validate_every": 2}
I = 20  # noqa: E741 - the legend's letter


def rbm() -> BernoulliRBM:
    return BernoulliRBM(
        num_visible=I,
        num_hidden=5,
        init_std=0.5,
        visible_bias_D=torch.linspace(-3.0, 0.0, I),
        generator=torch.Generator().manual_seed(0),
    )


def liked_BI() -> torch.Tensor:
    return (torch.rand(6, I, generator=torch.Generator().manual_seed(1)) < 0.3).float()


def told(**settings: Any) -> dict[str, torch.Tensor]:
    chains = PersistentChains(torch.zeros(4, I))
    return losses(rbm(), chains, liked_BI(), Config(**settings), torch.Generator().manual_seed(2))


def test_the_hybrid_adds_the_weighted_contrastive_loss() -> None:
    """The parts by name; weight 0 leaves the second out, and `contrastive` has it alone with weight 1."""
    assert set(told()) == {"prediction_loss", "contrastive_loss"}
    assert set(told(contrastive_weight=0.0)) == {"prediction_loss"}
    assert set(told(objective="contrastive")) == {"contrastive_loss"}
    single, double = (told(contrastive_weight=weight)["contrastive_loss"] for weight in (1.0, 2.0))
    torch.testing.assert_close(double, 2 * single)


def test_persistent_chains_move_and_chains_from_the_data_do_not_touch_them() -> None:
    for kind, moves in (("persistent", True), ("data", False)):
        chains = PersistentChains(torch.zeros(4, I))
        losses(rbm(), chains, liked_BI(), Config(objective="contrastive", chains=kind), torch.Generator().manual_seed(2))
        assert bool(chains.state_ND.any()) == moves


def test_mean_field_divides_by_the_length_and_is_the_model_s_own_conditional_without_scaling() -> None:
    """σ(c + g Σ W / n^p), user by user; an empty history gives σ(c)."""
    model, histories_BI = rbm(), liked_BI()
    histories_BI[0] = 0.0
    with torch.no_grad():
        plain_BH = mean_field(model, histories_BI, scale=1.0, exponent=0.0)
        torch.testing.assert_close(plain_BH, torch.sigmoid(model.hidden_logits(histories_BI)))
        scaled_BH = mean_field(model, histories_BI, scale=3.0, exponent=0.5)
        for history_I, found_H in zip(histories_BI, scaled_BH, strict=True):
            length = max(1.0, float(history_I.sum()))
            torch.testing.assert_close(
                found_H, torch.sigmoid(model.hidden_bias_H + 3.0 / length**0.5 * model.weights_HD @ history_I)
            )


@pytest.mark.parametrize("objective", ["hybrid", "contrastive"])
def test_scores_are_the_logits_of_the_visible_units(objective: str) -> None:
    """From the exported vectors: the mean over both members of b + Wᵀσ(c + g Σ W / n^p), for histories of any length.

    W / 2 and the mean of b are read from the item vectors, and an empty history shows σ(c), from which c comes.
    """
    model = train(make_interactions(), Config(**SMALL, objective=objective, num_members=2), Run(seed=0)).model
    weights_IH, bias_I = model.item_vectors_ID[:, :-1].astype(np.float64), model.item_vectors_ID[:, -1].astype(np.float64)
    probs_H = model.encoder.encode(Histories.of([[]]))[0, :-1].astype(np.float64)
    c_H = np.log(probs_H) - np.log1p(-probs_H)
    for items in ([3], [0, 7, 12, 30]):
        divisor = len(items) / 10.0 if objective == "hybrid" else 1.0
        hidden_H = 1 / (1 + np.exp(-(c_H + 2 * weights_IH[items].sum(0) / divisor)))
        np.testing.assert_allclose(model.scores(Histories.of([items]))[0], bias_I + weights_IH @ hidden_H, rtol=1e-4, atol=1e-4)


def test_the_contrastive_rule_alone_learns_two_tastes_too() -> None:
    """Even users like even items; of the ten best unseen items of somebody new, chance finds a half."""
    settings = SMALL | {
        "num_members": 1,
        "num_epochs": 60,
        "learning_rate": 0.03,
        "weight_decay": 0.01,
        "validation_fraction": 0.0,
    }
    for chains in ("data", "persistent"):
        model = train(make_interactions(), Config(**settings, objective="contrastive", chains=chains), Run(seed=0)).model
        scores_BI = model.scores(Histories.of([[0, 4, 8], [1, 5, 9]]))
        scores_BI[:, :10] = -np.inf
        top_BK = np.argsort(-scores_BI, axis=1)[:, :10]
        assert (top_BK[0] % 2 == 0).mean() > 0.7, chains
        assert (top_BK[1] % 2 == 1).mean() > 0.7, chains


def test_the_epoch_is_the_best_look_s() -> None:
    run = Run(seed=0)
    ranker = train(make_interactions(), Config(**SMALL), run)
    looks = dict(run.curves["choose/nDCG@10"])
    chosen = ranker.summary["num_epochs"] - 1
    assert looks[chosen] == max(looks.values())
    assert max(epoch for epoch, _ in run.curves["fit-3/prediction_loss"]) == chosen


def test_without_two_liked_events_of_anybody_it_says_so() -> None:
    data = make_interactions()
    first_N = np.unique(data.user_rows, return_index=True)[1]
    with pytest.raises(DataError, match="two liked events"):
        train(data.where(first_N), Config(**SMALL, validation_fraction=0.0), Run(seed=0))
