"""A generative adversarial net as a ranker: G offers a preference vector for a history, D says whether it could be the person's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.bundle import HistoryPolicy, VectorModel
from training.data import Interactions
from training.evaluation.selection import CHOOSE, choose_and_refit
from training.export.history import history_encoder
from training.loop import Run
from training.models.gan import GeneratorHead, PreferenceGenerator
from training.ranker import TrainedRanker
from training.recipes.gan.config import Config
from training.recipes.gan.learn import learn


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch on a part of the training data, then learn from all of it."""

    def learn_from(part: Interactions, *, name: str, **rest: Any) -> PreferenceGenerator:
        num_members = min(config.validation_members, config.num_members) if name == CHOOSE else config.num_members
        return learn(part, config, run, name=name, num_members=num_members, **rest)

    generator, summary = choose_and_refit(
        data, config, run, learn=learn_from, scores=lambda generator, liked_UI: generator(liked_UI).mean(dim=0)
    )
    generator = generator.cpu()
    encoder = history_encoder(generator.table(), GeneratorHead(generator))
    vectors_ID = np.ascontiguousarray(generator.item_vectors().numpy())
    return TrainedRanker(
        VectorModel(vectors_ID, encoder, HistoryPolicy(data.positive_threshold)), bias_folded=True, summary=summary
    )
