"""VAE/GAN: an autoencoder whose reconstruction is compared in the features of a discriminator; it ranks as a plain one does."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from app.bundle import Histories, HistoryPolicy, VectorModel
from training.data import Interactions
from training.data.batches import multi_hot
from training.evaluation.selection import EarlyStopping, HeldOut
from training.export import history_encoder
from training.loop import Phase, Run
from training.models.vae import Vae, VaeQuery, by_length
from training.ranker import TrainedRanker
from training.recipes.vae_gan.config import Config
from training.recipes.vae_gan.learn import learn

_METRIC = "nDCG@10"


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch on a part of the training data, then learn from all of it."""
    vae: Vae | None = None
    num_epochs = config.num_epochs
    summary: dict[str, Any] = {}
    if config.validation_fraction:
        num_epochs, vae, summary["validation"] = choose(data, config, run)
    # A refit that would be cut short is worth less than the autoencoders that chose.
    refit = vae is None or not run.out_of_time
    if vae is None or refit:
        vae = learn(data, config, run, name="fit", num_members=config.num_members, num_epochs=num_epochs)
    query = VaeQuery(vae.cpu())
    encoder = history_encoder(query.table_IW[None], query)
    vectors_ID = np.ascontiguousarray(query.item_vectors_ID.numpy())
    return TrainedRanker(
        VectorModel(vectors_ID, encoder, HistoryPolicy(data.positive_threshold)),
        bias_folded=True,
        summary=summary | {"refit": refit, "num_epochs": num_epochs},
    )


def choose(data: Interactions, config: Config, run: Run) -> tuple[int, Vae, dict[str, Any]]:
    """How many epochs rank held-out events as well as any number does, the autoencoders that showed it as they were at the end, and what to tell of it.

    Raises:
        DataError: too few events to hold any out.
    """
    held = HeldOut(data, fraction=config.validation_fraction, rng=run.numpy_rng(1))
    stopping = EarlyStopping(_METRIC, every=config.validate_every, patience=config.patience)

    def watch(phase: Phase, epoch: int, vae: Vae) -> None:
        def scores(histories: Histories) -> np.ndarray:
            liked_UI = multi_hot(histories.positives(data.positive_threshold), data.num_items, run.device)
            with torch.no_grad():
                scores_UI: np.ndarray = vae(by_length(liked_UI)).mean(0).cpu().numpy()
            return scores_UI

        stopping.look(phase, epoch, lambda: held.ndcg(scores))

    vae = learn(
        held.fit,
        config,
        run,
        name="choose",
        num_members=min(config.validation_members, config.num_members),
        num_epochs=config.num_epochs,
        watch=watch,
        best=stopping.best,
    )
    curve = run.curves[f"choose/{_METRIC}"]
    good_enough = [epoch for epoch, value in curve if value >= stopping.best.value - config.validation_tolerance]
    return good_enough[-1] + 1, vae, stopping.summary(curve)
