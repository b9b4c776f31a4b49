"""RankNet: a network learns which of two candidates of a query is better, pair by pair."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from training.config import RankerConfig
from training.data import FeatureSplit
from training.data.candidates import CandidateBatch
from training.evaluation.committees import EpochChoice, learn_committee, prepare
from training.export import export_features
from training.loop import Run
from training.models.features import Activation, FeatureScorer
from training.objectives.learning_to_rank import ranknet_loss
from training.ranker import TrainedReranker


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on the validation parts of MQ2008's folds."""

    hidden_size: int = Field(default=64, ge=0)
    """Hidden units; 0 for linear scores."""
    num_members: int = Field(default=1, ge=1)
    """Networks that are trained at once and whose scores are averaged; one in the paper."""
    activation: Activation = "tanh"
    """Of hidden units; `tanh` in the paper."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of hidden units switched off in training."""
    query_weight_exponent: float = Field(default=0.5, ge=0, le=1)
    """A query's loss is divided by the number of its pairs to this power: 0 counts pairs alike, as the paper, 1 queries alike."""
    num_epochs: int = Field(default=20, ge=1)
    """Passes over the training queries, the length of the cosine."""
    batch_size: int = Field(default=64, ge=1)
    """Queries."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Of AdamW."""
    epoch: EpochChoice = "last"
    """Which epoch ranks: the last one of the cosine, or the one that did best on the validation queries."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation queries."""
    patience: int = Field(default=4, ge=1)
    """With `epoch=validation`: looks without a better value after which learning stops."""


def train(data: FeatureSplit, config: Config, run: Run) -> TrainedReranker:
    """Learn on the training part, looking at the validation part."""
    standardiser, candidates, valid = prepare(data, gains="grade", device=run.device)

    def loss(scores_MN: Tensor, batch: CandidateBatch) -> Tensor:
        return pair_loss(scores_MN, batch, config)

    committee, summary = learn_committee(candidates, valid, config, run, name="fit", loss=loss)
    model = export_features(FeatureScorer(standardiser, [committee]), num_features=data.train.num_features)
    return TrainedReranker(model, {"validation": summary})


def pair_loss(scores_MN: Tensor, batch: CandidateBatch, config: Config) -> Tensor:
    """RankNet's loss of a batch, summed over members M."""
    better_P, worse_P = batch.preferences()
    rows_P = batch.rows_N[better_P]
    num_pairs_B = torch.bincount(rows_P, minlength=batch.num_queries).to(scores_MN.dtype)
    weights_B = num_pairs_B.clamp(min=1.0) ** -config.query_weight_exponent / batch.num_queries
    return ranknet_loss(scores_MN[:, better_P], scores_MN[:, worse_P], weights_B[rows_P])
