"""Baselines on matrices small enough to compute by hand or by brute force.

Shapes: U users, I items, D dimensions.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from app.bundle import Histories, RidgeEncoder
from training.baselines import check_square, cosine_neighbours, ease_weights, ials, item_factors, low_rank_ease
from training.errors import DataError


def matrix(num_users: int = 30, num_items: int = 9, seed: int = 0) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    return sp.csr_matrix((rng.random((num_users, num_items)) < 0.4).astype(np.float32))


def test_ease_is_a_ridge_regression_of_each_item_on_all_others() -> None:
    """Column by column: the item itself is left out of the regressors, which is what the zero diagonal means."""
    matrix_UI, l2 = matrix(), 3.0
    dense_UI = matrix_UI.toarray().astype(np.float64)
    expected_II = np.zeros((9, 9))
    for item in range(9):
        others = np.delete(np.arange(9), item)
        x = dense_UI[:, others]
        expected_II[others, item] = np.linalg.solve(x.T @ x + l2 * np.eye(8), x.T @ dense_UI[:, item])
    weights_II = ease_weights(matrix_UI, l2=l2)
    np.testing.assert_allclose(weights_II, expected_II, atol=1e-10)
    assert weights_II.dtype == np.float64


def test_ease_minimises_its_loss() -> None:
    """‖X − XB‖² + λ‖B‖² grows with every step aside that keeps the diagonal at zero; weighted entries included."""
    matrix_UI = matrix().multiply(np.random.default_rng(1).choice([0.3, 1.0], size=(30, 9))).tocsr()
    dense_UI = matrix_UI.toarray()

    def loss(weights_II: np.ndarray) -> float:
        return float(((dense_UI - dense_UI @ weights_II) ** 2).sum() + 2.0 * (weights_II**2).sum())

    best_II = ease_weights(matrix_UI, l2=2.0)
    assert np.all(np.diag(best_II) == 0)
    rng = np.random.default_rng(2)
    for _ in range(50):
        step_II = 0.01 * rng.normal(size=(9, 9))
        np.fill_diagonal(step_II, 0.0)
        assert loss(best_II + step_II) > loss(best_II)


def test_an_item_that_nobody_had_predicts_nothing() -> None:
    """And is not predicted; nothing divides by zero."""
    matrix_UI = sp.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32))
    for weights_II in (ease_weights(matrix_UI, l2=1.0), cosine_neighbours(matrix_UI, num_neighbours=2, shrinkage=0.0)):
        assert np.isfinite(weights_II).all()
        assert np.all(weights_II[2] == 0)
        assert np.all(weights_II[:, 2] == 0)


def test_low_rank_ease_is_the_best_approximation_of_its_rank() -> None:
    """Against the full decomposition; at full rank nothing is lost, and a greater rank than there is does no harm."""
    matrix_UI = matrix()
    weights_II = ease_weights(matrix_UI, l2=3.0)
    for rank in (2, 9, 50):
        left_IR, right_IR = low_rank_ease(matrix_UI, l2=3.0, rank=rank, seed=0)
        u, s, v = np.linalg.svd(weights_II)
        kept = min(rank, 9)
        expected_II = (u[:, :kept] * s[:kept]) @ v[:kept]
        assert left_IR.shape == right_IR.shape == (9, kept)
        np.testing.assert_allclose(left_IR @ right_IR.T, expected_II, atol=1e-8)


def test_cosine_neighbours_by_hand() -> None:
    """x₀·x₁ = 2, ‖x₀‖ = √3, ‖x₁‖ = √2, and so on; each item keeps the one that is most like it."""
    matrix_UI = sp.csr_matrix(np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1]], dtype=np.float32))
    all_II = cosine_neighbours(matrix_UI, num_neighbours=5, shrinkage=0.0)
    expected_II = np.array(
        [
            [0, 2 / np.sqrt(6), 1 / np.sqrt(6)],
            [2 / np.sqrt(6), 0, 1 / 2],
            [1 / np.sqrt(6), 1 / 2, 0],
        ]
    )
    np.testing.assert_allclose(all_II, expected_II)
    nearest_II = cosine_neighbours(matrix_UI, num_neighbours=1, shrinkage=0.0)
    # Column j holds who speaks for item j: 1 for 0, 0 for 1, and 1 for 2.
    expected_II[2, 0] = expected_II[2, 1] = expected_II[0, 2] = 0.0
    np.testing.assert_allclose(nearest_II, expected_II)


def test_shrinkage_adds_to_the_denominator() -> None:
    """The similarity is 2 / (√6 + 10)."""
    matrix_UI = sp.csr_matrix(np.array([[1, 1], [1, 1], [1, 0]], dtype=np.float32))
    shrunk_II = cosine_neighbours(matrix_UI, num_neighbours=1, shrinkage=10.0)
    assert shrunk_II[0, 1] == shrunk_II[1, 0] == pytest.approx(2 / (np.sqrt(6) + 10))


def test_puresvd_projects_on_the_leading_singular_vectors() -> None:
    """The projection x Q Qᵀ is the one that the full decomposition gives; more dimensions than the matrix has are cut."""
    matrix_UI = matrix()
    factors_ID = item_factors(matrix_UI, embedding_size=3, seed=0)
    _, _, v = np.linalg.svd(matrix_UI.toarray().astype(np.float64))
    np.testing.assert_allclose(factors_ID @ factors_ID.T, v[:3].T @ v[:3], atol=1e-6)
    assert item_factors(matrix_UI, embedding_size=100, seed=0).shape == (9, 9)


def test_an_ials_user_is_the_least_squares_step_that_serves_new_people_too() -> None:
    """Known vectors come from the same normal equations as the bundle's ridge encoder, up to the order of the last half sweep."""
    matrix_UI = matrix(200, 12)
    settings = {"embedding_size": 3, "l2": 2.0, "confidence": 4.0, "num_epochs": 60, "seed": 0, "progress": False}
    users_UD, items_ID = ials(matrix_UI, **settings)
    histories = Histories(matrix_UI.indptr.astype(np.int64), matrix_UI.indices.astype(np.int64), np.full(matrix_UI.nnz, np.nan))
    encoder = RidgeEncoder(item_vectors_ID=items_ID, confidence=4.0, regularization=2.0)
    np.testing.assert_allclose(encoder.encode(histories), users_UD, atol=0.02)
    again_UD, _ = ials(matrix_UI, **settings)
    np.testing.assert_array_equal(again_UD, users_UD)


def test_a_catalogue_that_would_not_fit_in_memory_is_refused_before_any_work() -> None:
    """Three float64 matrices of 100,000 × 100,000 are 224 GiB; the message says so and names what to use instead."""
    check_square(18_000, copies=3, ranker="EASE")
    with pytest.raises(
        DataError, match="EASE weighs every item against every other: 100,000 items need 224 GiB, more than the 8"
    ):
        check_square(100_000, copies=3, ranker="EASE")
    empty_UI = sp.csr_matrix((2, 100_000), dtype=np.float32)
    with pytest.raises(DataError, match="use ials, bpr, irgan or irgan-history"):
        ease_weights(empty_UI, l2=1.0)
    with pytest.raises(DataError, match="item-knn weighs every item"):
        cosine_neighbours(empty_UI, num_neighbours=1, shrinkage=0.0)
