"""Every choice as a named setting."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from training.config import RankerConfig


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on WikiQA's validation questions.

    Where a default is `None`, the body decides; the page of the ranker says how.
    """

    body: Literal["cnn", "minilm"] = "cnn"
    """What reads the texts: the paper's convolutions over subwords, or heads over the frozen sentence encoder all-MiniLM-L6-v2."""
    num_members: int | None = Field(default=None, ge=1)
    """Encoders, trained one after the other; their scores are averaged. None: 3 with `cnn`, 4 with `minilm`.
    The paper has one."""

    num_tokens: int = Field(default=8_000, ge=300)
    """With `body=cnn`: the vocabulary of subwords."""
    embeddings: Literal["cooccurrence", "random"] = "cooccurrence"
    """With `body=cnn`: where embeddings start. `cooccurrence`: from which subwords stand near which in the collection."""
    embedding_size: int = Field(default=64, ge=1)
    """With `body=cnn`: dimensions of a subword; official code: 100."""
    widths: Annotated[tuple[int, ...], Field(min_length=1)] = (1, 2, 3, 5)
    """With `body=cnn`: subwords in a window; the paper's."""
    num_filters: int = Field(default=50, ge=1)
    """With `body=cnn`: of each width; official code: 500."""
    rank: int = Field(default=32, ge=1)
    """With `body=minilm`: of the heads."""
    query_tokens: int = Field(default=32, ge=3)
    """Where questions are cut off."""
    document_tokens: int | None = Field(default=None, ge=3)
    """Where answers are cut off; None: 40 with `cnn`, 64 with `minilm`."""

    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of units switched off in training; None: 0.2 with `cnn`, 0.3 with `minilm`."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Of AdamW."""
    batch_size: int = Field(default=32, ge=1)
    """Questions."""
    num_random: int = Field(default=16, ge=0)
    """Random documents in the pool of a batch in pre-training, beside the questions' own candidates."""
    num_random_picked: int = Field(default=0, ge=0)
    """Random documents in the pool that the generator picks from. Official code: all of its 100. Where a question has no other candidates,
    as many as in pre-training."""

    pretraining: Literal["hinge", "likelihood"] = "hinge"
    """Of QA-CNN. `hinge`: right answers against uniform picks from the pool; `likelihood`: softmax over a question's own candidates."""
    margin: float | None = None
    """m of the hinge loss; None: 0.2. Official code: 0.05."""
    likelihood_temperature: float = Field(default=0.05, gt=0)
    """τ of the softmax likelihood."""
    num_pretraining_epochs: int | None = Field(default=None, ge=1)
    """Passes over the questions, the length of a cosine; validation chooses the moment. None: 5 with `cnn`, 15 with `minilm`."""
    pretraining_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of AdamW; None: 2e-3 with `cnn`, 3e-3 with `minilm`."""

    adversary: Literal["generator", "hard-negatives", "none"] = "generator"
    """Who picks wrong answers after pre-training. `generator`: the other player; `hard-negatives`: a softmax over the learner's own
    scores, a rule that does not learn; `none`: nobody, as many more passes of pre-training."""
    player: Literal["discriminator", "generator"] = "discriminator"
    """Who answers in the end."""
    discriminator_loss: Literal["logistic", "hinge"] = "logistic"
    """Of right answers against the picks: −log σ of the difference, the paper's, or as in pre-training and in the official code."""
    discriminator_temperature: Annotated[float, Field(gt=0)] | None = None
    """τ of the difference in the logistic loss; None: 0.05 with `cnn`, 0.1 with `minilm`."""
    num_rounds: int | None = Field(default=None, ge=0)
    """Passes of the game over the questions; validation chooses the moment. None: 6 with `cnn`, 8 with `minilm`; 0 ends with pre-training."""
    kept: Literal["validation", "played"] = "validation"
    """What answers: whichever of the two stages is better on the validation questions, or the one after the game whatever they say."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of AdamW, of the discriminator in the game, on a cosine; None: 2e-3 with `cnn`, 1e-3 with `minilm`."""
    generator_learning_rate: float = Field(default=1e-3, gt=0)
    """Of AdamW, of the generator."""
    temperature: float = Field(default=0.1, gt=0)
    """τ of the generator's softmax over the pool, and of the rule of `hard-negatives`. Official code: 1 / 20 of a cosine."""
    reward_temperature: float = Field(default=0.1, gt=0)
    """Of the reward 2σ((m − (s⁺ − s)) / τ) − 1; official code: 1."""
    likelihood_weight: float = Field(default=0.0, ge=0)
    """The generator maximises expected reward + this × log likelihood of right answers; the paper has 0."""

    k1: float = Field(default=0.3, gt=0)
    """Of the lexical index. Sentences repeat few words: near 0 only the words' rarity counts."""
    b: float = Field(default=0.0, ge=0, le=1)
    """Of the lexical index. Candidates are sentences, of which longer ones answer more."""
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of the questions set apart to choose the moment, fusion and mode, where the data set has no validation part."""
    validate_every: int = Field(default=1, ge=1)
    """Passes between looks at the validation questions."""
    patience: int = Field(default=5, ge=1)
    """Looks without a better value after which a phase ends."""

    def resolved(self) -> Self:
        """The same with the body's own defaults in place of every `None`."""
        own = {name: value for name, value in _OF_BODY[self.body].items() if getattr(self, name) is None}
        return self.model_copy(update=own)


_OF_BODY: dict[str, dict[str, Any]] = {
    "cnn": {
        "num_members": 3,
        "document_tokens": 40,
        "dropout": 0.2,
        "margin": 0.2,
        "num_pretraining_epochs": 5,
        "num_rounds": 6,
        "discriminator_temperature": 0.05,
        "pretraining_learning_rate": 2e-3,
        "learning_rate": 2e-3,
    },
    "minilm": {
        "num_members": 4,
        "document_tokens": 64,
        "dropout": 0.3,
        "margin": 0.2,
        "num_pretraining_epochs": 15,
        "num_rounds": 8,
        "discriminator_temperature": 0.1,
        "pretraining_learning_rate": 3e-3,
        "learning_rate": 1e-3,
    },
}
