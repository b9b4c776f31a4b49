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

_CHUNK = 256
"""Additions whose words are looked up together; a change makes this many anew, not all."""

_Postings = dict[str, tuple[list[int], list[float]]]


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
        before: what there was before the latest change; most of it is still right.
    """

    def __init__(
        self, additions: Sequence[Addition], catalogue: Catalogue, lexical: LexicalIndex, before: Additions | None = None
    ) -> None:
        self.additions = tuple(additions)
        self.catalogue = catalogue.beside([addition.document for addition in additions])
        self._analyzer = lexical.analyzer
        known: dict[tuple[Addition, ...], _Postings] = {} if before is None else before._postings
        chunks = [self.additions[start : start + _CHUNK] for start in range(0, len(additions), _CHUNK)]
        self._postings: dict[tuple[Addition, ...], _Postings] = {
            chunk: known.get(chunk) or _postings(chunk) for chunk in chunks
        }
        self._vectors_JD = vectors_of(additions)

    def __len__(self) -> int:
        return len(self.additions)

    def lexical_scores(self, text: str) -> np.ndarray:
        """BM25 of every one, float64 [J]."""
        scores_J = np.zeros(len(self))
        terms = self._analyzer.terms(text) if len(self) else []
        for number, postings in enumerate(self._postings.values()):
            scores_of_chunk = scores_J[number * _CHUNK :]
            for term in terms:
                if term in postings:
                    rows, weights = postings[term]
                    scores_of_chunk[rows] += weights
        return scores_J

    def dense_scores(self, query_D: np.ndarray) -> np.ndarray:
        """Inner products, float64 [J]."""
        return inner_products(self._vectors_JD, query_D)


def _postings(additions: Sequence[Addition]) -> _Postings:
    """Term → the places of the additions that have it, and its weights in them; lists, since few of them are ever read."""
    postings: _Postings = {}
    for place, addition in enumerate(additions):
        for term, weight in addition.weights.items():
            places, weights = postings.setdefault(term, ([], []))
            places.append(place)
            weights.append(weight)
    return postings
