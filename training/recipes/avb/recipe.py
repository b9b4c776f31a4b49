"""Adversarial variational Bayes as a ranker: part of a history is hidden, and predicted through a latent variable.

Shapes: U users looked at, I items, D dimensions of the index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from app.bundle import Histories, HistoryPolicy, VectorModel
from training.data import Interactions
from training.data.batches import multi_hot
from training.evaluation.selection import EarlyStopping, HeldOut
from training.export.history import history_encoder
from training.loop import Phase, Run
from training.models.avb import RankingHead
from training.ranker import TrainedRanker
from training.recipes.avb.config import Config
from training.recipes.avb.learn import Model, learn

SELECTED = "nDCG@10"
"""The metric that chooses."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch on a part of the training data, then learn from all of it."""
    model: Model | None = None
    summary: dict[str, Any] = {}
    num_epochs = config.num_epochs
    if config.validation_fraction:
        num_epochs, summary, model = choose(data, config, run)
    # A refit that would be cut short is worth less than the model that chose.
    summary |= {"num_epochs": num_epochs, "refit": model is None or not run.out_of_time}
    if model is None or summary["refit"]:
        model = learn(data, config, run, name="fit", num_epochs=num_epochs)
    head = query_head(model, config, run)
    encoder = history_encoder(model.posterior.input_XH[None].cpu(), head.cpu())
    vectors_ID = np.ascontiguousarray(head.item_vectors().numpy())
    return TrainedRanker(
        VectorModel(vectors_ID, encoder, HistoryPolicy(data.positive_threshold)), bias_folded=True, summary=summary
    )


def choose(data: Interactions, config: Config, run: Run) -> tuple[int, dict[str, Any], Model]:
    """The number of epochs that is best on held-out events, what to tell of it, and the model as it was at the end."""
    held = HeldOut(data, fraction=config.validation_fraction, rng=run.numpy_rng(1))
    chosen = EarlyStopping(SELECTED, every=config.validate_every, patience=config.patience)

    def watch(phase: Phase, epoch: int, model: Model) -> None:
        chosen.look(phase, epoch, lambda: held.ndcg(lambda histories: scores(model, histories, data, config, run)))

    model = learn(held.fit, config, run, name="choose", num_epochs=config.num_epochs, watch=watch, best=chosen.best)
    return chosen.best.epoch + 1, {"validation": chosen.summary(run.curves[f"choose/{SELECTED}"])}, model


def query_head(model: Model, config: Config, run: Run) -> RankingHead:
    """The part of an encoder after the first layer, with noise that depends on nothing but the run's seed."""
    noise_SKZ = model.posterior.draw_noise(config.num_query_draws, run.generator(2)).to(run.device)
    return RankingHead(model.posterior, model.decoder, noise_SKZ)


def scores(model: Model, histories: Histories, data: Interactions, config: Config, run: Run) -> np.ndarray:
    """Of all items for each history, as the exported ranker would give them, [U, I]."""
    liked_UI = multi_hot(histories.positives(data.positive_threshold), data.num_items, run.device)
    head = query_head(model, config, run)
    with torch.no_grad():
        queries_UD = head(liked_UI @ model.posterior.input_XH, liked_UI.sum(dim=1, keepdim=True))
        scores_UI: np.ndarray = (queries_UD @ head.item_vectors().T).cpu().numpy()
    return scores_UI
