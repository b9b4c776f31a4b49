"""Every choice of the autoencoder as a named setting."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from training.config import RankerConfig


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of MovieLens 100K's training data."""

    num_members: int = Field(default=8, ge=1)
    """Autoencoders in the committee, trained at once; their logits are averaged. The paper has one."""
    hidden_size: int = Field(default=200, ge=0)
    """Tanh units of each encoder; 0 for none. The paper has 600."""
    embedding_size: int = Field(default=200, ge=1)
    """Dimensions of the code z; the paper has 200."""
    decoder_hidden_size: int = Field(default=0, ge=0)
    """Tanh units of each decoder; 0 makes the logits linear in the code. The paper has 600."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of hidden units switched off in training; the paper has none there."""
    hidden_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Chance of each event to be hidden from the encoder; the paper's input dropout is 0.5."""
    targets: Literal["hidden", "all"] = "hidden"
    """What the decoder is to say: the events hidden from the encoder, or `all` of the history, as in the paper."""
    initial_log_variance: float = -4.0
    """Where log σ² of q(z|x) starts; near 0 the first codes are noise."""
    kl_weight: float = Field(default=0.1, ge=0)
    """β at its highest; the paper has 0.2."""
    kl_annealing: float = Field(default=0.5, ge=0, le=1)
    """Share of `num_epochs` over which β climbs from 0."""
    user_weight_exponent: float = Field(default=0.5, ge=0, le=1)
    """A user's bound is divided by the number of targets to this power: 0 counts items alike, as the paper does, 1 users alike."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over `num_epochs`."""
    weight_decay: float = Field(default=0.45, ge=0)
    """Of AdamW."""
    batch_size: int = Field(default=128, ge=1)
    """Users."""
    num_epochs: int = Field(default=45, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""
    validation_fraction: float = Field(default=0.3, ge=0, lt=1)
    """Share of each user's events held out to choose the epoch; 0 takes the last epoch."""
    validation_members: int = Field(default=4, ge=1)
    """Members of the committee that chooses."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=6, ge=1)
    """Looks without a better value after which the choosing stops."""
    validation_tolerance: float = Field(default=0.003, ge=0)
    """The last look that is at most this far below the best one chooses: so much is noise, and a cosine is better finished."""
