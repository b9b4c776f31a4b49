"""CF-NADE: a conditional over the star levels for every rated item, given the ratings before it.

The user-based form reads what a user rated and knows new users by their history. The item-based form reads what an item's users gave it; a
user is a column there, with weights of their own, so it has nothing for a user who is not in the training data. Known users are answered
by the mix of both, new ones by the user-based form alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.bundle import HistoryPolicy, VectorModel
from training.data import Interactions
from training.errors import DataError
from training.evaluation.selection import HeldOut
from training.export import export_rescorer, fit_first_stage, history_encoder, users_to_fit_on
from training.loop import Run
from training.models.cf_nade import CFNADE
from training.ranker import TrainedRanker
from training.recipes.cf_nade.assemble import Parts, Weights, assemble
from training.recipes.cf_nade.config import Config
from training.recipes.cf_nade.exposure import learn_exposure
from training.recipes.cf_nade.learn import learn
from training.recipes.cf_nade.levels import Scale, Table
from training.recipes.cf_nade.validation import choose_epochs, choose_item_weight, choose_rating_weight


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose epochs and weights on a part of the training data, then learn both forms and the exposure from all of it.

    Raises:
        DataError: there are no ratings, or they are all the same.
    """
    if data.ratings is None or not np.isfinite(data.ratings).any():
        raise DataError(
            "cf-nade learns from ratings, and these events carry none; "
            "expected a rating with each event; `irgan rankers` lists those that learn from clicks"
        )
    data = data.where(np.isfinite(data.ratings))
    assert data.ratings is not None
    scale = Scale.of(data.ratings, max_levels=config.max_levels, positive_threshold=data.positive_threshold)
    models, num_epochs, weights, summary = _choose(data, scale, config, run)
    # A refit that would be cut short is worth less than the models that chose.
    summary["refit"] = not models or not run.out_of_time
    if summary["refit"]:
        models = {
            form: learn(
                Table.of(data, scale, by_item=form == "item"),
                config,
                run,
                name=form,
                by_item=form == "item",
                num_members=config.num_members,
                num_epochs=num_epochs[form],
            )
            for form in config.forms
        }
    exposure = learn_exposure(data, config, run, name="exposure")
    parts = assemble(data, scale, models, exposure, weights, table_rank=config.table_rank)
    return TrainedRanker(_served(parts, data, scale, config, run), bias_folded=True, summary=summary)


def _choose(
    data: Interactions, scale: Scale, config: Config, run: Run
) -> tuple[dict[str, CFNADE], dict[str, int], Weights, dict[str, Any]]:
    """Models that chose (none without validation), epochs of each form, weights, and what to tell of all that."""
    weights = Weights(exposure=config.exposure_weight)
    if config.item_weight != "validation":
        weights.item = config.item_weight
    if config.rating_weight != "validation":
        weights.rating = config.rating_weight
    models: dict[str, CFNADE] = {}
    num_epochs = dict.fromkeys(config.forms, config.num_epochs)
    summary: dict[str, Any] = {"num_levels": scale.num_levels}
    if config.validation_fraction:
        held = HeldOut(data, fraction=config.validation_fraction, rng=run.numpy_rng(1))
        models, num_epochs, told = choose_epochs(held, scale, config, run)
        if config.form == "both" and config.item_weight == "validation":
            weights.item, told["RMSE"] = choose_item_weight(models, held, scale)
        if config.rating_weight == "validation":
            exposure = learn_exposure(held.fit, config, run, name="choose-exposure")
            parts = assemble(held.fit, scale, models, exposure, weights, table_rank=config.table_rank)
            weights.rating, told["nDCG@10"] = choose_rating_weight(parts, weights, held)
        summary["validation"] = told
    summary |= {"num_epochs": num_epochs, "rating_weight": weights.rating}
    if config.form == "both":
        summary["item_weight"] = weights.item
    return models, num_epochs, weights, summary


def _served(parts: Parts, data: Interactions, scale: Scale, config: Config, run: Run) -> VectorModel:
    """Encoder, first stage and rescorer.

    The first stage is exact in the exposure; what it takes from a regression is the rest of the score.
    """
    layout = parts.layout
    users = users_to_fit_on(data.num_users, run.numpy_rng(3))
    rows_I = np.arange(data.num_items)
    encoder = history_encoder(parts.table_KIX, parts.head, scale.steps.boundaries.tolist())
    rescorer = export_rescorer(parts.rescorer, dim=layout.dim, num_items=data.num_items)
    # Each as the known user that they are, and as somebody new would be.
    queries_UD = np.concatenate([parts.queries_UD[users], encoder.encode(data.histories().take(users))])
    vectors_ID = np.zeros((data.num_items, layout.dim), dtype=np.float32)
    vectors_ID[:, : layout.exposure + 1] = parts.weights.exposure * parts.rescorer.exposure_vectors_IE.numpy()
    rest_UI = rescorer.scores(queries_UD, rows_I) - queries_UD.astype(np.float64) @ vectors_ID.T.astype(np.float64)
    vectors_ID[:, layout.exposure :] += fit_first_stage(queries_UD[:, layout.exposure :], rest_UI)
    return VectorModel(
        vectors_ID,
        encoder,
        HistoryPolicy(data.positive_threshold, "all", demote_low=config.demote_low),
        user_vectors_UD=parts.queries_UD,
        rescorer=rescorer,
        predicts_ratings=True,
    )
