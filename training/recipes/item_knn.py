"""Item-kNN: what is liked by those who liked what you liked (Sarwar et al. 2001)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from app.bundle import HistoryPolicy, LinearEncoder, VectorModel
from training.baselines import cosine_neighbours
from training.config import RankerConfig
from training.data import Interactions
from training.loop import Run
from training.ranker import TrainedRanker


class Config(RankerConfig):
    """Hyper-parameters."""

    num_neighbours: int = Field(default=100, ge=1)
    """Most similar items that speak for an item."""
    shrinkage: float = Field(default=10.0, ge=0)
    """Added to the denominator of the cosine; damps similarities that few users vouch for."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:  # noqa: ARG001 - nothing random
    """Cosines between items, the nearest kept; a score is the sum over the history."""
    similarity_II = cosine_neighbours(
        data.positives().matrix(), num_neighbours=config.num_neighbours, shrinkage=config.shrinkage
    )
    encoder = LinearEncoder(table_ID=None, num_items=data.num_items)
    vectors_ID = np.ascontiguousarray(similarity_II.T, dtype=np.float32)
    return TrainedRanker(VectorModel(vectors_ID, encoder, HistoryPolicy(data.positive_threshold)))
