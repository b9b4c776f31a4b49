"""Items like an item: the cosine between item vectors, the bias left out.

Shapes: I items, D dimensions.
"""

from __future__ import annotations

import faiss
import numpy as np

from app.bundle import Bundle
from app.retrieval.filters import Condition
from app.retrieval.index import FaissIndex, without
from app.retrieval.recommend import Ranking, Recommender


class SimilarItems:
    """Answers for one bundle.

    A popular item is not alike to everything: the bias dimension and the vectors' lengths say how much an item is liked, not what
    it is like, so neither counts here.

    Args:
        bundle: a verified bundle.
        recommender: of the same bundle; its unit vectors and its filters serve here too.
    """

    def __init__(self, bundle: Bundle, recommender: Recommender) -> None:
        self._items = bundle.items
        self._recommender = recommender
        self._unit_vectors_ID = recommender.unit_vectors_ID
        flat = faiss.IndexFlatIP(self._unit_vectors_ID.shape[1])
        flat.add(self._unit_vectors_ID)
        self._index = FaissIndex(flat, self._unit_vectors_ID)

    def similar(self, item: str, *, k: int, filters: tuple[Condition, ...] = (), diversity: float = 0.0) -> Ranking:
        """The k items most like one, that one left out; popularity answers for an item of which the ranker knows nothing.

        Raises:
            UnknownId: the catalogue does not hold the item.
            FilterInvalid: a filter cannot be compiled.
        """
        row = self._items.row(item)
        allowed_I = self._recommender.filters.allowed(filters)
        itself = np.array([row])
        query_D = self._unit_vectors_ID[row]
        if not query_D.any():
            return self._recommender.popular(k, without(allowed_I, itself, len(self._items)), diversity)
        return Ranking(*self._recommender.search(self._index, query_D, k, allowed_I, diversity, excluded_E=itself))
