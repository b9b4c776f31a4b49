"""Related documents by shared words."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from app.bundle import LexicalIndex
from training.baselines.related import Cosines, MoreLikeThis

ROWS = np.array([0, 2])


def test_cosines_are_symmetric_and_whatever_the_lengths() -> None:
    """45° between (2, 0) and (3, 3); a document without a vector is at 0 to all; sparse and dense agree."""
    vectors_ID = np.array([[2.0, 0.0], [3.0, 3.0], [0.0, 0.0], [0.0, 0.1]])
    scores_II = Cosines(vectors_ID).scores(np.arange(4))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(scores_II, [[1, half, 0, 0], [half, 1, 0, half], [0, 0, 0, 0], [0, half, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(Cosines(sp.csr_matrix(vectors_ID)).scores(ROWS), scores_II[ROWS], atol=1e-12)


def test_of_several_spaces_the_mean_of_the_cosines_is_taken() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(5, 3)), 100.0 * rng.normal(size=(5, 4))
    mean = (Cosines(one).scores(ROWS) + Cosines(other).scores(ROWS)) / 2
    np.testing.assert_allclose(Cosines(one, other).scores(ROWS), mean, atol=1e-12)


def test_more_like_this_is_bm25_with_the_document_as_the_query() -> None:
    """Each row is what the index answers to the document's text; documents without a common word are at 0."""
    texts = ["wing lift wing", "lift of a wing", "heat transfer", "wing flutter"]
    index = LexicalIndex.build(texts)
    scores_BI = MoreLikeThis(texts, index).scores(ROWS)
    np.testing.assert_array_equal(scores_BI, [index.scores(texts[0]), index.scores(texts[2])])
    assert scores_BI[0, 1] > scores_BI[0, 3] > scores_BI[0, 2] == 0
