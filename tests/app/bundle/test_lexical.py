"""BM25: equal to the library it comes from, and to its formula by hand."""

from __future__ import annotations

import json
import math
from collections import Counter

import bm25s
import numpy as np
import pytest

from app.bundle import ContentInvalid, LexicalIndex
from app.bundle.lexical import POSTINGS, TERMS
from tests.conftest import make_texts


def test_scores_are_those_of_bm25s():
    """Over the same terms, by its method "lucene"."""
    texts = make_texts(200, seed=3)
    index = LexicalIndex.build(texts, k1=1.2, b=0.6)
    oracle = bm25s.BM25(k1=1.2, b=0.6, method="lucene", backend="numpy")
    oracle.index([index.analyzer.terms(text) for text in texts], show_progress=False)
    for query in ("glacier cave", "heat heat shock", "light of the moon, nowhere"):
        terms = [term for term in index.analyzer.terms(query) if term in index.terms]
        np.testing.assert_allclose(index.scores(query), oracle.get_scores(terms), rtol=1e-6)


def test_scores_are_those_of_the_formula():
    """Three documents of 2, 4 and 0 terms: avg = 2; ice is in two of them, cave in one; k1 = 1.5, b = 0.75."""
    index = LexicalIndex.build(["ice cave", "ice ice water wind", ""])
    idf_ice, idf_cave = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5)
    first = 1.5 * (0.25 + 0.75 * 2 / 2)
    second = 1.5 * (0.25 + 0.75 * 4 / 2)
    expected = [idf_ice / (1 + first) + idf_cave / (1 + first), idf_ice * 2 / (2 + second), 0.0]
    np.testing.assert_allclose(index.scores("Ice caves"), expected, rtol=1e-6)
    np.testing.assert_allclose(index.scores("ice ice"), 2 * index.scores("ice"), rtol=1e-6)
    assert index.inverse_frequency("cave") == pytest.approx(idf_cave)
    assert index.inverse_frequency("unheard") == pytest.approx(math.log(1 + 3.5 / 0.5))


@pytest.mark.parametrize("query", ["", "the of and", "unheard of", "🎉"])
def test_a_query_without_a_known_word_finds_nothing(query):
    assert LexicalIndex.build(["ice cave", "water"]).scores(query).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("texts", [["", ""], ["the", "of the"], []])
def test_documents_without_a_term_can_be_indexed(texts, tmp_path):
    index = LexicalIndex.build(texts)
    index.write(tmp_path)
    again = LexicalIndex.read(tmp_path / POSTINGS, tmp_path / TERMS)
    assert again.scores("ice").tolist() == [0.0] * len(texts)
    assert again.score_of(["ice"], Counter(ice=1), 1) > 0


def test_a_document_scores_by_itself_as_it_does_in_the_index():
    """Those that come later are scored by `score_of`, beside those of the index."""
    texts = make_texts(100, seed=5)
    index = LexicalIndex.build(texts)
    query = "glacier ice water ice unheard"
    alone = []
    for text in texts:
        terms = index.analyzer.terms(text)
        alone.append(index.score_of(index.analyzer.terms(query), Counter(terms), len(terms)))
    assert max(alone) > 0
    np.testing.assert_allclose(alone, index.scores(query), rtol=1e-6)


def test_an_index_that_was_written_is_read(tmp_path):
    index = LexicalIndex.build(["Häuser und Höhlen", "Eis"], language="german", k1=1.1, b=0.3)
    index.write(tmp_path)
    again = LexicalIndex.read(tmp_path / POSTINGS, tmp_path / TERMS)
    assert (again.terms, again.k1, again.b, again.average_length) == (index.terms, 1.1, 0.3, 1.5)
    assert again.analyzer.language == "german"
    np.testing.assert_array_equal(again.scores("haus eis"), index.scores("haus eis"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("starts", np.array([0, 1, 2, 3, 9])),
        ("starts", np.array([0, 2, 1, 3, 4])),
        ("starts", np.array([0, 4])),
        ("rows", np.array([0, 0, 1, 7], dtype=np.int32)),
        ("rows", np.array([0, -1, 1, 1], dtype=np.int32)),
        ("weights", np.array([1, 2, 3], dtype=np.float32)),
        ("weights", np.array([1, 2, 3, np.nan], dtype=np.float32)),
        ("terms", ["ice", "cave", "wind", "ice"]),
        ("terms", ["ice"]),
        ("documents", 1),
        ("average_length", 0.0),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, name, value):
    """Four postings of four terms in two documents, one thing changed at a time."""
    LexicalIndex.build(["ice cave", "wind star"]).write(tmp_path)
    with np.load(tmp_path / POSTINGS) as stored:
        arrays = dict(stored)
    described = json.loads((tmp_path / TERMS).read_text())
    (arrays if name in arrays else described)[name] = value
    np.savez(tmp_path / POSTINGS, **arrays)
    (tmp_path / TERMS).write_text(json.dumps(described))
    with pytest.raises(ContentInvalid, match="do not fit together"):
        LexicalIndex.read(tmp_path / POSTINGS, tmp_path / TERMS)
