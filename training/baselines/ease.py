"""EASE: a linear autoencoder with a zero diagonal, in closed form.

Shapes: U users, I items.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

from training.baselines.memory import check_square


def ease_weights(matrix_UI: sp.csr_matrix, *, l2: float) -> np.ndarray:
    """B = I − P diag(P)⁻¹ with P = (XᵀX + λI)⁻¹ (Steck 2019, Eq. 8); the score of item j is (x B)_j.

    Args:
        matrix_UI: X, one row a user.
        l2: λ.

    Returns:
        float64 [I, I], zero on the diagonal.

    Raises:
        DataError: too many items for a matrix of items by items.
    """
    check_square(matrix_UI.shape[1], copies=3, ranker="EASE")
    gram_II = (matrix_UI.T @ matrix_UI).toarray().astype(np.float64)
    np.fill_diagonal(gram_II, gram_II.diagonal() + l2)
    inverse_II = np.linalg.inv(gram_II)
    weights_II: np.ndarray = inverse_II / -np.diag(inverse_II)
    np.fill_diagonal(weights_II, 0.0)
    return weights_II


def low_rank_ease(matrix_UI: sp.csr_matrix, *, l2: float, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """EASE cut to its leading singular values: B ≈ L Rᵀ.

    Args:
        matrix_UI: X, one row a user.
        l2: λ.
        rank: singular values kept.
        seed: of the randomised decomposition.

    Returns:
        L and R, float64 [I, rank] each.

    Raises:
        DataError: too many items for a matrix of items by items.
    """
    weights_II = ease_weights(matrix_UI, l2=l2)
    left_IR, values_R, right_RI = randomized_svd(
        weights_II, n_components=min(rank, len(weights_II)), n_iter=7, random_state=seed
    )
    return left_IR * values_R, right_RI.T
