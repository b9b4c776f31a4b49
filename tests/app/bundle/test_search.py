"""What a search ranker's scores are: the definition that serving and evaluation share."""

from __future__ import annotations

import numpy as np
import pytest

from app.bundle import Fusion, LexicalIndex, Moments, SearchModel, moments_of, reciprocal_ranks, standardised
from app.bundle.search import best_rows
from tests.conftest import make_search_draft

QUERY = "glacier ice cave"


@pytest.fixture(scope="module")
def model() -> SearchModel:
    return make_search_draft(num_documents=60).model


def test_moments_are_those_of_a_scan():
    """Mean and deviation of the inner products with every document, from the vectors' mean and covariance."""
    rng = np.random.default_rng(0)
    vectors_ID = (rng.normal(size=(500, 6)) + 3).astype(np.float32)
    moments, query_D = Moments.of(vectors_ID, rows=128), rng.normal(size=6).astype(np.float32)
    scores_I = vectors_ID.astype(np.float64) @ query_D.astype(np.float64)
    assert moments.of_scores(query_D) == pytest.approx((scores_I.mean(), scores_I.std()), rel=1e-9)
    assert Moments.of(np.ones((4, 6), dtype=np.float32)).of_scores(query_D)[1] == pytest.approx(0.0, abs=1e-7)
    assert Moments.of(np.zeros((0, 6), dtype=np.float32)).of_scores(query_D) == (0.0, 0.0)


def test_lexical_scores_find_what_shares_a_word(model):
    words_I = model.lexical.scores(QUERY)
    scores_I = model.scores(QUERY, "lexical")
    assert np.isneginf(scores_I).sum() == (words_I == 0).sum() > 0
    np.testing.assert_array_equal(scores_I[words_I > 0], words_I[words_I > 0])


def test_dense_scores_are_inner_products(model):
    assert model.encoder is not None and model.document_vectors_ID is not None
    query_D = model.encoder.encode_queries([QUERY])[0]
    np.testing.assert_array_equal(model.scores(QUERY, "dense"), model.document_vectors_ID.astype(np.float64) @ query_D)


def test_standardised_fusion_adds_what_deviates_from_the_collection(model):
    words_I, vectors_I = model.lexical.scores(QUERY), model.scores(QUERY, "dense")
    expected = (words_I - words_I.mean()) / words_I.std() + 0.7 * (vectors_I - vectors_I.mean()) / vectors_I.std()
    np.testing.assert_allclose(model.scores(QUERY, "hybrid", Fusion("standardised", 0.7)), expected, rtol=1e-9)


def test_what_does_not_deviate_says_nothing(model):
    """A query that no document knows the words of is answered by vectors alone."""
    assert standardised(np.ones(3), 1.0, 0.0).tolist() == [0.0, 0.0, 0.0]
    vectors_I = model.scores("unheard", "dense")
    fused_I = model.scores("unheard", "hybrid")
    assert np.argsort(-fused_I, kind="stable").tolist() == np.argsort(-vectors_I, kind="stable").tolist()


def test_reciprocal_ranks_by_hand():
    """Ranks from 1, ties by lower row; what is not found has no share."""
    shares_I = reciprocal_ranks(np.array([2.0, -np.inf, 5.0, 2.0]))
    assert shares_I.tolist() == [1 / 62, 0.0, 1 / 61, 1 / 63]
    deep = reciprocal_ranks(np.arange(2000.0))
    assert (deep > 0).sum() == 1000 and deep[1000] == 1 / 1060 and deep[999] == 0


def test_reciprocal_rank_fusion_adds_the_shares_of_both_rankings(model):
    words_I, vectors_I = model.scores(QUERY, "lexical"), model.scores(QUERY, "dense")
    expected = reciprocal_ranks(words_I) + 0.5 * reciprocal_ranks(vectors_I)
    np.testing.assert_array_equal(model.scores(QUERY, "hybrid", Fusion("reciprocal-ranks", 0.5)), expected)
    alone_I = model.scores(QUERY, "hybrid", Fusion("reciprocal-ranks", 0.0))
    np.testing.assert_array_equal(np.isneginf(alone_I), np.isneginf(words_I))


def test_alike_documents_tie_wherever_they_stand(model):
    """To the last bit, which a matrix product would not promise."""
    rng = np.random.default_rng(0)
    row_D = rng.normal(size=(1, 97)).astype(np.float32)
    lexical = LexicalIndex.build([""] * 23)
    encoder = make_search_draft(["ice"], dim=97).model.encoder
    alike = SearchModel(lexical, np.repeat(row_D, 23, axis=0), encoder, Fusion(), "dense")
    query_D = rng.normal(size=97).astype(np.float32)
    assert len(set(alike.dense_scores(query_D).tolist())) == 1


def test_the_best_rows_come_with_ties_by_lower_row():
    assert best_rows(np.array([1.0, 3.0, -np.inf, 3.0, 0.0]), 10).tolist() == [1, 3, 0, 4]
    assert best_rows(np.array([1.0, 3.0, -np.inf, 3.0]), 1).tolist() == [1]


def test_the_mean_and_deviation_of_scores():
    assert moments_of(np.array([1.0, 3.0])) == (2.0, 1.0)


def test_without_vectors_there_is_lexical_search_alone():
    model = make_search_draft(dense=False).model
    assert (model.modes, model.mode, model.moments) == (("lexical",), "lexical", None)
