"""BPR: matrix factorisation that orders pairs (Rendle et al. 2009)."""

from __future__ import annotations

from pydantic import Field

from app.bundle import HistoryPolicy, VectorModel
from training.baselines import bpr
from training.config import RankerConfig
from training.data import Interactions
from training.export import fit_fold_in
from training.loop import Run
from training.ranker import TrainedRanker


class Config(RankerConfig):
    """Hyper-parameters."""

    embedding_size: int = Field(default=32, ge=1)
    """Dimensions of the factors, the bias not counted."""
    learning_rate: float = Field(default=0.02, gt=0)
    """Of every step."""
    l2: float = Field(default=0.02, ge=0)
    """λ, the same for users, items and biases."""
    num_epochs: int = Field(default=100, ge=1)
    """Passes over the liked items."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Step from pair to pair; a new person's vector comes from a ridge regression on the known ones."""
    liked = data.positives()
    user_vectors_UD, item_vectors_ID = bpr(
        liked.matrix(),
        embedding_size=config.embedding_size,
        learning_rate=config.learning_rate,
        l2=config.l2,
        num_epochs=config.num_epochs,
        seed=run.seed,
        progress=run.progress,
    )
    encoder = fit_fold_in(user_vectors_UD, item_vectors_ID, liked.histories())
    policy = HistoryPolicy(data.positive_threshold)
    return TrainedRanker(VectorModel(item_vectors_ID, encoder, policy, user_vectors_UD), bias_folded=True)
