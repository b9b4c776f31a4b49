"""What is in data, as counts: JSON values only, None where there is no such thing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from training.data import SOURCES, default_feature_split, default_split, default_text_split

if TYPE_CHECKING:
    from training.data import Collection, Dataset, FeatureData, Judgements

_MOST_VALUES = 20
"""Distinct ratings up to which each gets its own line; beyond, they are counted in ten ranges."""


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """Counts of ratings or clicks."""
    events = dataset.interactions
    given = dataset.given_split
    return {
        "name": dataset.name,
        "kind": "interactions",
        "users": events.num_users,
        "items": events.num_items,
        "interactions": len(events),
        "density": len(events) / (events.num_users * events.num_items),
        "per_user": _spread_of(np.bincount(events.user_rows, minlength=events.num_users)),
        "per_item": _spread_of(np.bincount(events.item_rows, minlength=events.num_items)),
        "ratings": None if events.ratings is None else _histogram(events.ratings),
        "positive_threshold": None if events.ratings is None else float(events.positive_threshold),
        "positives": int(np.count_nonzero(events.is_positive)),
        "times": None if events.times is None else {"first": _iso(events.times.min()), "last": _iso(events.times.max())},
        "item_columns": [str(column) for column in dataset.item_table.columns],
        "default_split": default_split(dataset),
        "given_split": None
        if given is None
        else {str(part): int(np.count_nonzero(given == part)) for part in np.unique(given)},
        "fingerprint": events.fingerprint(),
        "terms": _terms(dataset.name),
    }


def describe_collection(collection: Collection) -> dict[str, Any]:
    """Counts of documents, queries and judgements; lengths are in words, as blanks part them."""
    texts = collection.texts()
    return {
        "name": collection.name,
        "kind": "documents",
        "language": collection.language,
        "documents": collection.num_documents,
        "empty_documents": sum(not text.strip() for text in texts),
        "words_per_document": _spread_of(np.array([len(text.split()) for text in texts])),
        "item_columns": [str(column) for column in collection.item_table.columns],
        "queries": len(collection.queries),
        "words_per_query": _spread_of(np.array([len(text.split()) for text in collection.query_texts])),
        "judged": {part: _judged(judgements) for part, judgements in collection.judged.items()} or None,
        "candidates": {part: _competing(pairs) for part, pairs in collection.candidates.items()} or None,
        "default_split": default_text_split(collection),
        "fingerprint": collection.fingerprint(),
        "terms": _terms(collection.name),
    }


def _judged(judgements: Judgements) -> dict[str, Any]:
    return {
        "queries": len(judgements.queries),
        "judgements": len(judgements),
        "answered_queries": len(judgements.positives.queries),
        "grades": _histogram(judgements.grades),
    }


def _competing(pairs: Judgements) -> dict[str, Any]:
    return {
        "queries": len(pairs.queries),
        "candidates": len(pairs),
        "per_query": _spread_of(np.unique(pairs.query_rows, return_counts=True)[1]),
    }


def describe_features(data: FeatureData) -> dict[str, Any]:
    """Counts of queries, candidates, features and grades."""
    parts = data.parts.values()
    return {
        "name": data.name,
        "kind": "features",
        "features": data.num_features,
        "queries": sum(part.num_queries for part in parts),
        "answered_queries": sum(len(np.unique(part.query_rows[part.grades > 0])) for part in parts),
        "candidates": sum(len(part.grades) for part in parts),
        "per_query": _spread_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        "grades": _histogram(np.concatenate([part.grades for part in parts])),
        "parts": {
            name: {"queries": part.num_queries, "candidates": len(part.grades), "grades": _histogram(part.grades)}
            for name, part in data.parts.items()
        },
        "default_split": default_feature_split(data),
        "fingerprint": {name: part.fingerprint() for name, part in data.parts.items()},
        "terms": _terms(data.name),
    }


def _terms(name: str) -> str | None:
    return SOURCES[name].terms if name in SOURCES else None


def _spread_of(counts: np.ndarray) -> Mapping[str, float] | None:
    if not len(counts):
        return None
    return {
        "least": int(counts.min()),
        "median": float(np.median(counts)),
        "mean": float(counts.mean()),
        "most": int(counts.max()),
    }


def _histogram(values: np.ndarray) -> dict[str, int]:
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= _MOST_VALUES:
        return {f"{value:g}": int(count) for value, count in zip(distinct, counts, strict=True)}
    counts, edges = np.histogram(values.astype(np.float64), bins=10)
    return {f"{low:.4g} to {high:.4g}": int(count) for low, high, count in zip(edges, edges[1:], counts, strict=False)}


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(int(seconds), tz=UTC).isoformat()
