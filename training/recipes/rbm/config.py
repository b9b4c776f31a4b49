"""The settings of the RBM ranker."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from training.config import RankerConfig


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of MovieLens 100K's training data."""

    objective: Literal["hybrid", "contrastive"] = "hybrid"
    """`contrastive`: the paper's learning rule. `hybrid`: mean-field inference is trained to fill in hidden parts of histories beside it."""
    contrastive_weight: float = Field(default=0.1, ge=0)
    """Hybrid: of the contrastive term beside the prediction; 0 leaves it out."""
    num_members: int = Field(default=3, ge=1)
    """RBMs that learn one after the other from different random numbers; the logits of their visible units are averaged."""
    hidden_size: int = Field(default=200, ge=1)
    """Hidden units of each, H."""
    init_std: float = Field(default=0.1, ge=0)
    """Standard deviation of the first weights; the practical guide says 0.01 for contrastive divergence."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over the epochs."""
    weight_decay: float = Field(default=0.3, ge=0)
    """Of AdamW, on the weights W; biases go free."""
    batch_size: int = Field(default=128, ge=1)
    """Users."""
    num_epochs: int = Field(default=60, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""

    chains: Literal["data", "persistent"] = "data"
    """Where chains start. `data` is CD-k; `persistent` is PCD-k, chains that go on from the last update."""
    num_steps: int = Field(default=1, ge=1)
    """Steps k of block Gibbs sampling an update."""
    num_chains: int = Field(default=128, ge=1)
    """Persistent: how many chains."""

    hidden_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Hybrid: chance of each event of a history to be hidden."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Hybrid: share of hidden units switched off in training."""
    history_scale: float = Field(default=10.0, gt=0)
    """Hybrid: g in c + g W v / n^p, the logits of the hidden units given a history v of n events."""
    history_exponent: float = Field(default=1.0, ge=0)
    """Hybrid: p. With g = 1 and p = 0 they are the model's own conditional distribution."""
    user_weight_exponent: float = Field(default=0.5, ge=0, le=1)
    """Hybrid: a user's likelihood is divided by the number of hidden events to this power: 0 counts items alike, 1 users alike."""

    validation_fraction: float = Field(default=0.4, ge=0, lt=1)
    """Share of each user's events held out to choose the epoch; 0 takes the last epoch."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=4, ge=1)
    """Looks without a better value after which the choosing stops."""
