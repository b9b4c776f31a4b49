"""PureSVD: projection on the leading singular vectors (Cremonesi, Koren, Turrin 2010)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from app.bundle import HistoryPolicy, LinearEncoder, VectorModel
from training.baselines import item_factors
from training.config import RankerConfig
from training.data import Interactions
from training.loop import Run
from training.ranker import TrainedRanker


class Config(RankerConfig):
    """Hyper-parameters."""

    embedding_size: int = Field(default=10, ge=1)
    """Singular vectors kept; never more than there are users or items."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Item factors by a randomised SVD; a query is the sum of the history's factors."""
    factors_ID = item_factors(data.positives().matrix(), embedding_size=config.embedding_size, seed=run.seed)
    vectors_ID = np.ascontiguousarray(factors_ID, dtype=np.float32)
    encoder = LinearEncoder(table_ID=vectors_ID)
    return TrainedRanker(VectorModel(vectors_ID, encoder, HistoryPolicy(data.positive_threshold)))
