"""Ranking metrics from the places of the relevant items, many users at once.

Names are those of ir-measures, and so are the values: relevance is binary, P@k divides by k even where fewer candidates exist, AP and
RR look at the full ranking. Of answers to queries (`query_metrics`) nDCG counts grades, as trec_eval does.

Shapes: B users, I items; `hits_BI[b, r]` is true where the item at rank r (0 first) is relevant. B queries, I documents.
"""

from __future__ import annotations

import numpy as np

CUTOFFS = (3, 5, 10, 20, 50)


def user_metrics(hits_BI: np.ndarray, num_relevant_B: np.ndarray, cutoffs: tuple[int, ...] = CUTOFFS) -> dict[str, np.ndarray]:
    """P@k, R@k, nDCG@k for each cutoff, AP and RR of each user, float64 [B] each.

    Args:
        hits_BI: relevance in ranked order.
        num_relevant_B: relevant items of each user, those that are no candidates included; at least 1.
        cutoffs: the k.
    """
    num_ranks = hits_BI.shape[1]
    rows_H, ranks_H = np.nonzero(hits_BI)  # row-major, so ranks ascend within a user
    num_users = len(hits_BI)
    hits_B = np.bincount(rows_H, minlength=num_users)
    first_H = np.concatenate([[0], np.cumsum(hits_B)])[:-1].repeat(hits_B)
    nth_H = np.arange(len(rows_H)) - first_H + 1
    metrics: dict[str, np.ndarray] = {}
    discounts_I = 1.0 / np.log2(np.arange(2, max(num_ranks, *cutoffs) + 2))
    ideal_I = np.cumsum(discounts_I)

    def total(weights_H: np.ndarray, k: int) -> np.ndarray:
        return np.bincount(rows_H, weights=weights_H * (ranks_H < k), minlength=num_users)

    for k in cutoffs:
        found_B = total(np.ones(len(rows_H)), k)
        metrics[f"P@{k}"] = found_B / k
        metrics[f"R@{k}"] = found_B / num_relevant_B
        metrics[f"nDCG@{k}"] = total(discounts_I[ranks_H], k) / ideal_I[np.minimum(num_relevant_B, k) - 1]
    metrics["AP"] = total(nth_H / (ranks_H + 1), num_ranks) / num_relevant_B
    metrics["RR"] = total((nth_H == 1) / (ranks_H + 1), num_ranks)
    return metrics


def query_metrics(
    grades_BI: np.ndarray, order_BI: np.ndarray, num_found_B: np.ndarray, wanted: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Metrics of each query, float64 [B] each; 0 for a query without a relevant document.

    nDCG@k = Σ_r grade_r / log2(r + 1) over the first k ranks, divided by the same of the best possible order.

    Args:
        grades_BI: int64; of each document, 0 and below not relevant.
        order_BI: documents from best to worst; those that are not found come last, in any order.
        num_found_B: how many are found.
        wanted: names: P@k, R@k, nDCG@k, AP, RR.
    """
    gains_BI = np.maximum(grades_BI, 0)
    is_found_BI = np.arange(order_BI.shape[1]) < num_found_B[:, None]
    ranked_BI = np.take_along_axis(gains_BI, order_BI, axis=1) * is_found_BI
    cutoffs = tuple(sorted({int(name.split("@")[1]) for name in wanted if "@" in name}))
    num_relevant_B = np.count_nonzero(gains_BI, axis=1)
    metrics = user_metrics(ranked_BI > 0, np.maximum(num_relevant_B, 1), cutoffs)
    most = min(max(cutoffs, default=0), gains_BI.shape[1])
    ideal_BI = -np.sort(np.partition(-gains_BI, most - 1, axis=1)[:, :most], axis=1)
    discounts_I = 1.0 / np.log2(np.arange(2, most + 2))
    for k in cutoffs:
        ideal_B = ideal_BI[:, :k] @ discounts_I[:k]
        found_B = ranked_BI[:, :k] @ discounts_I[:k]
        metrics[f"nDCG@{k}"] = np.divide(found_B, ideal_B, out=np.zeros(len(ideal_B)), where=ideal_B > 0)
    return {name: metrics[name] for name in wanted}


def coverage(top_BK: np.ndarray, num_items: int) -> float:
    """Share of the catalogue that stands in somebody's list."""
    return len(np.unique(top_BK[top_BK >= 0])) / num_items


def novelty(top_BK: np.ndarray, popularity_I: np.ndarray, num_users: int) -> float:
    """Mean self-information of the listed items, bits: −log2 of the share of users who had the item (at least one is assumed)."""
    listed = top_BK[top_BK >= 0]
    return float(-np.log2(np.maximum(popularity_I[listed], 1.0) / num_users).mean())
