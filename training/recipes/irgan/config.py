"""Every choice of the game as a named setting, those that the paper leaves open included."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import RankerConfig
from training.objectives.irgan import Baseline, GeneratorObjective


class Config(RankerConfig):
    """Hyper-parameters; the defaults were chosen on parts of MovieLens 100K's training data.

    Losses are sums over users of weighted positives, so a weight decay means the same on data of any size: the precision of a
    normal prior on the factors, beside which a user's positives are the evidence.
    """

    embedding_size: int = Field(default=5, ge=1)
    """Dimensions of both players; the paper's value."""
    init_std: float = Field(default=0.1, gt=0)
    """Standard deviation of the factors' random start; official code: uniform in ±0.05."""
    bias_start: Literal["log-popularity", "zero"] = "log-popularity"
    """Where the generator's item biases start."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Of all players; official code: SGD."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Of the learning rates within pre-training and of the generator's within the game; the discriminator's stays constant."""
    batch_size: int = Field(default=1024, ge=1)
    """Users; fewer where users × items would not fit in memory."""
    user_weight_exponent: float = Field(default=0.0, ge=0, le=1)
    """A user's n positives weigh n^−exponent each: 0 counts positives alike, as the official code does; 1 users alike."""

    pretraining: Literal["dns", "mle", "none"] = "dns"
    """How the generator starts: dynamic negative sampling, as in the paper; softmax likelihood; or from random factors."""
    num_pretraining_epochs: int = Field(default=100, ge=1)
    """Passes over the users; validation may choose to stop earlier."""
    pretraining_learning_rate: float = Field(default=0.05, gt=0)
    """Of the pre-training's optimiser."""
    pretraining_weight_decay: float = Field(default=0.7, ge=0)
    """Prior precision of the factors in pre-training."""
    num_candidates: int = Field(default=8, ge=1)
    """Random items of which dynamic negative sampling takes the one with the highest score."""

    adversary: Literal["discriminator", "likelihood", "hard-negatives"] = "discriminator"
    """Whom the generator plays. `likelihood`: nobody; as many steps of plain likelihood. `hard-negatives`: nobody either; a pair-wise
    loss against the hardest of `num_candidates` random items, a rule that does not learn, takes the reward's place."""
    player: Literal["generator", "discriminator"] = "generator"
    """Who ranks in the end; the paper ranks items with the generator. The other is exported as a variant."""
    num_rounds: int = Field(default=60, ge=0)
    """Rounds of the game, on whose number the cosine depends; validation may choose to stop earlier."""
    discriminator_steps: int = Field(default=1, ge=1)
    """Passes over the users a round; official code: 100."""
    generator_steps: int = Field(default=1, ge=1)
    """Passes over the users a round; official code: 50."""
    users_per_turn: int | None = Field(default=None, ge=1)
    """A pass of the game covers so many random users instead of all: for catalogues where users × items take too long."""
    generator_learning_rate: float = Field(default=0.05, gt=0)
    """Official code: 0.001 of SGD."""
    discriminator_learning_rate: float = Field(default=0.1, gt=0)
    """Official code: 0.001 of SGD."""
    generator_weight_decay: float = Field(default=3.0, ge=0)
    """Prior precision of the generator's factors in the game."""
    discriminator_weight_decay: float = Field(default=3.0, ge=0)
    """Prior precision of the discriminator's factors; without it the discriminator memorises the positives."""
    discriminator_start: Literal["random", "pretrained"] = "random"
    """Where the discriminator starts; official code: random."""
    likelihood_weight: float = Field(default=1.0, ge=0)
    """The generator maximises expected reward + this × log likelihood of the positives. 0 is the paper's game; it wants a generator
    learning rate near 0.003, and on validation data it then leaves the generator about where pre-training left it."""

    negatives: Literal["exact", "sampled"] = "exact"
    """The discriminator's expectation over the generator's picks: a sum over all items, or draws, as in the paper."""
    negatives_temperature: float = Field(default=1.0, gt=0)
    """Of the distribution that gives the discriminator its negatives; official code: 0.2."""
    mask_positives: bool = True
    """Never give a user's positives to the discriminator as negatives; false is the paper's game. The share is logged."""
    generator_objective: GeneratorObjective = "bounded"
    """The reward: `minimax` log(1 + exp f) (paper), `bounded` 2σ(f) − 1 (official code), `non-saturating` log σ(f)."""
    reward: Literal["exact", "sampled"] = "exact"
    """The generator's expected reward: a sum over all items, or REINFORCE on draws, as in the paper."""
    policy_temperature: float = Field(default=1.0, gt=0)
    """Of the generator's policy; official code: 1."""
    samples_per_positive: int = Field(default=2, ge=1)
    """With `reward=sampled`: draws for each of a user's positives; official code: 2."""
    positive_share: float = Field(default=0.2, ge=0, lt=1)
    """With `reward=sampled`: λ of the proposal p_n = (1 − λ) p + λ / |pos| on the positives; official code: 0.2."""
    baseline: Baseline = "expected"
    """With `reward=sampled`: what is subtracted from a reward; `expected` is the paper's, a constant 0.5 the official code's."""

    validation_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share of each user's events held out to choose the numbers of epochs and rounds; 0 takes the last ones."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs or rounds between looks at the validation data."""
    patience: int = Field(default=10, ge=1)
    """Looks without a better value after which the choosing stops; on a cosine the best moments come late, and the game's first
    rounds undo some of the pre-training."""
    validation_users: int = Field(default=2_000, ge=1)
    """At most as many users are looked at."""

    @model_validator(mode="after")
    def _who_ranks_has_played(self) -> Self:
        if self.player == "discriminator" and (self.adversary != "discriminator" or not self.num_rounds):
            raise ValueError("player=discriminator needs adversary=discriminator and at least one round")
        return self
