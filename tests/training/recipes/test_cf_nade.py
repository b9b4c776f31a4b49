"""The recipe of CF-NADE: levels, the loss of a batch, Polyak's average, forms, the rescorer.

Shapes: B histories, C columns, K levels, M members, U users, I items.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from app.bundle import Histories
from tests.training.conftest import make_interactions
from training.config import parse_config
from training.errors import ConfigError, DataError
from training.loop import Run
from training.models.cf_nade import CFNADE, Events
from training.objectives.ordinal import expected_ratings, ordinal_cost, softmax_cost
from training.ranker import TrainedRanker
from training.recipes.cf_nade import Config, train
from training.recipes.cf_nade.assemble import Weights, assemble
from training.recipes.cf_nade.exposure import channels, learn_exposure
from training.recipes.cf_nade.learn import hidden_loss, learn, polyak_step
from training.recipes.cf_nade.levels import Scale, Table
from training.recipes.cf_nade.validation import expected

SMALL: dict[str, Any] = {
    "num_members": 2,
    "hidden_size": 8,
    "batch_size": 16,
    "num_epochs": 6,
    "exposure_hidden_size": 16,
    "exposure_batch_size": 16,
    "exposure_epochs": 6,
}
WITHOUT_VALIDATION: dict[str, Any] = SMALL | {"validation_fraction": 0, "item_weight": 0.5, "rating_weight": 1.0}


@cache
def trained(form: str) -> TrainedRanker:
    return train(make_interactions(), Config(form=form, **WITHOUT_VALIDATION), Run(seed=1))


def scale_of(ratings: list[float], threshold: float = 4.0, max_levels: int = 20) -> Scale:
    return Scale.of(np.array(ratings, dtype=np.float32), max_levels=max_levels, positive_threshold=threshold)


def test_every_distinct_rating_is_a_level() -> None:
    """Half stars with a gap; what lies between counts as the nearest, and what carries no rating as the highest."""
    scale = scale_of([0.5, 3.0, 3.5, 5.0, 3.0, 0.5], threshold=3.5)
    assert scale.steps.values_K.tolist() == [0.5, 3.0, 3.5, 5.0]
    assert scale.positive_level == 2
    assert scale.levels(np.array([0.5, 3.0, 3.5, 5.0])).tolist() == [1, 2, 3, 4]
    assert scale.levels(np.array([-1.0, 1.7, 1.8, 4.3, 9.0, np.nan])).tolist() == [1, 1, 2, 4, 4, 4]


def test_ratings_of_other_scales_are_levels_too() -> None:
    """A thumb up or down, and tenths that are not exact in binary; a threshold that nothing reaches makes the highest level liked."""
    assert scale_of([-1.0, 1.0], threshold=1.0).positive_level == 1
    tenths = scale_of([0.1, 0.7, 0.8, 0.9], threshold=0.7)
    assert tenths.positive_level == 1
    assert tenths.levels(np.array([0.1, 0.7, 0.8, 0.9], dtype=np.float32)).tolist() == [1, 2, 3, 4]
    assert scale_of([1.0, 2.0], threshold=9.0).positive_level == 1


def test_very_many_distinct_ratings_are_binned() -> None:
    """A thousand of them in at most ten bins of about as many ratings, whose means are the values; no bin is empty."""
    ratings_N = np.random.default_rng(0).normal(50.0, 10.0, size=1000)
    scale = scale_of(ratings_N.tolist(), threshold=55.0, max_levels=10)
    counts_K = np.bincount(scale.levels(ratings_N) - 1)
    assert scale.num_levels == len(counts_K) == 10
    assert counts_K.min() > 50
    assert (np.diff(scale.steps.values_K) > 0).all()
    assert scale.steps.values_K[scale.positive_level - 1] < 55.0 <= scale.steps.values_K[scale.positive_level]


def test_a_table_holds_levels_by_user_or_by_item() -> None:
    """Cells of both are each other's transpose; frequencies and means by hand for one column."""
    data, scale = make_interactions(), scale_of([1.0, 2.0, 3.0, 4.0, 5.0])
    by_user, by_item = (Table.of(data, scale, by_item=by_item) for by_item in (False, True))
    cpu = torch.device("cpu")
    users_UI, items_IU = by_user.dense(np.arange(60), cpu), by_item.dense(np.arange(40), cpu)
    assert torch.equal(users_UI, items_IU.T)
    assert torch.equal(users_UI[data.user_rows, data.item_rows], torch.from_numpy(data.ratings))
    overall = (np.bincount(data.ratings.astype(int) - 1, minlength=5) + 0.5) / (len(data) + 2.5)
    mine = np.bincount(data.ratings[data.item_rows == 3].astype(int) - 1, minlength=5)
    frequencies_KC = by_user.log_frequencies(5.0).exp().numpy()
    np.testing.assert_allclose(frequencies_KC[:, 3], (mine + 5 * overall) / (mine.sum() + 5), rtol=1e-5)
    np.testing.assert_allclose(frequencies_KC.sum(axis=0), 1.0, rtol=1e-5)
    total = (mine * np.arange(1, 6)).sum() + 5 * data.ratings.mean()
    assert by_user.mean_levels(5.0)[3].item() == pytest.approx(total / (mine.sum() + 5), rel=1e-5)


