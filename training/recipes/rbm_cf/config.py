"""The settings of the RBM for ratings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import RankerConfig


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of MovieLens 100K's training data."""

    objective: Literal["hybrid", "contrastive"] = "hybrid"
    """`contrastive`: the paper's learning rule. `hybrid`: mean-field inference is trained to fill in hidden ratings beside it."""
    contrastive_weight: float = Field(default=0.0, ge=0)
    """Hybrid: of the contrastive term beside the prediction; 0 leaves it out."""
    num_steps: int = Field(default=1, ge=1)
    """Steps k of block Gibbs sampling an update."""
    num_members: int = Field(default=3, ge=1)
    """RBMs that learn one after the other from different random numbers; the logits of their visible units are averaged. The paper: 1."""
    conditional: bool = True
    """Whether having rated an item tells the hidden units something by itself: D of the paper's conditional variant."""
    hidden_size: int = Field(default=100, ge=1)
    """Hidden units, H. The paper, on Netflix: 100."""
    share_levels: bool = True
    """W of a level is the sum of what the levels up to it add; off, levels have nothing in common, as in the paper."""
    max_levels: int = Field(default=20, ge=2)
    """Every distinct rating is a level, K; more of them are put together into this many bins of equally many ratings."""
    init_std: float = Field(default=0.03, ge=0)
    """Standard deviation of the first weights W. The paper: 0.01."""
    init_rated_std: float = Field(default=0.1, ge=0)
    """That of the first D."""
    init_slope: float = Field(default=0.1, ge=0)
    """That of a part of W which rises with the level and is the same for all items, so that learning starts from users' mean ratings."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over the epochs."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Of AdamW, on W and D; biases go free."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Hybrid: share of hidden units switched off in training."""
    batch_size: int = Field(default=128, ge=1)
    """Users."""
    num_epochs: int = Field(default=30, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""

    hidden_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Hybrid: chance of each rating to be hidden."""
    history_scale: float = Field(default=10.0, gt=0)
    """Hybrid: g in c + g Σ (W + D) / n^p, the logits of the hidden units given a history of n ratings."""
    history_exponent: float = Field(default=1.0, ge=0)
    """Hybrid: p. With g = 1 and p = 0 they are the model's own conditional distribution."""
    exposure_loss_weight: float = Field(default=0.03, ge=0)
    """Hybrid: of the likelihood of which items were rated, beside that of how."""

    rank_by: Literal["liked", "expected"] = "liked"
    """What a rating adds to a score: `liked`, log P(rating ≥ positive threshold), or `expected`, the expected rating."""
    rating_weight: float = Field(default=3.0, ge=0)
    """Of it in the score."""
    exposure_weight: float = Field(default=1.0, ge=0)
    """Of the log-odds that an item is rated at all; 0 ranks by ratings alone."""
    demote_low: bool = True
    """Items that somebody rated low come last in their ranking, whatever the scores."""

    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of each user's ratings held out to choose the epoch by RMSE; 0 takes the last epoch."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=4, ge=1)
    """Looks without a better value after which the choosing stops."""

    @model_validator(mode="after")
    def _something_ranks(self) -> Self:
        if not self.rating_weight and not self.exposure_weight:
            raise ValueError("rating_weight and exposure_weight are both 0, and nothing is left to rank by")
        return self
