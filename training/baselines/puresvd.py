"""PureSVD: the truncated singular value decomposition with zeros for what is not known.

Shapes: U users, I items, D embedding.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

_POWER_ITERATIONS = 7


def item_factors(matrix_UI: sp.csr_matrix, *, embedding_size: int, seed: int) -> np.ndarray:
    """Q, the right singular vectors; the score of item j is x Q q_jᵀ (Cremonesi et al. 2010, Eq. 10). Float64 [I, D]."""
    embedding_size = min(embedding_size, *matrix_UI.shape)
    _, _, right_DI = randomized_svd(
        matrix_UI.astype(np.float64), n_components=embedding_size, n_iter=_POWER_ITERATIONS, random_state=seed
    )
    factors_ID: np.ndarray = right_DI.T
    return factors_ID
