"""ListNet: a network learns a query's whole list at once, by the cross entropy of top-one probabilities."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from training.config import RankerConfig
from training.data import FeatureSplit
from training.data.candidates import CandidateBatch, Gains
from training.evaluation.committees import EpochChoice, learn_committee, prepare
from training.export import export_features
from training.loop import Run
from training.models.features import Activation, FeatureScorer
from training.objectives.irgan import policy_log_probs
from training.objectives.learning_to_rank import listnet_loss, top_one_probs
from training.ranker import TrainedReranker


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on the validation parts of MQ2008's folds."""

    hidden_size: int = Field(default=0, ge=0)
    """Hidden units; 0 is the linear network of the paper."""
    num_members: int = Field(default=1, ge=1)
    """Networks that are trained at once and whose scores are averaged; one in the paper."""
    activation: Activation = "relu"
    """Of hidden units."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of hidden units switched off in training."""
    target: Literal["gains", "softmax"] = "gains"
    """The distribution to be met: in proportion to gains, or the softmax of grades as in the paper."""
    gains: Gains = "grade"
    """What a grade g counts: g, or `exponential` 2^g − 1."""
    query_weight_exponent: float = Field(default=0.0, ge=0, le=1)
    """A query's loss is divided by the sum of its gains to this power: 0 counts relevant documents alike, 1 queries alike, as the paper."""
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
    standardiser, candidates, valid = prepare(data, gains=config.gains, device=run.device)

    def loss(scores_MN: Tensor, batch: CandidateBatch) -> Tensor:
        return list_loss(scores_MN, batch, config)

    committee, summary = learn_committee(candidates, valid, config, run, name="fit", loss=loss)
    model = export_features(FeatureScorer(standardiser, [committee]), num_features=data.train.num_features)
    return TrainedReranker(model, {"validation": summary})


def list_loss(scores_MN: Tensor, batch: CandidateBatch, config: Config) -> Tensor:
    """The cross entropy of a batch, summed over members M."""
    members = len(scores_MN)
    log_probs_RC = policy_log_probs(batch.padded(scores_MN), excluded_BI=batch.absent_BC.repeat(members, 1))
    gains_BC = batch.gains_by_query
    sums_B1 = gains_BC.sum(dim=1, keepdim=True)
    targets_BC = gains_BC / sums_B1 if config.target == "gains" else top_one_probs(gains_BC, batch.absent_BC)
    weights_B = sums_B1[:, 0] ** (1.0 - config.query_weight_exponent) / batch.num_queries
    return listnet_loss(log_probs_RC, targets_BC.repeat(members, 1), weights_B.repeat(members))
