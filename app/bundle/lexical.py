"""Lexical search: BM25 by the library bm25s, kept in a bundle as plain arrays.

score(q, d) = Σ_t idf(t) · tf(t, d) / (tf(t, d) + k1 (1 − b + b |d| / avg)), idf(t) = log(1 + (N − df + ½) / (df + ½)), summed over the
query's terms, repeated ones as often as they stand there (Robertson et al. 1994, in the form of Lucene).

Shapes: I documents, T distinct terms, P postings.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import bm25s
import numpy as np

from app.bundle.analysis import Analyzer
from app.bundle.errors import ContentInvalid
from app.bundle.manifest import Language

POSTINGS = "lexical.npz"
TERMS = "lexical.json"
_MOST = 1e6
"""A posting's weight is at most its idf, which is below log(N + 2): sums of what is less than this are finite."""


class LexicalIndex:
    """A BM25 index over I documents; nothing in it changes.

    Args:
        analyzer: makes terms of texts.
        terms: the vocabulary, T distinct terms.
        weights_P: float32 [P], what each posting adds to the score of its document.
        rows_P: int32 [P], the documents of the postings; term t has those from starts[t] to starts[t + 1].
        starts: int64 [T + 1].
        num_documents: I.
        average_length: mean number of terms in a document.
        k1, b: of the formula.
    """

    def __init__(
        self,
        *,
        analyzer: Analyzer,
        terms: Sequence[str],
        weights_P: np.ndarray,
        rows_P: np.ndarray,
        starts: np.ndarray,
        num_documents: int,
        average_length: float,
        k1: float,
        b: float,
    ) -> None:
        self.analyzer = analyzer
        self.num_documents = num_documents
        self.average_length = average_length
        self.k1, self.b = k1, b
        self._row_of = {term: row for row, term in enumerate(terms)}
        self._starts = starts
        self._bm25 = bm25s.BM25(k1=k1, b=b, method="lucene", backend="numpy", auto_compile=False)
        self._bm25.scores = {"data": weights_P, "indices": rows_P, "indptr": starts, "num_docs": num_documents}
        self._bm25.nonoccurrence_array = None

    @classmethod
    def build(cls, texts: Iterable[str], *, language: Language = "english", k1: float = 1.5, b: float = 0.75) -> Self:
        """Index texts; a document's row is its place among them."""
        analyzer = Analyzer(language)
        row_of: dict[str, int] = {}
        documents = [[row_of.setdefault(term, len(row_of)) for term in analyzer.terms(text)] for text in texts]
        lengths_I = np.fromiter(map(len, documents), dtype=np.int64, count=len(documents))
        bm25 = bm25s.BM25(k1=k1, b=b, method="lucene", backend="numpy", auto_compile=False)
        if row_of:
            scores = bm25.build_index_from_ids(list(range(len(row_of))), documents, show_progress=False)
            weights_P, rows_P, starts = scores["data"], scores["indices"], scores["indptr"]
        else:  # nothing but empty documents and stop words
            weights_P, rows_P, starts = np.zeros(0), np.zeros(0), np.zeros(1)
        return cls(
            analyzer=analyzer,
            terms=tuple(row_of),
            weights_P=np.asarray(weights_P, dtype=np.float32),
            rows_P=np.asarray(rows_P, dtype=np.int32),
            starts=np.asarray(starts, dtype=np.int64),
            num_documents=len(documents),
            average_length=float(lengths_I.mean()) if lengths_I.sum() else 1.0,
            k1=k1,
            b=b,
        )

    @property
    def terms(self) -> tuple[str, ...]:
        """The vocabulary, in row order."""
        return tuple(self._row_of)

    def scores(self, text: str) -> np.ndarray:
        """BM25 of every document for a query, float64 [I]; 0 where none of its terms stands there."""
        rows = [row for term in self.analyzer.terms(text) if (row := self._row_of.get(term)) is not None]
        if not rows:
            return np.zeros(self.num_documents)
        scores_I: np.ndarray = self._bm25.get_scores_from_ids(rows).astype(np.float64)
        return scores_I

    def inverse_frequency(self, term: str) -> float:
        """Idf of a term; of one that no document has, as if df were 0."""
        row = self._row_of.get(term)
        frequency = 0 if row is None else int(self._starts[row + 1] - self._starts[row])
        return math.log(1.0 + (self.num_documents - frequency + 0.5) / (frequency + 0.5))

    def score_of(self, query_terms: Iterable[str], counts: Counter[str], length: int) -> float:
        """BM25 of a document that the index does not hold, by the index's own statistics.

        Args:
            query_terms: with repetitions.
            counts: how often each term stands in the document.
            length: its terms in all.
        """
        norm = self.k1 * (1.0 - self.b + self.b * length / self.average_length)
        return sum(self.inverse_frequency(t) * counts[t] / (counts[t] + norm) for t in query_terms if t in counts)

    def write(self, folder: Path) -> None:
        """Write `lexical.npz` and `lexical.json`."""
        arrays = self._bm25.scores
        np.savez_compressed(
            folder / POSTINGS, allow_pickle=False, weights=arrays["data"], rows=arrays["indices"], starts=arrays["indptr"]
        )
        described = {
            "language": self.analyzer.language,
            "k1": self.k1,
            "b": self.b,
            "documents": self.num_documents,
            "average_length": self.average_length,
            "terms": self.terms,
        }
        (folder / TERMS).write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, postings: Path, terms: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            ContentInvalid: the two files do not fit together.
        """
        described = json.loads(terms.read_text(encoding="utf-8"))
        with postings.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            weights_P, rows_P, starts = stored["weights"], stored["rows"], stored["starts"]
        num_documents = int(described["documents"])
        kinds = tuple(array.dtype.kind for array in (weights_P, rows_P, starts))
        constants = [float(described[name]) for name in ("average_length", "k1", "b")]
        fits = (
            kinds == ("f", "i", "i")
            and all(array.ndim == 1 for array in (weights_P, rows_P, starts))
            and all(isinstance(term, str) for term in described["terms"])
            and all(map(math.isfinite, constants))
            and len(starts) == len(described["terms"]) + 1
            and starts[0] == 0
            and starts[-1] == len(rows_P) == len(weights_P)
            and bool(np.all(np.diff(starts) >= 0))
            and (not len(rows_P) or (rows_P.min() >= 0 and rows_P.max() < num_documents))
            and len(set(described["terms"])) == len(described["terms"])
            and bool(np.all(np.abs(weights_P) < _MOST))
            and float(described["average_length"]) > 0
        )
        if not fits:
            raise ContentInvalid(f"{postings} and {terms.name} do not fit together; export the ranker again")
        for array in (weights_P, rows_P, starts):
            array.flags.writeable = False
        return cls(
            analyzer=Analyzer(described["language"]),
            terms=described["terms"],
            weights_P=weights_P,
            rows_P=rows_P,
            starts=starts,
            num_documents=num_documents,
            average_length=float(described["average_length"]),
            k1=float(described["k1"]),
            b=float(described["b"]),
        )
