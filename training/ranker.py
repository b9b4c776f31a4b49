"""What a recipe gives back.

A recipe is a function `train(data, config, run)`. It never sees test data. What it is given, and what it gives back, depends on what
it learns from:

    ratings or clicks        `Interactions`      → `TrainedRanker`
    documents                `TextSplit`         → `TrainedSearch`       (`without_test()`)
    candidates with features `FeatureSplit`      → `TrainedReranker`     (its test part empty)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.bundle import FeatureRanker, SearchModel, VectorModel
from training.data import FeatureSplit, Interactions, TextSplit
from training.loop import Run


@dataclass(frozen=True, slots=True)
class TrainedRanker:
    """A ranker ready for evaluation and export; its inner product is its own score.

    Attributes:
        model: vectors, encoder and policy, as the service will use them.
        bias_folded: whether the last dimension is the item bias.
        summary: what the run has to tell of itself: selected epoch, final epoch, validation figures; JSON values only.
        variants: other models of the same run by name, such as the discriminator.
    """

    model: VectorModel
    bias_folded: bool = False
    summary: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, VectorModel] = field(default_factory=dict)


class Recipe(Protocol):
    """The one function that a recipe's module must offer."""

    def __call__(self, data: Interactions, config: Any, run: Run) -> TrainedRanker:
        """Learn a ranker from training data alone."""
        ...


@dataclass(frozen=True, slots=True)
class TrainedSearch:
    """A search ranker ready for evaluation and export.

    Attributes:
        model: as the service will use it.
        summary: as of `TrainedRanker`.
        variants: other models of the same run by name, such as the discriminator, or the generator before the game.
    """

    model: SearchModel
    summary: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, SearchModel] = field(default_factory=dict)


class SearchRecipe(Protocol):
    """The one function that the module of a search recipe must offer."""

    def __call__(self, data: TextSplit, config: Any, run: Run) -> TrainedSearch:
        """Learn a search ranker from documents, and from the training judgements if there are any."""
        ...


@dataclass(frozen=True, slots=True)
class TrainedReranker:
    """A ranker of candidates with features, ready for evaluation and export.

    Attributes:
        model: as the service will use it.
        summary: as of `TrainedRanker`.
        variants: other models of the same run by name.
    """

    model: FeatureRanker
    summary: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, FeatureRanker] = field(default_factory=dict)


class RerankRecipe(Protocol):
    """The one function that the module of a reranking recipe must offer."""

    def __call__(self, data: FeatureSplit, config: Any, run: Run) -> TrainedReranker:
        """Learn a ranker from training candidates, choosing on the validation part."""
        ...
