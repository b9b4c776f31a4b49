"""Every choice of the game as a named setting; what `vae` has too is called as there."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.config import RankerConfig
from training.objectives.vae_gan import GanObjective


class GameConfig(RankerConfig):
    """How the game is played, whatever the bags are of; defaults were chosen on parts of MovieLens 100K's training data."""

    num_members: int = Field(default=4, ge=1)
    """Games played at once, each with its own three networks; the decoders' logits are averaged. The paper has one."""
    hidden_size: int = Field(default=200, ge=0)
    """Tanh units of each encoder; 0 for none."""
    embedding_size: int = Field(default=200, ge=1)
    """Dimensions of the code z."""
    decoder_hidden_size: int = Field(default=0, ge=0)
    """Tanh units of each decoder; 0 makes the logits linear in the code."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the encoder's and the decoder's hidden units switched off in training."""
    hidden_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Chance of each event to be hidden from the encoder."""
    targets: Literal["hidden", "all"] = "hidden"
    """What the decoder makes: the events hidden from the encoder, beside the visible ones, or `all` of the history, as in the paper."""
    initial_log_variance: float = -4.0
    """Where log σ² of q(z|x) starts; near 0 the first codes are noise."""
    kl_weight: float = Field(default=0.1, ge=0)
    """β of the encoder's KL at its highest; 1 in the paper."""
    kl_annealing: float = Field(default=0.5, ge=0, le=1)
    """Share of `num_epochs` over which β climbs from 0; 0 in the paper."""
    likelihood_weight: float = Field(default=1.0, ge=0)
    """Of the multinomial −log likelihood in the encoder's and the decoder's loss; 0 is the paper's form, the learned similarity alone."""
    encoder_similarity_weight: float = Field(default=20.0, ge=0)
    """Of the learned similarity in the encoder's loss; 1 in the paper."""
    similarity_weight: float = Field(default=20.0, ge=0)
    """γ, of the learned similarity in the decoder's loss."""
    gan_weight: float = Field(default=0.1, ge=0)
    """Of the game in the decoder's loss; 1 in the paper."""
    gan_objective: GanObjective = "non-saturating"
    """What the decoder minimises of the game; the paper writes `minimax`."""
    discriminator_hidden_sizes: Annotated[tuple[int, ...], Field(min_length=1)] = (200, 50)
    """Tanh units of the discriminator's layers."""
    similarity_layer: int = Field(default=2, ge=1)
    """l: the layer of the discriminator whose units are compared."""
    discriminator_learning_rate: float = Field(default=1e-3, gt=0)
    """Of AdamW, on a cosine to zero over `num_epochs`."""
    discriminator_weight_decay: float = Field(default=0.01, ge=0)
    """Of AdamW."""
    user_weight_exponent: float = Field(default=0.5, ge=0, le=1)
    """A user's likelihood and KL are divided by the number of targets to this power: 0 counts items alike, 1 users alike."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, encoder and decoder, on a cosine to zero over `num_epochs`."""
    weight_decay: float = Field(default=0.45, ge=0)
    """Of AdamW, encoder and decoder."""
    batch_size: int = Field(default=128, ge=1)
    """Users."""
    num_epochs: int = Field(default=45, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""

    @model_validator(mode="after")
    def _layer_exists(self) -> Self:
        if self.similarity_layer > len(self.discriminator_hidden_sizes):
            raise ValueError(
                f"similarity_layer is {self.similarity_layer}, but the discriminator has "
                f"{len(self.discriminator_hidden_sizes)} hidden layers"
            )
        return self


class Config(GameConfig):
    """Hyper-parameters of the ranker."""

    validation_fraction: float = Field(default=0.3, ge=0, lt=1)
    """Share of each user's events held out to choose the epoch; 0 takes the last epoch."""
    validation_members: int = Field(default=2, ge=1)
    """Members that choose."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=6, ge=1)
    """Looks without a better value after which the choosing stops."""
    validation_tolerance: float = Field(default=0.003, ge=0)
    """The last look that is at most this far below the best one chooses: so much is noise, and a cosine is better finished."""
