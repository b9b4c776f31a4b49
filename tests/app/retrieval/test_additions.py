"""Documents that came later: looked up by chunks, scored as one by one."""

from __future__ import annotations

import numpy as np

from app.retrieval import Catalogue, additions
from app.retrieval.additions import Additions, inner_products, lexical_scores, read_documents, vectors_of
from tests.app.retrieval.made import document
from tests.conftest import make_search_draft, make_texts

QUERY = "glacier ice ice heat unheard"


def test_many_additions_score_as_each_does_by_itself(monkeypatch):
    """Across the chunks, also where most chunks were there before and one in the middle has changed."""
    monkeypatch.setattr(additions, "_CHUNK", 16)
    draft = make_search_draft(num_documents=20)
    catalogue, lexical = Catalogue(draft.items, draft.item_table.assign(id=draft.items.ids)), draft.model.lexical
    documents = [document(f"n{number}", text) for number, text in enumerate(make_texts(100, seed=3))]
    read = read_documents(documents, catalogue, lexical, None)
    first = Additions(read, catalogue, lexical)
    changed = [*read[:40], *read[41:], *read_documents([document("x", "ice ice")], catalogue, lexical, None)]
    for some, made in (
        (read, first),
        (changed, Additions(changed, catalogue, lexical, first)),
        ([], Additions([], catalogue, lexical, first)),
    ):
        assert len(made) == len(some) == len(made.catalogue)
        np.testing.assert_allclose(made.lexical_scores(QUERY), lexical_scores(some, QUERY, lexical), rtol=1e-12)


def test_only_what_changed_is_made_anew(monkeypatch):
    monkeypatch.setattr(additions, "_CHUNK", 16)
    draft = make_search_draft(num_documents=20)
    catalogue, lexical = Catalogue(draft.items, draft.item_table.assign(id=draft.items.ids)), draft.model.lexical
    read = read_documents([document(f"n{number}", "ice") for number in range(50)], catalogue, lexical, None)
    first = Additions(read[:49], catalogue, lexical)
    made = []
    monkeypatch.setattr(additions, "_postings", lambda chunk: made.append(len(chunk)) or {})
    Additions(read, catalogue, lexical, first)
    assert made == [2]


def test_an_additions_inner_product_does_not_depend_on_the_others():
    rng = np.random.default_rng(0)
    vectors_JD, query_D = rng.normal(size=(30, 200)).astype(np.float32), rng.normal(size=200).astype(np.float32)
    whole = inner_products(vectors_JD, query_D)
    assert [inner_products(vectors_JD[: row + 1], query_D)[-1] for row in range(30)] == whole.tolist()
    assert inner_products(vectors_of([]), query_D).shape == (0,)
