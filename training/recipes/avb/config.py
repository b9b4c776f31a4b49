"""Every choice of adversarial variational Bayes on histories as a named setting."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from training.config import RankerConfig


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of MovieLens 100K's training data."""

    embedding_size: int = Field(default=200, ge=1)
    """Dimensions of z."""
    hidden_size: int = Field(default=200, ge=1)
    """Hidden units of the inference network and of the decoder."""
    num_noises: int = Field(default=2, ge=1)
    """Noise vectors ε_k of the inference network."""
    noise_hidden_size: int = Field(default=16, ge=1)
    """Hidden units that shape each of them."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the decoder's hidden units switched off in training."""
    hidden_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Chance of each event of a history to be hidden from the inference network; the decoder predicts what is hidden."""
    user_weight_exponent: float = Field(default=0.5, ge=0, le=1)
    """A user's bound is divided by the number of hidden positives to this power: 0 counts items alike, 1 users alike."""
    kl_weight: float = Field(default=0.05, ge=0)
    """β of the divergence from the prior; the paper's bound has 1."""
    kl_annealing: float = Field(default=0.25, ge=0, le=1)
    """Share of the epochs over which β climbs from 0 to `kl_weight`."""
    contrast: Literal["adaptive", "prior"] = "adaptive"
    """What the adversary tells the posterior from: a Gaussian with the posterior's moments, or the prior itself."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over the epochs."""
    weight_decay: float = Field(default=0.3, ge=0)
    """Of AdamW."""
    batch_size: int = Field(default=128, ge=1)
    """Users."""
    num_epochs: int = Field(default=60, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""

    adversary_hidden_size: int = Field(default=100, ge=1)
    """Hidden units of each of T's two layers."""
    adversary_learning_rate: float = Field(default=1e-3, gt=0)
    """Of Adam."""
    num_adversary_steps: int = Field(default=2, ge=1)
    """Of T before each step of the other two networks."""
    num_moment_draws: int = Field(default=128, ge=2)
    """Draws of the noise that the Gaussian's moments are taken over; a batch of more users gives more."""
    num_query_draws: int = Field(default=32, ge=1)
    """Fixed draws of the noise that a query is the mean over."""

    validation_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share of each user's events held out to choose the epoch; 0 takes the last epoch."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=4, ge=1)
    """Looks without a better value after which the choosing stops."""
