"""A variational autoencoder that says which items are missing from a history, and ranks by what it says at the mean of its code."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.bundle import HistoryPolicy, VectorModel
from training.data import Interactions
from training.evaluation.selection import CHOOSE, choose_and_refit
from training.export import history_encoder
from training.loop import Run
from training.models.layers import by_length
from training.models.vae import Vae, VaeQuery
from training.ranker import TrainedRanker
from training.recipes.vae.config import Config
from training.recipes.vae.learn import learn


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch on a part of the training data, then learn from all of it."""

    def learn_from(part: Interactions, *, name: str, **rest: Any) -> Vae:
        num_members = min(config.validation_members, config.num_members) if name == CHOOSE else config.num_members
        return learn(part, config, run, name=name, num_members=num_members, **rest)

    vae, summary = choose_and_refit(
        data,
        config,
        run,
        learn=learn_from,
        scores=lambda vae, liked_UI: vae(by_length(liked_UI)).mean(dim=0),
        tolerance=config.validation_tolerance,
    )
    query = VaeQuery(vae.cpu())
    encoder = history_encoder(query.table_IW[None], query)
    vectors_ID = np.ascontiguousarray(query.item_vectors_ID.numpy())
    return TrainedRanker(
        VectorModel(vectors_ID, encoder, HistoryPolicy(data.positive_threshold)), bias_folded=True, summary=summary
    )
