"""Popularity: the same list for everybody."""

from __future__ import annotations

import numpy as np

from app.bundle import HistoryPolicy, LinearEncoder, VectorModel
from training.config import RankerConfig
from training.data import Interactions
from training.loop import Run
from training.ranker import TrainedRanker


class Config(RankerConfig):
    """Nothing to choose."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:  # noqa: ARG001 - nothing to choose, nothing random
    """Count what was liked."""
    popularity_I1 = data.popularity()[:, None]
    encoder = LinearEncoder(table_ID=np.zeros_like(popularity_I1), intercept_D=np.ones(1, dtype=np.float32))
    return TrainedRanker(VectorModel(popularity_I1, encoder, HistoryPolicy(data.positive_threshold)), bias_folded=True)