def small_model(**changes: Any) -> CFNADE:
    generator = torch.Generator().manual_seed(0)
    made = CFNADE(
        **{
            "num_columns": 6,
            "num_levels": 3,
            "num_members": 2,
            "hidden_sizes": [4],
            "rank": 0,
            "history_exponent": 0.5,
            "offset_shrinkage": 2.0,
            "dropout": 0.0,
            "log_frequencies_KC": torch.full((3, 6), 1 / 3).log(),
            "mean_levels_C": torch.full((6,), 2.0),
            "generator": generator,
            **changes,
        }
    )
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(0.5 * torch.randn(weights.shape, generator=generator))
    return made


def test_the_loss_of_a_batch_is_that_of_a_loop_over_members_histories_and_ratings() -> None:
    """The same random numbers, drawn in the same order; every hidden rating by itself."""
    model = small_model()
    levels_BC = torch.randint(0, 4, (5, 6), generator=torch.Generator().manual_seed(2)).float()
    rows_N, columns_N = levels_BC.nonzero(as_tuple=True)
    events = Events(rows_N, columns_N, levels_BC[rows_N, columns_N].long(), 5)
    config = Config(ordinal_weight=0.7, least_visible=0.2)
    with torch.no_grad():
        found = hidden_loss(model, events, config, torch.Generator().manual_seed(3)).item()
        random = torch.Generator().manual_seed(3)
        chances_MB = 0.2 + 0.8 * torch.rand(2, 5, generator=random)
        drawn_MBC = torch.ones(2, 5, 6)
        drawn_MBC[:, rows_N, columns_N] = torch.rand(2, len(rows_N), generator=random)
        total, num_hidden = 0.0, 0
        for member in range(2):
            for row in range(5):
                visible_C = drawn_MBC[member, row] < chances_MB[member, row]
                scores_KC = model((levels_BC[row] * visible_C).expand(2, 1, -1))[member, 0]
                hidden = [c for c in range(6) if levels_BC[row, c] and not visible_C[c]]
                rated = int((levels_BC[row] > 0).sum())
                for column in hidden:
                    scores_1K, level_1 = scores_KC[None, :, column], levels_BC[row, column].long()[None] - 1
                    cost = 0.7 * ordinal_cost(scores_1K, level_1) + 0.3 * softmax_cost(scores_1K, level_1)
                    total += (rated + 1) / len(hidden) * cost.item()
                num_hidden += len(hidden)
    assert num_hidden > 10
    assert found == pytest.approx(total / (2 * int((levels_BC > 0).sum())), rel=1e-5)


