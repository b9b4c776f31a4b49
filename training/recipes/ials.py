"""iALS: matrix factorisation of implicit feedback by alternating least squares (Hu, Koren, Volinsky 2008)."""

from __future__ import annotations

from pydantic import Field

from app.bundle import HistoryPolicy, RidgeEncoder, VectorModel
from training.baselines import ials
from training.config import RankerConfig
from training.data import Interactions
from training.loop import Run
from training.ranker import TrainedRanker


class Config(RankerConfig):
    """Hyper-parameters; factors and λ are those of the reference figures on MovieLens 100K."""

    embedding_size: int = Field(default=16, ge=1)
    """Dimensions of the factors."""
    l2: float = Field(default=5.0, ge=0)
    """λ."""
    confidence: float = Field(default=1.0, gt=0)
    """Weight of a liked item beside 1 for all others; 1 is the plain factorisation of a 0-1 matrix."""
    num_epochs: int = Field(default=100, ge=1)
    """Sweeps over users and items; after 100 the start no longer matters much."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Alternate; a new person's vector is the same least-squares step that a known user's came from."""
    user_vectors_UD, item_vectors_ID = ials(
        data.positives().matrix(),
        embedding_size=config.embedding_size,
        l2=config.l2,
        confidence=config.confidence,
        num_epochs=config.num_epochs,
        seed=run.seed,
        progress=run.progress,
    )
    encoder = RidgeEncoder(item_vectors_ID=item_vectors_ID, confidence=config.confidence, regularization=config.l2)
    policy = HistoryPolicy(data.positive_threshold)
    return TrainedRanker(VectorModel(item_vectors_ID, encoder, policy, user_vectors_UD))
