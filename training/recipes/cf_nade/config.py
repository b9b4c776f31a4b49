"""Every choice of CF-NADE as a named setting; the paper's values stand beside."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.config import RankerConfig

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of MovieLens 100K's training data."""

    form: Literal["user", "item", "both"] = "both"
    """`user`: a history is what a user rated. `item`: what an item's users gave it; there is no new user in it. `both`: the two mixed for
    known users, the user-based form alone for new ones."""
    item_weight: Share | Literal["validation"] = "validation"
    """With `form=both`, weight of the item-based form for known users; `validation` chooses it on held-out ratings."""
    num_members: int = Field(default=6, ge=1)
    """Models of each form, trained at once; their scores are averaged. The paper: 1."""
    hidden_size: int = Field(default=100, ge=1)
    """Hidden units of each layer. The paper: 500."""
    num_layers: int = Field(default=1, ge=1, le=2)
    """Hidden layers. The paper: 1 or 2."""
    rank: int = Field(default=0, ge=0)
    """Rank of factored weights; 0 for weights that are not factored. The paper, on Netflix: 50."""
    max_levels: int = Field(default=20, ge=2)
    """Every distinct rating is a star level; where there are more than this, so many bins of equally many ratings are."""
    history_exponent: float = Field(default=0.5, ge=0, le=1)
    """The hidden sum is divided by the length of the history to this power. The paper: 0."""
    offset: bool = True
    """A linear unit beside the hidden ones that says how high a history's ratings are altogether. The paper: none."""
    ordinal_weight: Share = 1.0
    """Of the ordinal cost, the rest being the regular one. The paper's best: 1."""
    least_visible: float = Field(default=0.0, ge=0, lt=1)
    """The share of a history that is shown is drawn between this and 1; above 0 the loss is no likelihood any more. The paper: 0."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Share of hidden units switched off in training. The paper: 0."""
    learning_rate: float = Field(default=7e-3, gt=0)
    """Of AdamW, on a cosine to zero over the epochs. The paper: Adam, 1e-3."""
    weight_decay: float = Field(default=1.0, ge=0)
    """Of AdamW on all weights but biases, user-based form. The paper's 0.02 is an L2 penalty in the loss, which is another thing."""
    item_weight_decay: float = Field(default=0.3, ge=0)
    """The same, item-based form."""
    batch_size: int = Field(default=64, ge=1)
    """Histories. The paper: 512."""
    num_epochs: int = Field(default=50, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""
    polyak: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the average of the weights over the steps that is used in the end; 0 for none. The paper: 0.995."""

    exposure_target: Literal["rated", "liked"] = "liked"
    """What the history encoder beside the ratings learns to predict: everything that somebody rates, or what they rate high."""
    exposure_weight: Weight = 1.0
    """Of log p(target | history) in the score, next to log P(rating ≥ positive threshold); 0 ranks by the ratings alone."""
    rating_weight: Weight | Literal["validation"] = 1.0
    """Of log P(rating ≥ positive threshold) in the score; `validation` chooses it by nDCG@10 on held-out events."""
    demote_low: bool = True
    """Items that somebody rated low come last in their ranking, whatever the scores."""
    exposure_members: int = Field(default=2, ge=1)
    """Encoders that learn what people rate at all, trained at once."""
    exposure_hidden_size: int = Field(default=200, ge=1)
    """Hidden units of each."""
    exposure_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of hidden units switched off in training."""
    exposure_learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over the epochs."""
    exposure_weight_decay: float = Field(default=0.3, ge=0)
    """Of AdamW."""
    exposure_batch_size: int = Field(default=128, ge=1)
    """Users."""
    exposure_epochs: int = Field(default=45, ge=1)
    """Length of its training."""

    table_rank: int = Field(default=64, ge=1)
    """The item-based form's scores of known users are kept to this rank, so that a user's row is short: this many numbers a level."""
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of each user's ratings held out to choose epochs and weights; 0 takes the last epoch, and needs weights as numbers."""
    validation_members: int = Field(default=1, ge=1)
    """Models of each form that choose."""
    validate_every: int = Field(default=10, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=2, ge=1)
    """Looks without a better value after which the choosing stops."""

    @model_validator(mode="after")
    def _validation_has_data(self) -> Self:
        if self.validation_fraction == 0 and "validation" in (self.item_weight, self.rating_weight):
            raise ValueError(
                "item_weight=validation and rating_weight=validation need a validation_fraction above 0; give numbers"
            )
        return self

    @property
    def forms(self) -> tuple[str, ...]:
        """Those that are trained."""
        return ("user", "item") if self.form == "both" else (self.form,)
