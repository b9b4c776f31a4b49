"""`nade`: what is hidden, which loss learns from it, and that the exported scores are the ensemble's own logits.

Shapes: B users, I items, M members.
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
from training.objectives.autoregressive import conditionals_loss, hidden_likes_loss
from training.recipes import nade
from training.recipes.nade import Config, conditional_loss, learn, observe, train

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "batch_size": 16,
    "num_epochs": 6,
    "validate_every": 2,
    "num_members": 3,
}


def test_each_member_has_another_part_of_the_likes_hidden() -> None:
    """A quarter of them with the chance 0.25, and nothing is observed that was not liked."""
    liked_BI = (torch.rand(200, 50, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    observed_MBI = observe(liked_BI, 3, Config(hidden_fraction=0.25), torch.Generator().manual_seed(1))
    assert ((observed_MBI == 0) | (observed_MBI == 1)).all()
    assert (observed_MBI <= liked_BI).all()
    for observed_BI in observed_MBI:
        assert (observed_BI.sum() / liked_BI.sum()).item() == pytest.approx(0.75, abs=0.03)
    assert not torch.equal(observed_MBI[0], observed_MBI[1])


def test_a_uniform_split_hides_anything_from_nothing_to_all() -> None:
    """Of 200 likes each: the share that is hidden is uniform, with deciles at tenths."""
    observed_MBI = observe(torch.ones(2000, 200), 2, Config(hidden_fraction="uniform"), torch.Generator().manual_seed(1))
    hidden_N = 1.0 - observed_MBI.mean(dim=-1).flatten()
    deciles = torch.linspace(0.1, 0.9, 9)
    torch.testing.assert_close(hidden_N.quantile(deciles), deciles, atol=0.03, rtol=0.0)


@pytest.mark.parametrize(("conditionals", "loss"), [("bernoulli", conditionals_loss), ("softmax", hidden_likes_loss)])
def test_members_stand_beside_each_other_like_more_users(conditionals: Any, loss: Any) -> None:
    """The mean of the members' losses, each of the kind that was asked for."""
    random = torch.Generator().manual_seed(0)
    logits_MBI, liked_BI = torch.randn(3, 5, 12, generator=random), (torch.rand(5, 12, generator=random) < 0.4).float()
    config = Config(conditionals=conditionals, user_weight_exponent=0.5)
    observed_MBI = observe(liked_BI, 3, config, random)
    each = [loss(logits_MBI[m], liked_BI, observed_MBI[m], user_weight_exponent=0.5) for m in range(3)]
    torch.testing.assert_close(conditional_loss(logits_MBI, liked_BI, observed_MBI, config), torch.stack(each).mean())


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_scores_are_the_mean_logits_of_the_members_given_all_likes(exponent: float) -> None:
    """For histories of any length, low ratings hidden; they rise with p(x_i = 1 | observed likes) of a single member."""
    data, config = make_interactions(), Config(**SMALL, validation_fraction=0.0, length_exponent=exponent)
    ranker = train(data, config, Run(seed=0))
    committee = learn(data, config, Run(seed=0), name="fit", num_members=3, num_epochs=6)
    histories = Histories.of([[], [3], [0, 7, 12, 30], [5, 6]], [[], [5.0], [4.0, 5.0, np.nan, 4.0], [5.0, 1.0]])
    observed_BI = torch.zeros(4, data.num_items)
    for row, items in enumerate(([], [3], [0, 7, 12, 30], [5])):
        observed_BI[row, items] = 1.0
    with torch.no_grad():
        expected_BI = committee(observed_BI).mean(dim=0).numpy()
    np.testing.assert_allclose(ranker.model.scores(histories), expected_BI, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "settings", [{"conditionals": "softmax"}, {"conditionals": "bernoulli"}, {"hidden_fraction": "uniform"}]
)
def test_both_kinds_of_conditionals_learn_two_tastes(settings: dict[str, Any]) -> None:
    """Even users like even items; of the ten best unseen items of somebody new, chance finds a half."""
    config = Config(**(SMALL | {"num_epochs": 30, "validation_fraction": 0.0} | settings))
    model = train(make_interactions(), config, Run(seed=0)).model
    scores_BI = model.scores(Histories.of([[0, 4, 8], [1, 5, 9]]))
    scores_BI[:, :10] = -np.inf
    top_BK = np.argsort(-scores_BI, axis=1)[:, :10]
    assert (top_BK[0] % 2 == 0).mean() > 0.7
    assert (top_BK[1] % 2 == 1).mean() > 0.7


def test_the_epoch_is_the_best_look_s() -> None:
    run = Run(seed=0)
    ranker = train(make_interactions(), Config(**SMALL), run)
    looks = dict(run.curves["choose/nDCG@10"])
    chosen = ranker.summary["num_epochs"] - 1
    assert looks[chosen] == max(looks.values())
    assert ranker.summary["validation"]["best"] == {"after": chosen + 1, "value": looks[chosen]}
    assert max(epoch for epoch, _ in run.curves["fit/loss"]) == chosen


def test_out_of_time_the_ensemble_that_chose_is_the_result() -> None:
    """A second learning that would be cut short is left out, and the summary says so."""
    ranker = train(make_interactions(), Config(**SMALL), run := Run(seed=0, time_budget=0.0))
    assert ranker.summary["refit"] is False
    assert not any(name.startswith("fit/") for name in run.curves)
    assert ranker.model.dim == 2 * 16 + 1


def test_without_two_liked_events_of_anybody_it_says_so() -> None:
    data = make_interactions()
    first_N = np.unique(data.user_rows, return_index=True)[1]
    with pytest.raises(DataError, match="two liked events"):
        nade.train(data.where(first_N), Config(**SMALL, validation_fraction=0.0), Run(seed=0))
