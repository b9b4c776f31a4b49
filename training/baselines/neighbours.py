"""Item-based nearest neighbours.

Shapes: U users, I items.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from training.baselines.memory import check_square


def cosine_neighbours(matrix_UI: sp.csr_matrix, *, num_neighbours: int, shrinkage: float) -> np.ndarray:
    """Each item's weights from its nearest items: s_ij = x_i·x_j / (‖x_i‖‖x_j‖ + shrinkage), the rest zero.

    Args:
        matrix_UI: one row a user.
        num_neighbours: how many of the most similar items speak for an item.
        shrinkage: damps similarities that few users vouch for (Koren 2008).

    Returns:
        float64 [I, I]: row i holds what item i, had by the user, adds to every other item's score; zero on the diagonal.

    Raises:
        DataError: too many items for a matrix of items by items.
    """
    check_square(matrix_UI.shape[1], copies=3, ranker="item-knn")
    dot_II = (matrix_UI.T @ matrix_UI).toarray().astype(np.float64)
    norms_I = np.sqrt(dot_II.diagonal())
    similarity_II: np.ndarray = dot_II / np.maximum(np.outer(norms_I, norms_I) + shrinkage, 1e-12)
    np.fill_diagonal(similarity_II, 0.0)
    if num_neighbours < len(similarity_II):
        # Column j keeps the neighbours of item j, the item that is being scored.
        threshold_I = np.partition(similarity_II, -num_neighbours, axis=0)[-num_neighbours]
        similarity_II[similarity_II < threshold_I] = 0.0
    return similarity_II
