"""Encoders against their formulas written out for one user at a time."""

from __future__ import annotations

import numpy as np
import pytest

from app.bundle import Histories, HistoryPolicy, LinearEncoder, RidgeEncoder, VectorModel

_HISTORIES = Histories.of([[0, 2], [], [3, 1, 4]], [[5, 2], [], [4, 1, np.nan]])


@pytest.fixture
def vectors_ID() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_linear_encoder_is_a_weighted_normalised_sum(vectors_ID, exponent):
    """Events rated below 4 weigh 0.3, all others 1, the one without a rating included; worked out by hand per user."""
    intercept_D = np.array([0.1, 0.2, 0.3], dtype=np.float32)
    encoder = LinearEncoder(
        table_ID=vectors_ID, intercept_D=intercept_D, exponent=exponent, low_weight=0.3, positive_threshold=4.0
    )
    expected = [
        intercept_D + (vectors_ID[0] + 0.3 * vectors_ID[2]) / 1.3**exponent,
        intercept_D,
        intercept_D + (vectors_ID[3] + 0.3 * vectors_ID[1] + vectors_ID[4]) / 2.3**exponent,
    ]
    np.testing.assert_allclose(encoder.encode(_HISTORIES), expected, rtol=1e-5)


def test_without_a_table_the_linear_encoder_answers_the_history_itself():
    encoder = LinearEncoder(table_ID=None, num_items=6)
    np.testing.assert_array_equal(encoder.encode(_HISTORIES), _HISTORIES.mask(6).astype(np.float32))


def test_the_ridge_encoder_solves_the_als_user_step(vectors_ID):
    """Hu, Koren, Volinsky 2008, Eq. 4, with the confidence matrix written out in full."""
    encoder = RidgeEncoder(item_vectors_ID=vectors_ID, confidence=3.0, regularization=0.7)
    for query_D, had_I in zip(encoder.encode(_HISTORIES), _HISTORIES.mask(6), strict=True):
        weights_II = np.diag(np.where(had_I, 3.0, 1.0))
        left_DD = vectors_ID.T @ weights_II @ vectors_ID + 0.7 * np.eye(3)
        np.testing.assert_allclose(query_D, np.linalg.solve(left_DD, vectors_ID.T @ weights_II @ had_I), rtol=1e-4)


def test_a_history_is_encoded_the_same_alone_and_in_a_batch(vectors_ID):
    for encoder in (
        LinearEncoder(table_ID=vectors_ID, exponent=1.0),
        RidgeEncoder(item_vectors_ID=vectors_ID, confidence=3.0, regularization=0.7),
    ):
        together = encoder.encode(_HISTORIES)
        for row in range(3):
            np.testing.assert_allclose(encoder.encode(_HISTORIES.take(np.array([row])))[0], together[row], rtol=1e-6)


def test_demoted_items_come_last_in_their_own_order(vectors_ID):
    model = VectorModel(
        item_vectors_ID=vectors_ID,
        encoder=LinearEncoder(table_ID=vectors_ID),
        policy=HistoryPolicy(positive_threshold=4.0, signal="all", demote_low=True),
    )
    plain_I = (model.queries(_HISTORIES).astype(np.float64) @ vectors_ID.T.astype(np.float64))[2]
    scores_I = model.scores(_HISTORIES)[2]
    assert scores_I.argmin() == 1  # the one that user 2 rated with one star
    others = [0, 2, 3, 4, 5]
    np.testing.assert_array_equal(scores_I[others], plain_I[others])


def test_low_ratings_reach_the_encoder_only_where_the_policy_says_so(vectors_ID):
    shown, hidden = (
        VectorModel(
            item_vectors_ID=vectors_ID,
            encoder=LinearEncoder(table_ID=vectors_ID),
            policy=HistoryPolicy(positive_threshold=4.0, signal=signal),
        )
        for signal in ("all", "positives")
    )
    np.testing.assert_allclose(hidden.queries(_HISTORIES)[0], vectors_ID[0])
    np.testing.assert_allclose(shown.queries(_HISTORIES)[0], vectors_ID[0] + vectors_ID[2])


def test_known_users_are_answered_from_their_table(vectors_ID):
    table_UD = np.arange(6, dtype=np.float32).reshape(2, 3)
    model = VectorModel(item_vectors_ID=vectors_ID, encoder=LinearEncoder(table_ID=vectors_ID), user_vectors_UD=table_UD)
    np.testing.assert_array_equal(model.queries(_HISTORIES.take(np.array([0])), np.array([1])), table_UD[[1]])
