"""What a snapshot is like, in a few figures, and how far two of them are apart.

Shapes: I items.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.data import Dataset


def profile_of(dataset: Dataset, *, has_item_table: bool) -> dict[str, Any]:
    """The figures that limits are about; JSON values only.

    Args:
        dataset: all events.
        has_item_table: whether a table of items was given, so that an item can be missing in it.
    """
    data = dataset.interactions
    counts_I = np.bincount(data.item_rows, minlength=data.num_items)
    unknown_I = _unknown(dataset) if has_item_table else np.zeros(data.num_items, dtype=bool)
    assert data.times is not None
    return {
        "events": len(data),
        "users": len(np.unique(data.user_rows)),
        "items": int(np.count_nonzero(counts_I)),
        "unknown_items": float(counts_I[unknown_I].sum() / len(data)),
        "mean_rating": None if data.ratings is None else float(data.ratings.astype(np.float64).mean()),
        "first": int(data.times.min()),
        "last": int(data.times.max()),
        "columns": sorted(map(str, dataset.item_table.columns)),
        "popularity": {data.items.id(int(row)): int(counts_I[row]) for row in np.flatnonzero(counts_I)},
    }


def _unknown(dataset: Dataset) -> np.ndarray:
    """Items of which the table knows nothing but the id, bool [I]."""
    if not len(dataset.item_table.columns):
        return np.zeros(dataset.interactions.num_items, dtype=bool)
    missing: np.ndarray = dataset.item_table.isna().all(axis=1).to_numpy()
    return missing


def drift(popularity: dict[str, int], others: dict[str, int]) -> float:
    """Jensen–Shannon divergence of two distributions over items, in bits: JS(P, Q) = H((P + Q) / 2) − (H(P) + H(Q)) / 2.

    Args:
        popularity: events of each item.
        others: likewise; items that are in one alone count 0 in the other.
    """
    items = list(popularity | others)
    p_I, q_I = (np.array([own.get(item, 0) for item in items], dtype=np.float64) for own in (popularity, others))
    p_I, q_I = p_I / p_I.sum(), q_I / q_I.sum()
    return max(0.0, _entropy((p_I + q_I) / 2.0) - (_entropy(p_I) + _entropy(q_I)) / 2.0)


def _entropy(probs_I: np.ndarray) -> float:
    positive = probs_I[probs_I > 0]
    return float(-(positive * np.log2(positive)).sum())
