"""Embeddings from which tokens stand near which.

Shapes: T tokens, E dimensions.
"""

from __future__ import annotations

import numpy as np
import pytest

from training.encoders.cooccurrence import cooccurrence_embeddings


def texts(seed: int = 0) -> list[list[int]]:
    """Tokens 1 to 10 in one kind of text, 11 to 20 in the other."""
    rng = np.random.default_rng(seed)
    return [(rng.integers(1, 11, 8) + 10 * (row % 2)).tolist() for row in range(200)]


def test_tokens_of_the_same_texts_are_alike() -> None:
    vectors_TE = cooccurrence_embeddings(texts(), num_tokens=25, embedding_size=4)
    assert vectors_TE.shape == (25, 4) and vectors_TE.dtype == np.float32
    likeness_TT = vectors_TE[1:21] @ vectors_TE[1:21].T
    same = np.arange(20)[:, None] // 10 == np.arange(20) // 10
    assert likeness_TT[same].mean() > likeness_TT[~same].mean() + 0.3


def test_vectors_have_length_one_and_what_stands_nowhere_is_zero() -> None:
    vectors_TE = cooccurrence_embeddings(texts(), num_tokens=25, embedding_size=4)
    np.testing.assert_allclose(np.linalg.norm(vectors_TE[1:21], axis=1), 1.0, rtol=1e-5)
    assert not vectors_TE[[0, 21, 22, 23, 24]].any()


def test_it_factorises_ppmi_as_written_out_by_hand() -> None:
    """One text of three tokens and window 1: with all dimensions, embeddings before scaling are U √Σ, so that Gram matrices agree."""
    vectors_TE = cooccurrence_embeddings([[1, 2, 1, 3]], num_tokens=5, embedding_size=4, window=1)
    counts = np.zeros((5, 5))
    for a, b in ((1, 2), (2, 1), (1, 3)):
        counts[a, b] += 1
        counts[b, a] += 1
    sums = counts.sum(axis=1)
    contexts = sums**0.75 / (sums**0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ppmi = np.nan_to_num(np.maximum(np.log(counts / sums[:, None] / contexts), 0.0), nan=0.0, neginf=0.0)
    left, values, _ = np.linalg.svd(ppmi)
    whole = left * np.sqrt(values)
    gram = whole @ whole.T
    lengths = np.sqrt(np.diag(gram))[1:4]
    expected = gram[1:4, 1:4] / np.outer(lengths, lengths)
    np.testing.assert_allclose(vectors_TE[1:4] @ vectors_TE[1:4].T, expected, atol=1e-5)


def test_contexts_do_not_reach_from_one_text_into_the_next() -> None:
    apart = cooccurrence_embeddings([[1, 2]] * 9 + [[3, 4]], num_tokens=6, embedding_size=4)
    assert abs(float(apart[1] @ apart[3])) < 1e-5


@pytest.mark.parametrize("given", [[], [[]], [[1]], [[1], [2]]])
def test_without_contexts_there_is_nothing_to_learn(given: list[list[int]]) -> None:
    assert not cooccurrence_embeddings(given, num_tokens=4, embedding_size=2).any()


def test_a_small_vocabulary_leaves_dimensions_empty() -> None:
    vectors_TE = cooccurrence_embeddings(texts(), num_tokens=21, embedding_size=40)
    assert vectors_TE.shape == (21, 40)
    assert not vectors_TE[:, 20:].any()


def test_the_same_texts_give_the_same_numbers_whatever_the_global_state() -> None:
    first = cooccurrence_embeddings(texts(), num_tokens=25, embedding_size=4)
    np.random.seed(5)  # noqa: NPY002 - the global state is what is tested
    np.testing.assert_array_equal(cooccurrence_embeddings(texts(), num_tokens=25, embedding_size=4), first)
