"""Texts as vectors: each by itself, whatever it is encoded with."""

from __future__ import annotations

import numpy as np
import pytest

from app.bundle.texts import padded_tokens, token_batches
from tests.conftest import WORDS, make_text_encoder, make_texts


@pytest.fixture(scope="module")
def encoder():
    return make_text_encoder()


def test_a_text_is_encoded_in_a_batch_as_it_is_alone(encoder):
    """Exactly here, where sums are exact; real encoders round."""
    texts = make_texts(30, seed=1)
    together = encoder.encode_documents(texts)
    assert together.dtype == np.float32 and together.shape == (30, encoder.dim)
    np.testing.assert_array_equal(together, np.concatenate([encoder.encode_documents([text]) for text in texts]))
    np.testing.assert_array_equal(encoder.encode_queries(texts)[3:4], encoder.encode_queries(texts[3:4]))


def test_queries_and_documents_are_two_outputs(encoder):
    document_1D, query_1D = encoder.encode_documents(["ice cave"]), encoder.encode_queries(["ice cave"])
    assert not np.array_equal(document_1D, query_1D)
    np.testing.assert_array_equal(document_1D[:, :-1], query_1D[:, :-1])


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_has_a_vector(encoder, text):
    assert encoder.encode_documents([text]).tolist() == [[0.0] * encoder.dim]
    assert encoder.encode_queries([text]).tolist() == [[0.0] * encoder.dim]
    assert encoder.encode_documents([]).shape == (0, encoder.dim)


def test_texts_are_cut_off_each_at_its_own_length(encoder):
    """Queries after 16 tokens, documents after 24."""
    words = list(WORDS) * 2
    np.testing.assert_array_equal(encoder.encode_queries([" ".join(words)]), encoder.encode_queries([" ".join(words[:16])]))
    np.testing.assert_array_equal(encoder.encode_documents([" ".join(words)]), encoder.encode_documents([" ".join(words[:24])]))
    assert not np.array_equal(
        encoder.encode_documents([" ".join(words[:16])]), encoder.encode_documents([" ".join(words[:24])])
    )


def test_batches_hold_every_text_once_and_no_more_cells_than_wanted():
    tokens = [[1] * length for length in (3, 0, 7, 2, 7, 1)]
    batches = list(token_batches(tokens, cells=14))
    assert sorted(row for rows, _ in batches for row in rows.tolist()) == list(range(6))
    for rows, some in batches:
        assert [tokens[row] for row in rows] == some
        assert len(some) == 1 or padded_tokens(some).size <= 14
    assert padded_tokens([[], []]).tolist() == [[0], [0]]
