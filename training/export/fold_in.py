"""Query vectors for people a matrix factorisation has never seen.

Shapes: U users, I items, D embedding dimensions.
"""

from __future__ import annotations

import numpy as np

from app.bundle import Histories, LinearEncoder

_RIDGE = 1.0


def fit_fold_in(user_vectors_UD: np.ndarray, item_vectors_ID: np.ndarray, histories: Histories) -> LinearEncoder:
    """A linear map from the mean item vector of a history to the user vector that training found for it, by ridge regression.

    W = argmin Σ_u ‖u − [mean_u; 1] W‖² + λ‖W‖²; a new person's query is [mean; 1] W. The map is folded into one table row an item.

    Args:
        user_vectors_UD: the learned users, constant dimensions such as the bias's 1 included.
        item_vectors_ID: the learned items, in whichever form describes a history best.
        histories: what each of the U users liked.
    """
    averaging = LinearEncoder(table_ID=item_vectors_ID.astype(np.float32), exponent=1.0)
    filled_U = histories.lengths > 0
    means_UD = averaging.encode(histories)[filled_U].astype(np.float64)
    design = np.hstack([means_UD, np.ones((len(means_UD), 1))])
    penalty = _RIDGE * np.eye(design.shape[1])
    penalty[-1, -1] = 0.0  # the intercept is free
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ user_vectors_UD[filled_U].astype(np.float64))
    table_ID = item_vectors_ID.astype(np.float64) @ weights[:-1]
    return LinearEncoder(table_ID=table_ID.astype(np.float32), intercept_D=weights[-1].astype(np.float32), exponent=1.0)
