"""Every choice of the game between text encoders as a named setting."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from training.config import RankerConfig

Weight = Annotated[float, Field(ge=0)]


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of SciFact's and Cranfield's training queries."""

    body: Literal["minilm", "cnn"] = "minilm"
    """`minilm`: all-MiniLM-L6-v2; `cnn`: convolutions over subwords that are learned from the collection."""
    unfrozen: bool = False
    """With `minilm`: its own weights learn as well; on a GPU only."""
    query_tokens: int = Field(default=64, ge=3, le=512)
    """Where queries are cut off."""
    document_tokens: int = Field(default=192, ge=3, le=512)
    """Where documents are."""
    k1: float = Field(default=1.2, gt=0)
    """Of BM25."""
    b: float = Field(default=0.75, ge=0, le=1)
    """Of BM25."""

    head_rank: int = Field(default=64, ge=0)
    """Rank of what the heads add to the body's vectors."""
    head: Literal["shared", "query", "both"] = "query"
    """`shared`: one head for queries and documents; `query`: documents keep the body's vectors; `both`: one each."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of a head's components, and of the CNN's units, that training switches off."""
    num_tokens: int = Field(default=8_000, ge=300)
    """Subwords of the CNN body."""
    embedding_size: int = Field(default=100, ge=1)
    """Of a subword, in the CNN body; the paper's value."""
    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 2, 3)
    """Subwords in a window of the CNN body; the paper has 1, 2, 3 and 5."""
    num_filters: int = Field(default=128, ge=1)
    """Of each width; the paper has 500."""

    num_pseudo_epochs: int = Field(default=4, ge=0)
    """Passes over the collection before any judgement is used, each title asking for its own document; only for a body that learns."""
    num_epochs: int = Field(default=6, ge=0)
    """Passes over the judged pairs at most; validation may choose fewer, or none."""
    batch_size: int = Field(default=64, ge=1)
    """Pairs of a query and a relevant document."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """Of AdamW, on a cosine to zero over the epochs."""
    body_learning_rate: float | None = Field(default=None, gt=0)
    """The same for a body that learns; without a value 2e-3 for the CNN and 2e-5 for MiniLM."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Of AdamW; a head without weights is the identity."""
    temperature: float = Field(default=0.05, gt=0)
    """τ of the generator's softmax over inner products, and of the discriminator's logits."""

    adversary: Literal["discriminator", "none"] = "discriminator"
    """`none`: the same steps on the same documents by likelihood alone, the twin that shows what the adversary adds."""
    objective: Literal["pointwise", "pairwise"] = "pairwise"
    """Whether the discriminator judges documents, or which of two documents is the relevant one."""
    reward_weight: float = Field(default=0.3, ge=0)
    """The generator minimises −log likelihood − reward_weight · expected reward."""
    discriminator_learning_rate: float = Field(default=1e-3, gt=0)
    """Of AdamW."""
    num_negatives: int = Field(default=2, ge=1)
    """Documents that are picked for each pair."""
    shortlist_size: int = Field(default=100, ge=2)
    """Documents that the generator picks from: half by BM25, half by its own vectors."""
    uniform_share: float = Field(default=0.5, ge=0, le=1)
    """Chance of a pick to come from the whole collection instead."""
    refresh_every: int = Field(default=2, ge=1)
    """Epochs after which the shortlists and the generator's choice among them are made anew."""

    memory_weight: Weight | Literal["validation"] = "validation"
    """What the training queries of a document weigh beside its own text; `validation` chooses among 0, 0.3, 0.5, 0.7 and 1."""
    memory_threshold: float | Literal["validation"] = "validation"
    """How like a document's training queries a query must be to gain from them; `validation` chooses among 0, 0.1, 0.2 and 0.3."""
    memory_neighbour_share: Weight | Literal["validation"] = "validation"
    """How much of what a document's neighbours have in common is left out of its memory; `validation` chooses between 0.75 and 0."""

    validation_fraction: float = Field(default=0.3, ge=0, lt=1)
    """Share of the training queries that choose; half of them at random, half so that none of their documents is learned from."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between looks at the validation queries."""
    patience: int = Field(default=5, ge=1)
    """Looks without a better value after which the choosing stops."""
