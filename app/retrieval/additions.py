"""Documents that came after a bundle was made: few, searched beside the index by the index's own statistics.

Shapes: J documents, D dimensions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from app.bundle import LexicalIndex
from app.retrieval.catalogue import Catalogue, Document
from app.retrieval.dense import DenseSearch


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """A document, read once.

    Attributes:
        document: as it came.
        counts: how often each of its terms stands in it.
        length: its terms in all.
        vector_D: float32 [D]; None where there is lexical search alone.
    """

    document: Document
    counts: Counter[str]
    length: int
    vector_D: np.ndarray | None


def read_documents(
    documents: Sequence[Document], catalogue: Catalogue, lexical: LexicalIndex, dense: DenseSearch | None
) -> list[Addition]:
    """Documents as what is searched, all encoded together."""
    texts = [catalogue.searched(document) for document in documents]
    vectors: Iterable[np.ndarray | None] = [None] * len(texts) if dense is None else dense.documents(texts)
    additions = []
    for document, text, vector_D in zip(documents, texts, vectors, strict=True):
        counts = Counter(lexical.analyzer.terms(text))
        additions.append(Addition(document, counts, counts.total(), vector_D))
    return additions


class Additions:
    """Some additions in their order; nothing in it changes.

    Args:
        additions: J of them, with distinct ids.
        catalogue: of the release that they come to.
        lexical: its index; a term that no document of it has gets the idf of one that none has.
    """

    def __init__(self, additions: Sequence[Addition], catalogue: Catalogue, lexical: LexicalIndex) -> None:
        self.additions = tuple(additions)
        self.catalogue = catalogue.beside([addition.document for addition in additions])
        vectors = [addition.vector_D for addition in additions if addition.vector_D is not None]
        self.vectors_JD = np.stack(vectors) if vectors else None
        postings: dict[str, list[tuple[int, float]]] = {}
        for row, addition in enumerate(additions):
            for term in addition.counts:
                weight = lexical.score_of([term], addition.counts, addition.length)
                postings.setdefault(term, []).append((row, weight))
        self._postings = {
            term: (np.array([row for row, _ in pairs]), np.array([weight for _, weight in pairs]))
            for term, pairs in postings.items()
        }
        self._analyzer = lexical.analyzer

    def __len__(self) -> int:
        return len(self.additions)

    def lexical_scores(self, text: str) -> np.ndarray:
        """BM25 of every one, float64 [J]."""
        scores_J = np.zeros(len(self))
        for term in self._analyzer.terms(text):
            if term in self._postings:
                rows, weights = self._postings[term]
                scores_J[rows] += weights
        return scores_J

    def dense_scores(self, query_D: np.ndarray) -> np.ndarray:
        """Inner products, float64 [J]."""
        assert self.vectors_JD is not None or not len(self)
        if self.vectors_JD is None:
            return np.zeros(0)
        scores_J: np.ndarray = self.vectors_JD.astype(np.float64) @ query_D.astype(np.float64)
        return scores_J
