"""Credit of many answers at once.

Shapes: N answers, K positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.experiments.interleaving import Interleaved


def differences(shown: Sequence[Interleaved], clicked_NK: np.ndarray) -> np.ndarray:
    """What `credit` says, the second ranker's minus the first's, float64 [N].

    Args:
        shown: N answers by one method from two rankers, all with K items.
        clicked_NK: which positions were clicked, bool.
    """
    if shown[0].ranks is not None:
        return _balanced(np.array([each.ranks for each in shown]), clicked_NK)
    if shown[0].margins is not None:
        margins_NK = np.array([each.margins for each in shown])
    else:
        margins_NK = np.where(np.array([each.teams for each in shown]) == 0, 1.0, -1.0)
    found_N: np.ndarray = -(margins_NK * clicked_NK).sum(axis=1)
    return found_N


def _balanced(ranks_N2K: np.ndarray, clicked_NK: np.ndarray) -> np.ndarray:
    ranks_N2K = np.where(ranks_N2K == 0, np.iinfo(np.int64).max, ranks_N2K)
    last_N = clicked_NK.shape[1] - 1 - np.argmax(clicked_NK[:, ::-1], axis=1)
    depth_N = np.take_along_axis(ranks_N2K.min(axis=1), last_N[:, None], axis=1)
    counts_N2 = (clicked_NK[:, None, :] & (ranks_N2K <= depth_N[:, :, None])).sum(axis=2)
    found_N: np.ndarray = np.subtract(counts_N2[:, 1], counts_N2[:, 0], dtype=np.float64)
    return found_N