def test_polyaks_average_follows_the_model() -> None:
    """By hand for one weight: β is (1 + t) / (10 + t) at first, the decay later."""
    model, average = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    wanted = average.weight.item()
    for step in range(1, 40):
        with torch.no_grad():
            model.weight.fill_(float(step))
        polyak_step(average, model, decay=0.6, num_steps=step)
        beta = min(0.6, (1 + step) / (10 + step))
        wanted = beta * wanted + (1 - beta) * step
        assert average.weight.item() == pytest.approx(wanted, rel=1e-5)


def test_learning_gives_the_average_where_one_is_wanted() -> None:
    """The same steps with and without; a decay close to one leaves the average nearer the start than the model."""
    data = make_interactions()
    table = Table.of(data, scale_of([1.0, 2.0, 3.0, 4.0, 5.0]), by_item=False)
    kept = [
        learn(table, Config(**SMALL, polyak=polyak), Run(seed=1), name="user", by_item=False, num_members=1, num_epochs=3)
        for polyak in (0.0, 0.5, 0.99)
    ]
    first, last = kept[0].output_MCKG, kept[2].output_MCKG
    assert 0 < last.abs().sum() < kept[1].output_MCKG.abs().sum() < first.abs().sum()


def test_it_learns_and_the_cost_falls() -> None:
    """Both forms, of one layer and two, factored or not: the RMSE on the ratings themselves beats that of the mean."""
    data, scale = make_interactions(), scale_of([1.0, 2.0, 3.0, 4.0, 5.0])
    cells = {False: (data.user_rows, data.item_rows), True: (data.item_rows, data.user_rows)}
    for by_item, changes in [(False, {}), (True, {}), (False, {"num_layers": 2}), (True, {"rank": 4})]:
        table, run = Table.of(data, scale, by_item=by_item), Run(seed=1)
        config = Config(**{**SMALL, "num_epochs": 20, "learning_rate": 2e-2, **changes})
        model = learn(table, config, run, name="form", by_item=by_item, num_members=2, num_epochs=20)
        curve = [value for _, value in run.curves["form/cost"]]
        assert curve[-1] < 0.8 * curve[0]
        errors_N = expected(model, table, scale, *cells[by_item]) - data.ratings
        assert np.sqrt(np.mean(errors_N**2)) < 0.9 * data.ratings.std()


def test_the_rescorer_mixes_what_the_forms_themselves_expect() -> None:
    """Known users by both, half and half; new ones by the user-based form alone. Exact: the rank is that of the item-based scores."""
    data, scale = make_interactions(), scale_of([1.0, 2.0, 3.0, 4.0, 5.0])
    config = Config(**WITHOUT_VALIDATION)
    models = {
        form: learn(
            Table.of(data, scale, by_item=form == "item"),
            config,
            Run(seed=1),
            name=form,
            by_item=form == "item",
            num_members=2,
            num_epochs=6,
        )
        for form in config.forms
    }
    exposure = learn_exposure(data, config, Run(seed=1), name="exposure")
    parts = assemble(data, scale, models, exposure, Weights(item=0.5, rating=2.0), table_rank=64)
    values_K = torch.from_numpy(scale.steps.values_K)
    with torch.no_grad():
        by_user_UIK, by_item_UIK = (
            models[form](
                Table.of(data, scale, by_item=form == "item").dense(np.arange(rows), torch.device("cpu")).expand(2, -1, -1)
            )
            .mean(dim=0)
            .double()
            .movedim(1, 2)
            for form, rows in (("user", 60), ("item", 40))
        )
        by_item_UIK = by_item_UIK.transpose(0, 1)
        queries_UD = torch.from_numpy(parts.queries_UD)
        scores_UI, ratings_UI = parts.rescorer(queries_UD, torch.arange(40))
        both_UIK = (by_user_UIK.softmax(-1) + by_item_UIK.softmax(-1)) / 2
        torch.testing.assert_close(ratings_UI, both_UIK @ values_K, rtol=1e-4, atol=1e-4)
        log_liked_UI = both_UIK[..., 3:].sum(-1).log()
        logits_UI = queries_UD[:, : parts.layout.exposure + 1].double() @ parts.rescorer.exposure_vectors_IE.double().T
        torch.testing.assert_close(scores_UI, logits_UI + 2.0 * log_liked_UI, rtol=1e-4, atol=1e-4)
        queries_UD[:, parts.layout.share :] = 0.0
        torch.testing.assert_close(
            parts.rescorer(queries_UD, torch.arange(40))[1], expected_ratings(by_user_UIK, values_K), rtol=1e-4, atol=1e-4
        )


