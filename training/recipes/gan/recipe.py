"""A generative adversarial net as a ranker: G offers a preference vector for a history, D says whether it could be the person's own.

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
from training.models.gan import GeneratorHead, PreferenceGenerator
from training.ranker import TrainedRanker
from training.recipes.gan.config import Config
from training.recipes.gan.learn import learn

SELECTED = "nDCG@10"
"""The metric that chooses."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch on a part of the training data, then learn from all of it."""
    generator: PreferenceGenerator | None = None
    summary: dict[str, Any] = {}
    num_epochs = config.num_epochs
    if config.validation_fraction:
        num_epochs, summary, generator = choose(data, config, run)
    # A refit that would be cut short is worth less than the committee that chose.
    summary |= {"num_epochs": num_epochs, "refit": generator is None or not run.out_of_time}
    if generator is None or summary["refit"]:
        generator = learn(data, config, run, name="fit", num_members=config.num_members, num_epochs=num_epochs)
    generator = generator.cpu()
    encoder = history_encoder(generator.table(), GeneratorHead(generator))
    vectors_ID = np.ascontiguousarray(generator.item_vectors().numpy())
    return TrainedRanker(
        VectorModel(vectors_ID, encoder, HistoryPolicy(data.positive_threshold)), bias_folded=True, summary=summary
    )


def choose(data: Interactions, config: Config, run: Run) -> tuple[int, dict[str, Any], PreferenceGenerator]:
    """The number of epochs that is best on held-out events, what to tell of it, and the committee as it was at the end."""
    held = HeldOut(data, fraction=config.validation_fraction, rng=run.numpy_rng(1))
    chosen = EarlyStopping(SELECTED, every=config.validate_every, patience=config.patience)

    def watch(phase: Phase, epoch: int, generator: PreferenceGenerator) -> None:
        chosen.look(phase, epoch, lambda: held.ndcg(lambda histories: scores(generator, histories, data, run)))

    generator = learn(
        held.fit,
        config,
        run,
        name="choose",
        num_members=min(config.validation_members, config.num_members),
        num_epochs=config.num_epochs,
        watch=watch,
        best=chosen.best,
    )
    return chosen.best.epoch + 1, {"validation": chosen.summary(run.curves[f"choose/{SELECTED}"])}, generator


def scores(generator: PreferenceGenerator, histories: Histories, data: Interactions, run: Run) -> np.ndarray:
    """The mean logits of the committee for each history, [U, I]."""
    liked_UI = multi_hot(histories.positives(data.positive_threshold), data.num_items, run.device)
    with torch.no_grad():
        scores_UI: np.ndarray = generator(liked_UI).mean(dim=0).cpu().numpy()
    return scores_UI
