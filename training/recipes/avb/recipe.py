"""Adversarial variational Bayes as a ranker: part of a history is hidden, and predicted through a latent variable.

Shapes: U users looked at, I items, D dimensions of the index, S draws, K noises, Z latent dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from app.bundle import HistoryPolicy, VectorModel
from training.data import Interactions
from training.evaluation.selection import choose_and_refit
from training.export.history import history_encoder
from training.loop import Run
from training.models.avb import RankingHead
from training.ranker import TrainedRanker
from training.recipes.avb.config import Config
from training.recipes.avb.learn import Model, learn


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch on a part of the training data, then learn from all of it."""

    def learn_from(part: Interactions, **rest: Any) -> Model:
        return learn(part, config, run, **rest)

    model, summary = choose_and_refit(
        data, config, run, learn=learn_from, scores=lambda model, liked_UI: scores(model, liked_UI, config, run)
    )
    head = query_head(model, config, run)
    encoder = history_encoder(model.posterior.input_XH[None].cpu(), head.cpu())
    vectors_ID = np.ascontiguousarray(head.item_vectors().numpy())
    return TrainedRanker(
        VectorModel(vectors_ID, encoder, HistoryPolicy(data.positive_threshold)), bias_folded=True, summary=summary
    )


def query_head(model: Model, config: Config, run: Run) -> RankingHead:
    """The part of an encoder after the first layer, with noise that depends on nothing but the run's seed."""
    noise_SKZ = model.posterior.draw_noise(config.num_query_draws, run.generator(2)).to(run.device)
    return RankingHead(model.posterior, model.decoder, noise_SKZ)


def scores(model: Model, liked_UI: Tensor, config: Config, run: Run) -> Tensor:
    """Of all items for each history, as the exported ranker would give them, [U, I]."""
    head = query_head(model, config, run)
    queries_UD = head(liked_UI @ model.posterior.input_XH, liked_UI.sum(dim=1, keepdim=True))
    scores_UI: Tensor = queries_UD @ head.item_vectors().T
    return scores_UI
