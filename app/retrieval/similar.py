"""Items like an item: the cosine between item vectors, the bias left out.

Shapes: I items, D dimensions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from app.bundle import Bundle
from app.retrieval.filters import Condition
from app.retrieval.index import FaissIndex, without
from app.retrieval.quantized import Search
from app.retrieval.recommend import Ranking, Recommender, Searching


@dataclass(frozen=True, slots=True)
class Likeness:
    """A question for items like an item.

    Attributes:
        item: its id.
        k: how many items, at least 1.
        filters: conditions that every answered item meets.
        diversity: 0 for the plain ranking, up to 1.
        exclude: ids that must not be answered; unknown ones do no harm.
    """

    item: str
    k: int = 10
    filters: tuple[Condition, ...] = ()
    diversity: float = 0.0
    exclude: Collection[str] = ()


class SimilarItems:
    """Answers for one bundle.

    A popular item is not alike to everything: the bias dimension and the vectors' lengths say how much an item is liked, not what
    it is like, so neither counts here.

    Args:
        bundle: a verified bundle.
        recommender: of the same bundle; its unit vectors and its filters serve here too.

    Attributes:
        index: over the unit vectors.
    """

    def __init__(self, bundle: Bundle, recommender: Recommender) -> None:
        self._items = bundle.items
        self._recommender = recommender
        self._unit_vectors_ID = recommender.unit_vectors_ID
        flat = faiss.IndexFlatIP(self._unit_vectors_ID.shape[1])
        flat.add(self._unit_vectors_ID)
        self.index = FaissIndex(flat, self._unit_vectors_ID)

    def similar(self, item: str, *, k: int, filters: tuple[Condition, ...] = (), diversity: float = 0.0) -> Ranking:
        """The k items most like one, that one left out; popularity answers for an item of which the ranker knows nothing.

        Raises:
            UnknownId: the catalogue does not hold the item.
            FilterInvalid: a filter cannot be compiled.
        """
        return self.similar_all([Likeness(item, k, filters, diversity)])[0]

    def similar_all(self, queries: Sequence[Likeness]) -> list[Ranking]:
        """The same for each query, in their order; what must be searched is searched together, which costs less.

        Raises:
            UnknownId, FilterInvalid: as `similar`, of one of them.
        """
        return self._recommender.answer(self.index, [(self._prepared(query), query.k, query.diversity) for query in queries])

    def _prepared(self, query: Likeness) -> Ranking | Searching:
        row = self._items.row(query.item)
        allowed_I = self._recommender.filters.allowed(query.filters)
        others = {found for item in query.exclude if (found := self._items.find(item)) is not None}
        excluded_E = np.array([row, *others - {row}], dtype=np.int64)
        query_D = self._unit_vectors_ID[row]
        if not query_D.any():
            return self._recommender.popular(query.k, without(allowed_I, excluded_E, len(self._items)), query.diversity)
        return Searching(Search(query_D, self._recommender.pool(query.k, query.diversity), allowed_I, excluded_E))
