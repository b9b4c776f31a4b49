"""IRGAN with history encoders: part of a history is hidden, and both players are about the hidden part.

The generator sees the rest of the history and spreads its probability over the catalogue; the hidden items are the positives. The
discriminator sees the whole history, without the item in question, and tells hidden items from the generator's picks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from app.bundle import HistoryPolicy, VectorModel
from training.data import Interactions
from training.export import export_encoder
from training.loop import Run
from training.models.history import HistoryCommittee, HistoryQuery
from training.ranker import TrainedRanker
from training.recipes.irgan_history.config import Config
from training.recipes.irgan_history.learn import learn
from training.recipes.irgan_history.linear import linear_path
from training.recipes.irgan_history.validation import choose


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch and the linear weight on a part of the training data, then learn from all of it.

    The variant `committee` is the same without the linear path: what the two players alone have learned.
    """
    committee: HistoryCommittee | None = None
    summary: dict[str, Any] = {}
    if config.validation_fraction:
        best, committee, summary = choose(data, config, run)
        num_epochs, linear_weight = best.epoch + 1, float(best.state)
    else:
        assert config.linear_weight != "validation"
        num_epochs, linear_weight = config.num_epochs, config.linear_weight
    # A refit that would be cut short is worth less than the committee that chose.
    summary["refit"] = committee is None or not run.out_of_time
    if committee is None or summary["refit"]:
        committee = learn(data, config, run, name="fit", num_members=config.num_members, num_epochs=num_epochs)
    linear = linear_path(data, config, run)
    query = HistoryQuery(
        committee.cpu(),
        linear_table_IR=linear.table_IR,
        linear_vectors_IR=linear_weight * linear.vectors_IR,
        positive_threshold=data.positive_threshold,
        level_ratings_K=torch.from_numpy(linear.scale.ratings_K).float(),
        level_weights_K=torch.from_numpy(linear.scale.weights_K).float(),
    )
    vectors_ID = np.ascontiguousarray(query.item_vectors_ID.numpy())
    encoder = export_encoder(query, num_items=data.num_items)
    policy = HistoryPolicy(data.positive_threshold, config.signal, demote_low=config.signal == "all")
    variants = {}
    rank = linear.table_IR.shape[1]
    if rank:
        alone_ID = vectors_ID.copy()
        alone_ID[:, -1 - rank : -1] = 0.0  # the linear path stands before the bias
        variants["committee"] = VectorModel(alone_ID, encoder, policy)
    summary |= {"num_epochs": num_epochs, "linear_weight": linear_weight}
    return TrainedRanker(VectorModel(vectors_ID, encoder, policy), bias_folded=True, summary=summary, variants=variants)
