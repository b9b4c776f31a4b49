"""Every choice of the game between history encoders as a named setting."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.config import RankerConfig


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of MovieLens 100K's training data."""

    signal: Literal["positives", "all"] = "positives"
    """`all`: items rated low are a second input, are no candidates of the softmax, and come last in the ranking."""
    num_members: int = Field(default=8, ge=1)
    """Encoders in the committee, trained at once; their scores are averaged."""
    hidden_size: int = Field(default=200, ge=1)
    """Hidden units of each encoder."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of hidden units switched off in training."""
    hidden_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Chance of each event of a history to be hidden from the generator."""
    user_weight_exponent: float = Field(default=0.5, ge=0, le=1)
    """A user's likelihood is divided by the number of hidden positives to this power: 0 counts items alike, 1 users alike."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over the epochs."""
    weight_decay: float = Field(default=0.3, ge=0)
    """Of AdamW."""
    batch_size: int = Field(default=128, ge=1)
    """Users."""
    num_epochs: int = Field(default=45, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""

    adversary: Literal["discriminator", "none"] = "discriminator"
    """`none`: the same steps by likelihood alone, the twin that shows what the adversary adds."""
    reward_weight: float = Field(default=1.0, ge=0)
    """The generator minimises −log likelihood − reward_weight · expected reward."""
    warmup_epochs: int = Field(default=3, ge=0)
    """Epochs of likelihood before the discriminator joins."""
    num_discriminators: int = Field(default=2, ge=1)
    """Each learns from its share of the users and judges the next one's; 1 judges those that it learned from."""
    discriminator_hidden_size: int = Field(default=200, ge=1)
    """Its hidden units."""
    discriminator_learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW; a slow discriminator (1e-3) does harm."""
    discriminator_weight_decay: float = Field(default=0.3, ge=0)
    """Of AdamW."""

    linear_rank: int = Field(default=64, ge=0)
    """Rank of the linear path, EASE cut by singular values, which is added to the committee's scores; 0 for none."""
    linear_weight: Annotated[float, Field(ge=0)] | Literal["validation"] = 10.0
    """Its weight; `validation` chooses among 0, 2.5, 5, 10 and 20 on held-out data."""
    linear_l2: float = Field(default=400.0, gt=0)
    """λ of EASE."""
    linear_levels: Annotated[tuple[float, ...], Field(min_length=2)] = (0.1, 0.2, 0.4, 0.9, 1.1)
    """With `signal=all`: what an event counts in the linear path, from the lowest rating to the highest in equal steps."""
    linear_max_items: int = Field(default=20_000, ge=0)
    """EASE inverts a matrix of items by items; larger catalogues go without the linear path."""

    validation_fraction: float = Field(default=0.4, ge=0, lt=1)
    """Share of each user's events held out to choose the epoch; 0 takes the last epoch."""
    validation_members: int = Field(default=2, ge=1)
    """Members of the committee that chooses."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=4, ge=1)
    """Looks without a better value after which the choosing stops."""

    @model_validator(mode="after")
    def _validation_has_data(self) -> Self:
        if self.linear_weight == "validation" and not self.validation_fraction:
            raise ValueError("linear_weight=validation needs a validation_fraction above 0")
        return self
