"""Every choice of the game on preference vectors as a named setting."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import RankerConfig
from training.objectives.adversarial import GeneratorObjective


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of MovieLens 100K's training data."""

    num_members: int = Field(default=4, ge=1)
    """Generators in the committee, each with its own discriminator, trained at once; their scores are averaged."""
    hidden_size: int = Field(default=200, ge=1)
    """Hidden units of each generator."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of a generator's hidden units switched off in training."""
    hidden_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Chance of each event of a history to be hidden; the hidden part is the real preference vector given the rest."""
    preferences: Literal["softmax", "sigmoid"] = "softmax"
    """The vector that a generator offers: `softmax`, its policy times the number of hidden events; `sigmoid`, each entry on its own."""
    objective: GeneratorObjective = "non-saturating"
    """What the generator minimises: `minimax`, E[log(1 − D)], or `non-saturating`, −E[log D]."""
    game_weight: float = Field(default=1.0, ge=0)
    """Of the objective, a user; 0 is the twin by likelihood alone, with no discriminator."""
    likelihood_weight: float = Field(default=1.0, ge=0)
    """Of the hidden events' −log likelihood beside the game; 0 is the pure game."""
    user_weight_exponent: float = Field(default=0.5, ge=0, le=1)
    """A user's likelihood is divided by the number of hidden positives to this power: 0 counts items alike, 1 users alike."""
    shown_negatives: float = Field(default=1.0, ge=0, le=1)
    """Chance of each item that was not liked to be shown to the discriminator beside the hidden ones: CFGAN's partial masking. 0 shows
    observed entries alone, which any generator can satisfy by liking everything; 1 shows all but the history."""
    zero_reconstruction_weight: float = Field(default=0.0, ge=0)
    """Of Σ v_j² over items drawn from those not liked: CFGAN's zero reconstruction."""
    zero_reconstruction_fraction: float = Field(default=0.1, gt=0, le=1)
    """Chance of each item that was not liked to be drawn for it."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of the generators' AdamW, on a cosine to zero over the epochs."""
    weight_decay: float = Field(default=0.3, ge=0)
    """Of the generators' AdamW."""
    batch_size: int = Field(default=128, ge=1)
    """Users."""
    num_epochs: int = Field(default=45, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""

    discriminator_hidden_size: int = Field(default=200, ge=1)
    """Hidden units of each discriminator."""
    discriminator_learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW; a slow discriminator (1e-3) teaches little."""
    discriminator_weight_decay: float = Field(default=0.3, ge=0)
    """Of AdamW."""
    num_discriminator_steps: int = Field(default=1, ge=1)
    """Of the discriminator before each step of the generator: k of the paper's Algorithm 1, which has 1."""

    validation_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share of each user's events held out to choose the epoch; 0 takes the last epoch."""
    validation_members: int = Field(default=1, ge=1)
    """Members of the committee that chooses."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=4, ge=1)
    """Looks without a better value after which the choosing stops."""

    @model_validator(mode="after")
    def _something_teaches(self) -> Self:
        if not self.game_weight and not self.likelihood_weight:
            raise ValueError("game_weight and likelihood_weight are both 0: nothing would teach the generator")
        return self
