"""Whom the clicks on an interleaved answer speak for.

Shapes: V rankers, K positions.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable

import numpy as np

from app.experiments.interleaving.interleaved import Interleaved


def credit(shown: Interleaved, clicked: Collection[Hashable]) -> np.ndarray:
    """What each ranker gets for the clicks on one answer, float64 [V].

    `team-draft`: one for every clicked item that the ranker brought. `balanced`: where k is the least rank that either gives to the
    lowest clicked item, the number of clicked items among the ranker's first k (Joachims 2003). `optimised`: what the items count
    for the ranker that has them higher. Whatever the method, differences between two rankers are what is meant.

    Args:
        shown: the answer.
        clicked: items; several clicks on one count as one, those that were not shown as none.
    """
    found_V = np.zeros(shown.num_rankers)
    positions = [position for position, item in enumerate(shown.items) if item in clicked]
    if not positions:
        return found_V
    if shown.ranks is not None:
        last = positions[-1]
        depth = min(ranks[last] for ranks in shown.ranks if ranks[last])
        for ranker, ranks in enumerate(shown.ranks):
            found_V[ranker] = sum(0 < ranks[position] <= depth for position in positions)
    elif shown.margins is not None:
        for position in positions:
            margin = shown.margins[position]
            found_V[0 if margin > 0 else 1] += abs(margin)
    else:
        for position in positions:
            found_V[shown.teams[position]] += 1.0
    return found_V