def test_an_encoder_of_likes_learns_that_what_was_rated_low_is_not_liked_later() -> None:
    """Of the items that a user rated low, more come late in its ranking than in that of an encoder of everything that is rated."""
    data = make_interactions()
    low = data.where(~data.is_positive).histories()
    places = {}
    for target in ("rated", "liked"):
        config = Config(**{**WITHOUT_VALIDATION, "exposure_target": target, "exposure_epochs": 30})
        exposure = learn_exposure(data, config, Run(seed=1), name="exposure")
        with torch.no_grad():
            logits_UI = exposure(channels(data.histories(), data, torch.device("cpu"))).mean(dim=0)
        places_UI = logits_UI.argsort(dim=1, descending=True).argsort(dim=1)
        places[target] = places_UI[low.users, low.items].float().mean().item()
    assert places["liked"] > places["rated"] + 3


def test_likes_that_nothing_is_are_refused_where_they_are_to_be_predicted() -> None:
    data = replace(make_interactions(), positive_threshold=9.0)
    with pytest.raises(DataError, match="none of 720 ratings reaches the positive threshold 9"):
        learn_exposure(data, Config(**SMALL), Run(), name="exposure")
    learn_exposure(data, Config(**SMALL, exposure_target="rated"), Run(), name="exposure")


def test_an_items_scores_do_not_depend_on_its_company() -> None:
    """To the last bit, for the service asks for some candidates and the evaluator for all."""
    model = trained("both").model
    queries_UD = model.user_vectors_UD[:7]
    all_UI = model.rescorer.scores(queries_UD, np.arange(40))
    order_UI = np.argsort(-all_UI, axis=1)
    some = np.array([31, 2, 17])
    np.testing.assert_allclose(model.rescorer.scores(queries_UD[:1], some), all_UI[:1, some], rtol=1e-12)
    assert (np.argsort(-model.rescorer.scores(queries_UD, np.arange(40)), axis=1) == order_UI).all()


@pytest.mark.parametrize("form", ["user", "item", "both"])
def test_each_form_answers_known_users_and_new_ones(form: str) -> None:
    """New users with and without a history. To the item-based form alone all of them are one average user."""
    model, data = trained(form).model, make_interactions()
    known_UI = model.ratings(data.histories(), np.arange(60))
    new_BI = model.ratings(Histories.of([[], [0, 2], [1, 3]], [[], [5.0, 5.0], [5.0, 1.0]]))
    for ratings in (known_UI, new_BI):
        assert 1.0 <= ratings.min() <= ratings.max() <= 5.0
    assert np.allclose(new_BI[0], new_BI[1]) == (form == "item")
    assert known_UI.std(axis=0).max() > 0.05
    strangers_UI = model.ratings(data.histories())
    assert np.allclose(known_UI, strangers_UI, atol=1e-4) == (form == "user"), "known users get the item-based form too"


