"""Every choice of the game over features as a named setting."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import RankerConfig
from training.data.candidates import Gains
from training.evaluation.committees import EpochChoice
from training.models.features import Activation
from training.objectives.irgan import Baseline, GeneratorObjective


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on the validation parts of MQ2008's folds."""

    form: Literal["pointwise", "pairwise"] = "pointwise"
    """What the discriminator judges: documents, or pairs of documents."""
    player: Literal["generator", "discriminator"] = "generator"
    """Who ranks in the end; the paper's point-wise figures are the generator's, its pair-wise ones the discriminator's. The other one is
    exported as a variant, and so is the generator before the game."""
    num_members: int = Field(default=8, ge=1)
    """Pairs of players that are trained at once, each generator against its own discriminator; the scores of those that rank are averaged.
    The paper has one pair."""
    hidden_size: int = Field(default=64, ge=1)
    """Hidden units of each player; 46, one a feature, in the paper."""
    activation: Activation = "relu"
    """Of hidden units; `tanh` in the official code."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of hidden units switched off in training."""
    batch_size: int = Field(default=64, ge=1)
    """Queries."""
    gains: Gains = "grade"
    """What a relevant document of grade g counts: g, or `exponential` 2^g − 1."""
    query_weight_exponent: float = Field(default=0.0, ge=0, le=1)
    """A query's loss is divided by the sum of its gains to this power: 0 counts relevant documents alike, 1 queries alike."""

    pretraining: Literal["likelihood", "ranknet"] = "likelihood"
    """How the generator starts: by the softmax likelihood of relevant documents, or pair by pair."""
    num_epochs: int = Field(default=20, ge=1)
    """Passes of the pre-training over the queries, the length of its cosine."""
    learning_rate: float = Field(default=5e-3, gt=0)
    """Of AdamW in the pre-training, on a cosine to zero."""
    weight_decay: float = Field(default=2.0, ge=0)
    """Of AdamW in the pre-training."""

    adversary: Literal["discriminator", "none"] = "discriminator"
    """`none`: as many steps of the pre-training's loss alone, the twin that shows what the adversary adds."""
    num_rounds: int = Field(default=15, ge=0)
    """Rounds of the game, the length of its cosine."""
    discriminator_steps: int = Field(default=1, ge=1)
    """Passes of the discriminator over the queries a round."""
    generator_steps: int = Field(default=1, ge=1)
    """Passes of the generator over the queries a round."""
    generator_learning_rate: float = Field(default=5e-3, gt=0)
    """Of AdamW in the game, on a cosine to zero."""
    generator_weight_decay: float = Field(default=2.0, ge=0)
    """Of AdamW in the game."""
    discriminator_learning_rate: float = Field(default=5e-3, gt=0)
    """Of AdamW, on a cosine to zero."""
    discriminator_weight_decay: float = Field(default=2.0, ge=0)
    """Of AdamW."""
    discriminator_start: Literal["random", "pretrained"] = "pretrained"
    """Where the discriminator starts."""
    pairs: Literal["picked", "fake"] = "picked"
    """With `form=pairwise`: `picked` puts relevant documents before the generator's picks (official code); `fake` tells true pairs from
    those in which a pick has taken the better document's place (paper)."""
    reward_weight: float = Field(default=1.0, ge=0)
    """The generator minimises likelihood_weight · the pre-training's loss − reward_weight · expected reward."""
    likelihood_weight: float = Field(default=1.0, ge=0)
    """Of the pre-training's loss in the game; 0 is the paper's game."""
    generator_objective: GeneratorObjective = "bounded"
    """The reward: `minimax` log(1 + exp f) (paper), `bounded` 2σ(f) − 1 (official code, point-wise), `non-saturating` log σ(f) (official
    code, pair-wise)."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the generator's policy; official code, point-wise: 0.2."""
    negatives: Literal["exact", "sampled"] = "exact"
    """The discriminator's expectation over picks: a sum over a query's documents, or one draw for each relevant one, as in the paper."""
    reward: Literal["exact", "sampled"] = "exact"
    """The generator's expected reward: a sum over a query's documents, or REINFORCE on draws, as in the paper."""
    samples_per_positive: int = Field(default=5, ge=1)
    """With `reward=sampled`: draws for each relevant document of a query."""
    positive_share: float = Field(default=0.5, ge=0, lt=1)
    """With `reward=sampled`: λ of the proposal (1 − λ) p + λ / |pos| on the relevant documents; official code: 0.5."""
    baseline: Baseline = "expected"
    """With `reward=sampled`: what is subtracted from a reward."""

    epoch: EpochChoice = "last"
    """Which epoch and round ranks: the last one of the cosine, or the one that did best on the validation queries."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs or rounds between looks at the validation queries."""
    patience: int = Field(default=4, ge=1)
    """With `epoch=validation`: looks without a better value after which a phase stops."""

    @model_validator(mode="after")
    def _who_ranks_has_played(self) -> Self:
        if self.player == "discriminator" and (self.adversary == "none" or not self.num_rounds):
            raise ValueError("player=discriminator needs adversary=discriminator and at least one round")
        return self
