"""Matrix factorisation by the library `implicit`.

Shapes: U users, I items, D embedding.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
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
    # The library has its own threads; BLAS threads below them only get in the way, and it says so.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=embedding_size,
            regularization=l2,
            alpha=confidence,
            iterations=num_epochs,
            random_state=seed,
            use_cg=False,
        )
        model.fit(matrix_UI, show_progress=progress)
    return model.user_factors, model.item_factors
