"""Fold-in: people who were not there get the vector that training would have found, as far as that is linear.

Shapes: U users, I items, D dimensions.
"""

from __future__ import annotations

import numpy as np

from app.bundle import Histories
from training.export import fit_fold_in


def histories(num_users: int, num_items: int, rng: np.random.Generator) -> Histories:
    """One to nine items each, but nobody's for every tenth user."""
    lengths = rng.integers(1, 10, size=num_users)
    lengths[::10] = 0
    return Histories.of([rng.choice(num_items, size=length, replace=False).tolist() for length in lengths])


def means(items_ID: np.ndarray, histories: Histories) -> np.ndarray:
    """Mean item vector of each history, one by one."""
    parts = np.split(histories.items, histories.offsets[1:-1])
    return np.array([items_ID[part].mean(axis=0) if len(part) else np.zeros(items_ID.shape[1]) for part in parts])


def test_users_that_are_a_linear_function_of_their_mean_are_recovered() -> None:
    """W and the intercept come back for users it has seen and for new ones; users without history take no part."""
    rng = np.random.default_rng(0)
    items_ID = 100 * rng.normal(size=(50, 6)).astype(np.float32)  # beside this the ridge of 1 is nothing
    known, new = histories(2000, 50, rng), histories(30, 50, rng)
    weights_DE, intercept_E = rng.normal(size=(6, 4)), rng.normal(size=4)
    users_UE = (means(items_ID, known) @ weights_DE + intercept_E).astype(np.float32)
    users_UE[known.lengths == 0] = 1e6  # what training left there means nothing
    encoder = fit_fold_in(users_UE, items_ID, known)
    expected_BE = means(items_ID, new) @ weights_DE + intercept_E
    np.testing.assert_allclose(encoder.encode(new), expected_BE, rtol=1e-3, atol=0.02)
    np.testing.assert_allclose(encoder.encode(Histories.of([[]]))[0], intercept_E, atol=0.02)
    assert encoder.dim == 4
    assert encoder.table_ID is not None
    assert encoder.table_ID.dtype == np.float32


def test_it_is_the_ridge_regression_with_a_free_intercept() -> None:
    """Against the normal equations of centred data, where the intercept has dropped out."""
    rng = np.random.default_rng(1)
    items_ID, known = rng.normal(size=(20, 3)).astype(np.float32), histories(60, 20, rng)
    users_UE = rng.normal(size=(60, 2)).astype(np.float32)
    filled = known.lengths > 0
    x, y = means(items_ID, known)[filled], users_UE[filled].astype(np.float64)
    centred_x, centred_y = x - x.mean(axis=0), y - y.mean(axis=0)
    weights_DE = np.linalg.solve(centred_x.T @ centred_x + np.eye(3), centred_x.T @ centred_y)
    intercept_E = y.mean(axis=0) - x.mean(axis=0) @ weights_DE
    encoder = fit_fold_in(users_UE, items_ID, known)
    np.testing.assert_allclose(encoder.table_ID, items_ID @ weights_DE, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder.intercept_D, intercept_E, rtol=1e-4, atol=1e-5)


def test_a_constant_dimension_stays_constant() -> None:
    """The 1 that carries the item bias is 1 for everybody."""
    rng = np.random.default_rng(2)
    items_ID, known = rng.normal(size=(20, 3)).astype(np.float32), histories(60, 20, rng)
    users_UE = np.hstack([rng.normal(size=(60, 2)), np.ones((60, 1))]).astype(np.float32)
    encoded = fit_fold_in(users_UE, items_ID, known).encode(histories(15, 20, rng))
    np.testing.assert_allclose(encoded[:, -1], 1.0, atol=1e-5)
