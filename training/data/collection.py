"""Documents, queries and which documents answer which query: what search rankers learn from.

Shapes: I documents, Q queries, N judged pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from app.bundle import Vocabulary
from app.bundle.manifest import Language


@dataclass(frozen=True, slots=True, eq=False)
class Judgements:
    """N (query, document, grade) triples, as row numbers; no pair stands there twice.

    Attributes:
        query_rows, document_rows: int64 [N].
        grades: int64 [N]; 0 says that the document was looked at and is no answer, more is better.
    """

    query_rows: np.ndarray
    document_rows: np.ndarray
    grades: np.ndarray

    def __len__(self) -> int:
        return len(self.query_rows)

    @property
    def queries(self) -> np.ndarray:
        """Rows of the queries that are judged, ascending, int64."""
        rows: np.ndarray = np.unique(self.query_rows)
        return rows

    def where(self, keep: np.ndarray) -> Self:
        """The triples for which `keep` (bool [N], or positions) holds."""
        return type(self)(self.query_rows[keep], self.document_rows[keep], self.grades[keep])

    def of_queries(self, rows: np.ndarray) -> Self:
        """The triples of some queries."""
        return self.where(np.isin(self.query_rows, rows))

    @property
    def positives(self) -> Self:
        """The triples with a grade above 0."""
        return self.where(self.grades > 0)

    @classmethod
    def none(cls) -> Self:
        """No triples."""
        empty = np.zeros(0, dtype=np.int64)
        return cls(empty, empty, empty)


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Documents and, perhaps, queries with judgements.

    Attributes:
        name: as in `irgan data list`, or the folder's or file's name.
        documents: external ids of all I documents.
        item_table: one row a document, in row order: `title` (text or missing), `text`, and any metadata.
        queries: external ids of all Q queries.
        query_texts: Q texts.
        judged: part → judgements; parts are called as their files are: `train`, `dev`, `test`, `all`.
        candidates: part → the pairs that compete, with their grades where they are judged and 0 elsewhere; empty where all documents do.
        language: of all texts.
    """

    name: str
    documents: Vocabulary
    item_table: pd.DataFrame
    queries: Vocabulary
    query_texts: Sequence[str] = ()
    judged: Mapping[str, Judgements] = field(default_factory=dict)
    candidates: Mapping[str, Judgements] = field(default_factory=dict)
    language: Language = "english"

    @property
    def num_documents(self) -> int:
        """I."""
        return len(self.documents)

    def texts(self) -> list[str]:
        """What is searched of each document: its title, then its text."""
        titles = self.item_table["title"] if "title" in self.item_table else [None] * len(self.item_table)
        return [
            f"{title} {text}" if isinstance(title, str) and title else str(text)
            for title, text in zip(titles, self.item_table["text"], strict=True)
        ]

    def fingerprint(self, train: Judgements | None = None) -> str:
        """SHA-256 over ids and texts, and the judgements that were learned from."""
        digest = hashlib.sha256()
        for part in (self.documents.ids, self.texts(), self.queries.ids, self.query_texts):
            digest.update("\0".join(part).encode("utf-8", "surrogatepass"))
            digest.update(b"\1")
        for array in () if train is None else (train.query_rows, train.document_rows, train.grades):
            digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class TextSplit:
    """A collection with its judgements cut in two.

    Attributes:
        collection: documents and queries; its own judgements are not for recipes.
        name, parameters: how it was cut; recorded in the bundle.
        train: what a ranker may learn from, validation included.
        test: what it is measured on.
        train_candidates, test_candidates: the pairs that compete, where not all documents do; else None.
        valid_queries: rows of those training queries that the data set gives for validation (a part `dev` or `valid`), those with
            candidates and no answer among them; None where it gives none, and a recipe sets some apart itself.
    """

    collection: Collection
    name: str
    parameters: dict[str, Any]
    train: Judgements
    test: Judgements
    train_candidates: Judgements | None = None
    test_candidates: Judgements | None = None
    valid_queries: np.ndarray | None = None

    def without_test(self) -> Self:
        """The split as a recipe gets it: nothing is known of the test part, the texts of its queries included."""
        known = self.train.queries
        if self.train_candidates is not None:  # a question may have candidates and no judgement: none of them answers it
            known = np.union1d(known, self.train_candidates.queries)
        texts = list(self.collection.query_texts)
        hidden = np.setdiff1d(np.arange(len(texts)), known)
        for row in hidden:
            texts[row] = ""
        collection = replace(self.collection, query_texts=tuple(texts), judged={}, candidates={})
        return replace(self, collection=collection, test=Judgements.none(), test_candidates=None)
