"""Candidates of queries as feature vectors with grades: what learning to rank learns from.

Shapes: N candidates, Q queries, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFeatures:
    """N candidates, those of a query one after the other.

    Attributes:
        query_ids: Q external ids.
        offsets: int64 [Q + 1]; query q has the candidates from offsets[q] to offsets[q + 1].
        features_NF: float32 [N, F]; feature number n of the files is column n − 1.
        grades: int64 [N]; 0 is not relevant, more is better.
        document_ids: N external ids; empty texts where the files name none.
    """

    query_ids: tuple[str, ...]
    offsets: np.ndarray
    features_NF: np.ndarray
    grades: np.ndarray
    document_ids: tuple[str, ...]

    @property
    def num_queries(self) -> int:
        """Q."""
        return len(self.query_ids)

    @property
    def num_features(self) -> int:
        """F."""
        return int(self.features_NF.shape[1])

    @property
    def query_rows(self) -> np.ndarray:
        """The query of each candidate, int64 [N]."""
        return np.repeat(np.arange(self.num_queries, dtype=np.int64), np.diff(self.offsets))

    def take(self, queries: np.ndarray) -> Self:
        """Some queries with their candidates, in the order given."""
        lengths = np.diff(self.offsets)[queries]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.offsets[:-1][queries], lengths)
        return type(self)(
            tuple(self.query_ids[query] for query in queries),
            offsets,
            self.features_NF[positions],
            self.grades[positions],
            tuple(self.document_ids[position] for position in positions),
        )

    def widened(self, num_features: int) -> Self:
        """The same with features of 0 added at the end, so that there are as many as asked for."""
        features_NF = np.pad(self.features_NF, ((0, 0), (0, num_features - self.num_features)))
        return replace(self, features_NF=features_NF)

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Several parts of the same features as one, one after the other."""
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(
            tuple(query for part in parts for query in part.query_ids),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate([part.features_NF for part in parts]),
            np.concatenate([part.grades for part in parts]),
            tuple(document for part in parts for document in part.document_ids),
        )

    def fingerprint(self) -> str:
        """SHA-256 over ids, features and grades."""
        digest = hashlib.sha256()
        for ids in (self.query_ids, self.document_ids):
            digest.update("\0".join(ids).encode())
            digest.update(b"\1")
        for array, dtype in ((self.offsets, "<i8"), (self.features_NF, "<f4"), (self.grades, "<i8")):
            digest.update(np.ascontiguousarray(array, dtype=dtype).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class FeatureData:
    """Candidates of queries in the parts that their files are.

    Attributes:
        name: as in `irgan data list`, or the folder's or file's name.
        parts: by the names of the files, `train`, `valid` and `test` among them where the data are cut so; all have the same features.
    """

    name: str
    parts: Mapping[str, JudgedFeatures]

    @property
    def num_features(self) -> int:
        """F."""
        return next(iter(self.parts.values())).num_features


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSplit:
    """Queries with candidates, cut in three; where a data set comes in folds, one of them.

    Attributes:
        dataset: the name of the data set.
        name, parameters: how it was cut; recorded in the bundle.
        train, valid: what a ranker may learn from, and what it chooses on.
        test: what it is measured on.
    """

    dataset: str
    name: str
    parameters: dict[str, Any]
    train: JudgedFeatures
    valid: JudgedFeatures
    test: JudgedFeatures