def test_users_and_items_that_nobody_knows_get_the_prior() -> None:
    """Two users and two items without a rating more: finite, near the mean, and the same as for an empty history."""
    data = make_interactions()
    users = type(data.users)("user", [*data.users.ids, "new1", "new2"])
    items = type(data.items)("item", [*data.items.ids, "unseen1", "unseen2"])
    model = train(replace(data, users=users, items=items), Config(**WITHOUT_VALIDATION), Run(seed=1)).model
    histories = replace(data, users=users, items=items).histories()
    ratings_UI = model.ratings(histories, np.arange(62))
    assert np.isfinite(model.scores(histories, np.arange(62))).all()
    np.testing.assert_allclose(ratings_UI[60:], model.ratings(Histories.of([[], []])), rtol=1e-5)
    assert np.abs(ratings_UI[:, 40:].mean() - data.ratings.mean()) < 0.3
    liked_UI, low_UI = (model.ratings(Histories.of([[0, 2, 4, 6]], [[rating] * 4])) for rating in (5.0, 1.0))
    assert (liked_UI[0, 40:] > low_UI[0, 40:]).all(), "who rates high is expected to rate unknown items high"


def test_data_without_ratings_or_without_differences_are_refused() -> None:
    data = make_interactions()
    with pytest.raises(DataError, match="cf-nade learns from ratings, and these events carry none"):
        train(replace(data, ratings=None), Config(**SMALL), Run())
    with pytest.raises(DataError, match="all 720 ratings are 4"):
        train(replace(data, ratings=np.full(720, 4.0, dtype=np.float32)), Config(**SMALL), Run())


def test_events_without_a_rating_are_left_out() -> None:
    """A click among ratings is not taken for five stars in training."""
    data = make_interactions()
    ratings = data.ratings.copy()
    ratings[::7] = np.nan
    with_clicks = train(replace(data, ratings=ratings), Config(**WITHOUT_VALIDATION), Run(seed=1)).model
    without = train(data.where(np.isfinite(ratings)), Config(**WITHOUT_VALIDATION), Run(seed=1)).model
    np.testing.assert_array_equal(with_clicks.item_vectors_ID, without.item_vectors_ID)


def test_validation_chooses_epochs_and_weights_and_says_so() -> None:
    """The summary holds the best and the final look of each form, and the weights of the mix and of the score."""
    summary = train(make_interactions(), Config(**SMALL, validate_every=2, rating_weight="validation"), Run(seed=1)).summary
    assert set(summary) == {"num_levels", "validation", "num_epochs", "rating_weight", "item_weight", "refit"}
    assert set(summary["validation"]) == {"user", "item", "RMSE", "nDCG@10"}
    assert summary["num_epochs"] == {form: summary["validation"][form]["best"]["after"] for form in ("user", "item")}
    assert 0.0 <= summary["item_weight"] <= 1.0


def test_without_validation_the_weights_must_be_numbers() -> None:
    with pytest.raises(ConfigError, match="give numbers"):
        parse_config(Config, assignments=["validation_fraction=0"])


def test_a_spent_time_budget_still_gives_a_ranker() -> None:
    """The models that chose are kept where a refit would be cut short."""
    ranker = train(make_interactions(), Config(**SMALL), Run(seed=1, time_budget=0.0))
    assert ranker.summary["refit"] is False
    assert np.isfinite(ranker.model.scores(Histories.of([[1]], [[5.0]]))).all()


def test_training_leaves_its_models_as_they_were() -> None:
    """Assembling copies nothing into the models and changes none of their weights."""
    data, scale = make_interactions(), scale_of([1.0, 2.0, 3.0, 4.0, 5.0])
    config = Config(**WITHOUT_VALIDATION)
    model = learn(
        Table.of(data, scale, by_item=False), config, Run(seed=1), name="u", by_item=False, num_members=1, num_epochs=1
    )
    before = copy.deepcopy(model.state_dict())
    exposure = learn_exposure(data, config, Run(seed=1), name="e")
    assemble(data, scale, {"user": model}, exposure, Weights(), table_rank=4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
