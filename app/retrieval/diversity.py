"""Diversity by maximal marginal relevance (Carbonell and Goldstein 1998).

Shapes: C candidates, D dimensions, K answers.
"""

from __future__ import annotations

import numpy as np


def marginal_relevance(scores_C: np.ndarray, unit_vectors_CD: np.ndarray, k: int, diversity: float) -> np.ndarray:
    """Positions of the k candidates chosen one after the other, int64 [K].

    Each step takes argmax_i (1 − δ) · r_i − δ · max_{j chosen} cos(i, j), where δ is `diversity` and r the scores brought to 0 … 1
    over the candidates, so that δ means the same for every ranker. Ties go to the better ranked.

    Args:
        scores_C: scores, best first.
        unit_vectors_CD: the candidates' vectors of length one, without a bias.
        k: how many to choose.
        diversity: δ; 0 keeps the ranking, 1 looks at dissimilarity alone once the first is chosen.
    """
    k = min(k, len(scores_C))
    if k == 0:
        return np.zeros(0, dtype=np.int64)
    span = float(scores_C[0] - scores_C[-1])
    relevance_C = (scores_C - scores_C[-1]) / span if span > 0 else np.ones(len(scores_C))
    relevance_C = (1.0 - diversity) * relevance_C
    chosen = np.zeros(k, dtype=np.int64)  # the first is the best ranked: nothing is chosen that it could resemble
    likeness_C = unit_vectors_CD @ unit_vectors_CD[0]
    left_C = np.ones(len(scores_C), dtype=bool)
    left_C[0] = False
    for step in range(1, k):
        marginal_C = np.where(left_C, relevance_C - diversity * likeness_C, -np.inf)
        chosen[step] = pick = int(np.argmax(marginal_C))
        left_C[pick] = False
        np.maximum(likeness_C, unit_vectors_CD @ unit_vectors_CD[pick], out=likeness_C)
    return chosen
