"""EASE: every item predicted from all others by ridge regression (Steck 2019)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from app.bundle import HistoryPolicy, LinearEncoder, VectorModel
from training.baselines import ease_weights
from training.config import RankerConfig
from training.data import Interactions
from training.loop import Run
from training.ranker import TrainedRanker


class Config(RankerConfig):
    """Hyper-parameters."""

    l2: float = Field(default=400.0, gt=0)
    """λ of the ridge, that of the reference figures on MovieLens 100K. Larger data want more."""
    signal: Literal["positives", "all"] = "positives"
    """`all`: items rated low are weak input too, and come last in the ranking."""
    low_weight: float = Field(default=0.3, ge=0, le=1)
    """With `signal=all`: what an item rated low counts as input beside 1 for one that was liked."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:  # noqa: ARG001 - nothing random
    """One inversion of a matrix of items by items; a score is the sum of weights over the history."""
    if config.signal == "all":
        matrix_UI = data.matrix(np.where(data.is_positive, 1.0, config.low_weight))
    else:
        matrix_UI = data.positives().matrix()
    weights_II = ease_weights(matrix_UI, l2=config.l2)
    encoder = LinearEncoder(
        table_ID=None,
        num_items=data.num_items,
        low_weight=config.low_weight,
        positive_threshold=data.positive_threshold,
    )
    policy = HistoryPolicy(data.positive_threshold, config.signal, demote_low=config.signal == "all")
    return TrainedRanker(VectorModel(np.ascontiguousarray(weights_II.T, dtype=np.float32), encoder, policy))
