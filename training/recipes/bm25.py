"""BM25: documents by the words that they share with a query. The baseline of search, and its first stage."""

from __future__ import annotations

from pydantic import Field

from app.bundle import LexicalIndex, SearchModel
from training.config import RankerConfig
from training.data import TextSplit
from training.loop import Run
from training.ranker import TrainedSearch


class Config(RankerConfig):
    """Hyper-parameters."""

    k1: float = Field(default=1.2, gt=0)
    """How soon a word's repetitions in a document stop to count; Lucene's default."""
    b: float = Field(default=0.75, ge=0, le=1)
    """How much longer documents are held back; 0 not at all, 1 in full."""


def train(data: TextSplit, config: Config, run: Run) -> TrainedSearch:  # noqa: ARG001 - nothing is random
    """Index the documents; judgements play no part."""
    collection = data.collection
    return TrainedSearch(
        SearchModel(LexicalIndex.build(collection.texts(), language=collection.language, k1=config.k1, b=config.b))
    )
