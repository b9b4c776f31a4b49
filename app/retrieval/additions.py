"""Documents that came after a bundle was made: few, searched beside the index by the index's own statistics.

Shapes: J documents, D dimensions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
        weights: what each of its terms adds to the score of a text that has the term, see `LexicalIndex.score_of`.
        vector_D: float32 [D]; None where there is lexical search alone.
    """

    document: Document
    weights: Mapping[str, float]
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
        length = counts.total()
        weights = {term: lexical.score_of([term], counts, length) for term in counts}
        additions.append(Addition(document, weights, vector_D))
    return additions


def lexical_scores(additions: Sequence[Addition], text: str, lexical: LexicalIndex) -> np.ndarray:
    """BM25 of every one by the index's statistics, float64 [J]."""
    terms = lexical.analyzer.terms(text)
    return np.array([sum(addition.weights.get(term, 0.0) for term in terms) for addition in additions], dtype=np.float64)


def vectors_of(additions: Sequence[Addition]) -> np.ndarray:
    """Their vectors, float32 [J, D]; none where there is lexical search alone."""
    vectors = [addition.vector_D for addition in additions if addition.vector_D is not None]
    return np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)


def inner_products(vectors_JD: np.ndarray, query_D: np.ndarray) -> np.ndarray:
    """Of each by itself, float64 [J]: a document's score does not depend on what else is there."""
    if not len(vectors_JD):
        return np.zeros(0)
    scores_J: np.ndarray = np.vecdot(vectors_JD.astype(np.float64), query_D.astype(np.float64))
    return scores_J


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
        self._analyzer = lexical.analyzer
        # Lists: they are written anew with every change, and only those of a query's terms are read.
        self._postings: dict[str, tuple[list[int], list[float]]] = {}
        for row, addition in enumerate(additions):
            for term, weight in addition.weights.items():
                rows, weights = self._postings.setdefault(term, ([], []))
                rows.append(row)
                weights.append(weight)
        self._vectors_JD = vectors_of(additions)

    def __len__(self) -> int:
        return len(self.additions)

    def lexical_scores(self, text: str) -> np.ndarray:
        """BM25 of every one, float64 [J]."""
        scores_J = np.zeros(len(self))
        for term in self._analyzer.terms(text) if len(self) else ():
            if term in self._postings:
                rows, weights = self._postings[term]
                scores_J[rows] += weights
        return scores_J

    def dense_scores(self, query_D: np.ndarray) -> np.ndarray:
        """Inner products, float64 [J]."""
        return inner_products(self._vectors_JD, query_D)
