"""Matrix factorisations by the library `implicit`.

Shapes: U users, I items, D embedding.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from threadpoolctl import threadpool_limits


def ials(
    matrix_UI: sp.csr_matrix, *, embedding_size: int, l2: float, confidence: float, num_epochs: int, seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Implicit-feedback ALS (Hu, Koren, Volinsky 2008, Eq. 3): user vectors [U, D] and item vectors [I, D], float32.

    Args:
        matrix_UI: 1 where the user liked the item.
        embedding_size: D.
        l2: λ.
        confidence: the weight of a liked item beside 1 for all others.
        num_epochs: sweeps over users and items.
        seed: of the start.
        progress: a bar on stderr.
    """
    model = AlternatingLeastSquares(
        factors=embedding_size,
        regularization=l2,
        alpha=confidence,
        iterations=num_epochs,
        random_state=seed,
        use_cg=False,
    )
    # The library has its own threads; BLAS threads below them only get in the way, and it says so.
    with threadpool_limits(1, "blas"):
        model.fit(matrix_UI, show_progress=progress)
    return model.user_factors, model.item_factors


def bpr(
    matrix_UI: sp.csr_matrix,
    *,
    embedding_size: int,
    learning_rate: float,
    l2: float,
    num_epochs: int,
    seed: int,
    progress: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """BPR by stochastic gradient steps (Rendle et al. 2009, Fig. 4): user vectors [U, D + 1] and item vectors [I, D + 1], float32.

    The last dimension is the item bias, on which users carry 1. One thread, so that the same seed gives the same numbers.

    Args:
        matrix_UI: 1 where the user liked the item.
        embedding_size: D.
        learning_rate: of every step.
        l2: λ, the same for users, items and biases.
        num_epochs: passes over the liked items.
        seed: of the start and of the samples.
        progress: a bar on stderr.
    """
    model = BayesianPersonalizedRanking(
        factors=embedding_size,
        learning_rate=learning_rate,
        regularization=l2,
        iterations=num_epochs,
        verify_negative_samples=True,
        random_state=seed,
        num_threads=1,
    )
    with threadpool_limits(1, "blas"):
        model.fit(matrix_UI, show_progress=progress)
    return model.user_factors, model.item_factors
