"""What a recipe gives back.

A recipe is a function `train(data, config, run) -> TrainedRanker`. It never sees test data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.bundle import VectorModel
from training.data import Interactions
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
