"""Search gives what the ranker's definition gives, with filters, changes, facets and pages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bundle import Fusion, read_bundle, write_bundle, write_search
from app.bundle.search import best_rows
from app.errors import FilterInvalid, QueryInvalid
from app.releases.release import RecommenderRelease
from app.retrieval import Catalogue, Condition, Document, Place, SearchEngine, SearchQuestion
from app.retrieval.fusing import ranks_beside
from tests.app.retrieval.made import answered, document, engine_of, expected, pages, scores_beside
from tests.conftest import WORDS, make_draft, make_search_draft, make_texts

STANDARDISED, RANKS = Fusion("standardised", 1.5), Fusion("reciprocal-ranks", 0.5)
WAYS = [
    ("lexical", None),
    ("dense", None),
    ("hybrid", STANDARDISED),
    ("hybrid", RANKS),
    ("hybrid", Fusion("standardised", 0.0)),
]

queries = st.lists(st.sampled_from((*WORDS[:8], "heat", "unheard", "document")), min_size=1, max_size=5).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    num_documents=st.sampled_from([1, 2, 9, 300]),
    seed=st.integers(0, 3),
    query=queries,
    way=st.sampled_from([*WAYS, ("hybrid", Fusion("reciprocal-ranks", 0.0))]),
    k=st.sampled_from([1, 3, 10, 400]),
    years=st.none() | st.tuples(st.integers(1978, 2001), st.integers(1978, 2001)),
    among=st.none() | st.sets(st.integers(0, 320), max_size=40),
)
def test_a_search_gives_what_the_definition_gives(*, num_documents, seed, query, way, k, years, among):
    """Order and scores, ties included, of all that is allowed."""
    draft = _draft(num_documents, seed)
    mode, fusion = way
    allowed_I = None
    filters = ()
    if years is not None:
        filters = (Condition("year", gte=years[0], lte=years[1]),)
        of_I = draft.item_table["year"].to_numpy()
        allowed_I = (of_I >= years[0]) & (of_I <= years[1])
    if among is not None:
        competing_I = np.isin(np.arange(num_documents), list(among))
        allowed_I = competing_I if allowed_I is None else allowed_I & competing_I
    question = SearchQuestion(
        query, mode, fusion, k, filters=filters, among=None if among is None else tuple(f"d{row}" for row in sorted(among))
    )
    found = _engine(num_documents, seed).search(question)
    wanted = expected(draft.model, query, mode, fusion, allowed_I)
    assert found.rows == [row for row, _ in wanted[:k]]
    assert found.scores == [score for _, score in wanted[:k]]
    assert found.total == len(wanted)
    assert (found.end is None) == (len(wanted) <= k)


_DRAFTS: dict = {}


def _draft(num_documents: int, seed: int = 0):
    if (num_documents, seed) not in _DRAFTS:
        draft = make_search_draft(num_documents=num_documents, seed=seed)
        _DRAFTS[num_documents, seed] = draft, engine_of(draft)
    return _DRAFTS[num_documents, seed][0]


def _engine(num_documents: int, seed: int = 0) -> SearchEngine:
    _draft(num_documents, seed)
    return _DRAFTS[num_documents, seed][1]


@pytest.mark.parametrize("fusion", [STANDARDISED, Fusion("standardised", 0.0), Fusion("standardised", 50.0), RANKS])
def test_candidates_are_taken_until_nothing_can_be_missing(fusion):
    """What is best by both together is neither the best by words nor by vectors: of 3,000, two thousand stand before it in each."""
    draft = make_search_draft(num_documents=3000, seed=7)
    engine = engine_of(draft)
    for query in ("heat shock wing", "glacier", "moon star wave cell gene"):
        wanted = expected(draft.model, query, "hybrid", fusion)
        found = engine.search(SearchQuestion(query, "hybrid", fusion, k=5))
        assert list(zip(found.rows, found.scores, strict=True)) == wanted[:5]


def test_the_best_by_both_is_found_though_it_leads_neither_ranking():
    """The first 700 match by words, the last 799 by vectors, all a little better than the one that matches by both."""
    texts = ["ice " + "wind " * (10 + row % 5) if row < 700 else "water" for row in range(1500)]
    texts[700] = "ice " + "wind " * 15
    draft = make_search_draft(texts)
    query_D = draft.model.query("ice")
    vectors_ID = np.zeros((1500, 8), dtype=np.float32)
    vectors_ID[700:] = query_D * np.linspace(1.02, 1.0, 800, dtype=np.float32)[:, None]
    vectors_ID[700] = query_D * np.float32(0.999)
    model = replace(draft.model, document_vectors_ID=vectors_ID)
    assert best_rows(model.scores("ice", "lexical"), 1000).tolist().index(700) == 700
    assert best_rows(model.scores("ice", "dense"), 1000).tolist().index(700) == 799
    engine = engine_of(replace(draft, model=model))
    for weight in (0.5, 1.0, 2.0):
        fusion = Fusion("standardised", weight)
        wanted = expected(model, "ice", "hybrid", fusion)[:3]
        found = engine.search(SearchQuestion("ice", "hybrid", fusion, k=3))
        assert list(zip(found.rows, found.scores, strict=True)) == wanted and wanted[0][0] == 700


def test_of_a_text_for_which_the_encoder_gives_no_numbers_only_the_words_count(monkeypatch):
    """A graph may run out of its numbers; documents that come later get zeros for the same reason."""
    draft = make_search_draft(num_documents=50)
    engine = engine_of(draft)
    words = engine.search(SearchQuestion("heat shock", "lexical", k=20))
    encoder = type(draft.model.encoder)
    monkeypatch.setattr(
        encoder, "encode_queries", lambda self, texts: np.full((len(texts), self.dim), np.nan, dtype=np.float32)
    )
    monkeypatch.setattr(
        encoder, "encode_documents", lambda self, texts: np.full((len(texts), self.dim), np.inf, dtype=np.float32)
    )
    assert engine.search(SearchQuestion("heat shock", "dense", k=20)).rows == []
    assert engine.search(SearchQuestion("heat shock", "hybrid", k=20)).rows == words.rows
    later = engine.with_changes({"new": Document("New", "heat shock", {})})
    found = later.search(SearchQuestion("heat shock", "hybrid", k=60))
    assert np.isfinite(found.scores).all() and len(found.rows) == len(words.rows) + 1


def test_a_bundle_ranks_as_its_draft_does(tmp_path):
    draft = make_search_draft(num_documents=50)
    bundle = read_bundle(write_search(draft, tmp_path))
    engine = SearchEngine.of_documents(bundle, Catalogue(bundle.items, bundle.item_table))
    assert engine.modes == ("lexical", "dense", "hybrid") and engine.mode == "hybrid"
    found = engine.search(SearchQuestion("glacier ice", k=50))
    assert list(zip(found.rows, found.scores, strict=True)) == expected(draft.model, "glacier ice", "hybrid")


def test_what_a_release_cannot_do_is_refused():
    lexical = engine_of(make_search_draft(dense=False))
    with pytest.raises(QueryInvalid, match="no mode 'dense'; expected lexical"):
        lexical.search(SearchQuestion("ice", mode="dense"))
    for question in (SearchQuestion("ice", facets=("gender",)), SearchQuestion("ice", filters=(Condition("gender", ("x",)),))):
        with pytest.raises(FilterInvalid, match=r"no field 'gender'; there are id \(text\), title \(text\), year \(number\)"):
            lexical.search(question)


# changes


@settings(max_examples=60, deadline=None)
@given(
    query=queries,
    way=st.sampled_from(WAYS),
    new=st.lists(st.integers(0, 59), max_size=6),
    updated=st.dictionaries(st.integers(0, 29), st.integers(0, 59), max_size=5),
    deleted=st.sets(st.integers(0, 29), max_size=12),
)
def test_changed_documents_rank_by_the_bundles_own_statistics(query, way, new, updated, deleted):
    """Added and updated ones score as the model says of documents that it does not hold; deleted ones are gone, and the rest stays."""
    draft, engine = _draft(30), _engine(30)
    mode, fusion = way
    texts = make_texts(60, seed=11)
    changes: dict[str, Document | None] = {f"n{place}": document(f"n{place}", texts[one]) for place, one in enumerate(new)}
    changes |= {f"d{row}": document(f"d{row}", texts[one]) for row, one in updated.items()}
    changes |= {f"d{row}": None for row in deleted}
    scores = {f"d{row}": score for row, score in expected(draft.model, query, mode, fusion) if f"d{row}" not in changes}
    later = [(item, one.text) for item, one in changes.items() if one is not None]
    of_later = scores_beside(draft.model, query, [text for _, text in later], mode, fusion)
    scores |= {item: score for (item, _), score in zip(later, of_later.tolist(), strict=True) if np.isfinite(score)}

    changed = engine.with_changes(changes)
    found = changed.search(SearchQuestion(query, mode, fusion, k=100))
    assert found.total == len(found.rows) == len(scores)
    told = dict(answered(changed, found))
    assert told.keys() == scores.keys()
    np.testing.assert_allclose([told[item] for item in scores], list(scores.values()), rtol=1e-9, atol=1e-9)
    assert found.scores == sorted(found.scores, reverse=True)
    assert not {item for item, one in changes.items() if one is None} & set(told)


def test_of_changes_the_last_word_counts_and_what_is_known_is_not_read_again(monkeypatch):
    engine = _engine(30)
    first = document("n1", "glacier glacier")
    one = engine.with_changes({"n1": first, "d3": None})
    assert one.holds("n1") and not one.holds("d3") and not engine.holds("n1") and engine.holds("d3")
    assert one.deleted == {"d3"}
    read = []
    monkeypatch.setattr("app.retrieval.search.read_documents", lambda documents, *_: read.extend(documents) or [])
    two = one.with_changes({"n1": first, "d3": None, "d4": None})
    assert read == [] and two.holds("n1") and two.deleted == {"d3", "d4"}
    monkeypatch.undo()
    three = two.with_changes({"n1": None, "d3": document("d3", "heat"), "d4": None})
    assert not three.holds("n1") and three.holds("d3")
    assert three.search(SearchQuestion("heat", "lexical", k=100, among=("n1", "d3", "d4"))).total == 1


def test_filters_know_the_fields_of_later_documents():
    """Of types like the bundle's, or new ones; whoever lacks a field meets no condition on it."""
    changed = _engine(30).with_changes(
        {
            "n1": document("n1", "ice", year=1999, genres=["Comedy"], price=3, checked=True),
            "n2": document("n2", "ice", price=2.5, genres="War"),
            "n3": document("n3", "ice"),
        }
    )

    def ids(*filters: Condition) -> list[str]:
        found = changed.search(SearchQuestion("ice", "dense", k=100, filters=filters))
        return sorted(changed.id(row) for row in found.rows)

    assert ids(Condition("price", gte=2.7)) == ["n1"]
    assert ids(Condition("price", gte=1, lte=5)) == ["n1", "n2"]
    assert ids(Condition("year", gte=1999)) == ["d19", "n1"]
    assert {"n2", "d1"} <= set(ids(Condition("genres", ("War",)))) and "n1" not in ids(Condition("genres", ("War",)))
    assert "n1" in ids(Condition("checked", (True,))) and "n3" not in ids(Condition("checked", (True,)))
    assert ids(Condition("price", gte=1), Condition("year", gte=1900)) == ["n1"]
    with pytest.raises(FilterInvalid, match=r"no field 'gender'.*price \(number\)"):
        ids(Condition("price", gte=1), Condition("gender", ("x",)))


@pytest.mark.parametrize(
    "metadata",
    [
        {"year": "soon"},
        {"year": [1999]},
        {"checked": "maybe"},
        {"checked": [1, None]},
        {"genres": [3]},
        {"year": True},
        {"genres": 3},
    ],
)
def test_values_of_another_type_are_refused_and_from_elsewhere_are_no_values(metadata):
    """Changes written down under one release meet the fields of the next: what does not fit is missing there."""
    engine = _engine(30)
    odd = Document("n1", "Odd", "glacier", metadata)
    with pytest.raises(QueryInvalid, match="does not fit; the other items have a"):
        engine.check([odd])
    changed = engine.with_changes({"n1": odd, "n2": document("n2", "glacier")})
    found = changed.search(SearchQuestion("glacier", k=100, facets=("year", "genres", "checked")))
    assert "n1" in [changed.id(row) for row in found.rows]


def test_a_new_field_keeps_the_type_it_began_with():
    changed = _engine(30).with_changes({"n1": document("n1", "ice", price=3)})
    with pytest.raises(QueryInvalid, match="have a number there"):
        changed.check([document("n2", "ice", price="cheap")])
    changed.check([document("n2", "ice", price=2, colour="red")])


def test_lists_of_numbers_and_of_truth_values_are_searched_and_put_as_they_are():
    """What the collection has can be put back, and counts for conditions on both sides, where one of them has no value too."""
    draft = make_search_draft(["ice", "wind"])
    draft.item_table["sizes"] = pd.Series([np.array([1, 2]), np.array([])], dtype="object")
    draft.item_table["flags"] = pd.Series([[True], None], dtype="object")
    engine = engine_of(draft)
    same = document("d0", "ice", sizes=[1, 2], flags=[True])
    engine.check([same])
    for odd in ({"sizes": ["1"]}, {"sizes": [True]}, {"flags": [1]}):
        with pytest.raises(QueryInvalid, match="have a list of"):
            engine.check([document("n1", "ice", **odd)])
    without = engine.with_changes({"n1": document("n1", "ice")})
    with_one = engine.with_changes({"n1": document("n1", "ice", sizes=[2.0])})
    for changed, wanted in [(engine, ["d0"]), (without, ["d0"]), (with_one, ["d0", "n1"])]:
        found = changed.search(SearchQuestion("ice", k=9, filters=(Condition("sizes", any_of=(2,)),)))
        assert sorted(changed.id(row) for row in found.rows) == wanted


def test_dates_of_later_documents_are_dates():
    draft = make_search_draft(["ice", "wind"])
    draft.item_table["made"] = np.array(["2020-01-01", "2021-06-01"], dtype="datetime64[ns]")
    engine = engine_of(draft)
    with pytest.raises(QueryInvalid, match="have a date there"):
        engine.check([document("n1", "ice", made="yesterday or so")])
    changed = engine.with_changes(
        {"n1": document("n1", "ice", made="2021-01-01"), "n2": document("n2", "ice", made="2021-01-01T10:00:00+02:00")}
    )
    found = changed.search(
        SearchQuestion("ice", "dense", k=9, filters=(Condition("made", gte="2021-01-01", lte="2021-01-02"),))
    )
    assert sorted(changed.id(row) for row in found.rows) == ["n1", "n2"]


def test_ranks_beside_a_ranking_move_nobody():
    """Between neighbours by their scores, before the first in (0, 1), behind the last of three in (3, 4), like the later of equals."""
    ranking = np.array([9.0, 5.0, 5.0])
    ranks = ranks_beside(ranking, np.array([10.0, 9.0, 7.0, 5.0, 4.0, -np.inf, 1e9]))
    assert ranks[:5].tolist() == [0.5, 1.0, 2.0, 3.0, 3.5]
    assert ranks[5] == np.inf and 0 < ranks[6] < ranks[0]
    assert ranks_beside(np.zeros(0), np.array([0.0, 1.0, -1.0])).tolist() == [1.0, 0.5, 1.5]


# facets


def test_facets_count_what_was_found():
    """By hand over the first thousand answers, bundle and additions together; equal counts by value."""
    draft = _draft(300)
    changed = _engine(300).with_changes(
        {"n1": document("n1", "glacier", genres=["Western"], year=1980), "d0": None, "d7": document("d7", "wind")}
    )
    question = SearchQuestion("glacier", "lexical", k=3, facets=("genres", "year", "checked"))
    found = changed.search(question)
    rows = [row for row, _ in expected(draft.model, "glacier", "lexical") if row not in (0, 7)]
    genres = Counter(genre for row in rows for genre in draft.item_table["genres"][row]) + Counter(["Western"])
    assert found.facets["genres"] == [
        {"value": value, "count": count} for value, count in sorted(genres.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    years = Counter(int(draft.item_table["year"][row]) for row in rows) + Counter([1980])
    assert {one["value"]: one["count"] for one in found.facets["year"]} == dict(years)
    assert sum(one["count"] for one in found.facets["checked"]) == len(rows)
    assert len(found.rows) == 3


def test_facets_show_the_twenty_most_frequent_values():
    found = _engine(300).search(SearchQuestion("ice", "dense", facets=("title",)))
    assert len(found.facets["title"]) == 20 and {one["count"] for one in found.facets["title"]} == {1}


def test_facets_count_values_of_every_type():
    """Once an item, however often it has the value; what is no value is not counted."""
    draft = make_search_draft(["ice"] * 4)
    draft.item_table["price"] = [1.5, 1.5, float("nan"), 2.0]
    draft.item_table["made"] = np.array(["2020-01-01", "NaT", "2020-01-01", "2021-01-01"], dtype="datetime64[ns]")
    draft.item_table["tags"] = [["a", "a", None], None, ["b", "a"], []]
    draft.item_table["nested"] = [{"a": 1}, None, {"a": 2}, {"a": 1}]
    facets = ("price", "made", "tags", "nested")
    found = engine_of(draft).search(SearchQuestion("ice", facets=facets))
    assert [[(one["value"], one["count"]) for one in found.facets[name]] for name in facets] == [
        [(1.5, 2), (2.0, 1)],
        [("2020-01-01T00:00:00", 2), ("2021-01-01T00:00:00", 1)],
        [("a", 2), ("b", 1)],
        [],
    ]
    assert {type(one["value"]) for one in found.facets["price"]} == {float}


# pages


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1, 7, 100])
def test_pages_one_after_the_other_are_one_long_page(way, size):
    engine = _engine(300)
    question = SearchQuestion("glacier ice water heat", *way, k=1000)
    whole = [engine.id(row) for row in engine.search(question).rows]
    assert len(whole) > 100
    if size > 1:
        assert pages(engine, replace(question, k=size)) == whole
    else:
        few = replace(question, k=1, among=tuple(whole[:12]))
        assert pages(engine, few) == [engine.id(row) for row in engine.search(replace(few, k=100)).rows]


@settings(max_examples=60, deadline=None)
@given(
    way=st.sampled_from(WAYS),
    size=st.sampled_from([2, 5, 16]),
    steps=st.lists(
        st.lists(st.tuples(st.sampled_from(["add", "delete"]), st.integers(0, 29)), max_size=4), min_size=1, max_size=4
    ),
)
def test_whatever_changes_between_pages_repeats_nothing_and_hides_nothing(way, size, steps):
    """Everything that was there all along comes once, in its order."""
    texts = make_texts(30, seed=5)
    engines, changes = [_engine(30)], {"n99": document("n99", "glacier ice")}
    engines[0] = engines[0].with_changes(changes)
    gone: set[str] = set()
    for step in steps:
        for action, number in step:
            item = f"n{number}" if action == "add" else f"d{number}"
            changes = changes | {item: document(item, texts[number]) if action == "add" else None}
            gone |= {item} if action == "delete" else set()
        engines.append(engines[-1].with_changes(changes))
    question = SearchQuestion("glacier ice water", *way, k=size)
    came = pages(engines[0], question, engines[1:])
    assert len(set(came)) == len(came)
    there = [engines[0].id(row) for row in engines[0].search(replace(question, k=1000)).rows]
    all_along = [item for item in there if item not in gone]
    assert [item for item in came if item in set(all_along)] == all_along


def test_a_page_goes_on_where_its_last_document_was_deleted():
    """Among documents that tie: alike texts, of the bundle and of the additions."""
    engine = engine_of(make_search_draft(["ice"] * 6))
    added = {f"n{number}": document(f"n{number}", "ice") for number in range(6)}
    full = engine.with_changes(added)
    question = SearchQuestion("ice", "dense", k=4)
    assert pages(full, question, [full.with_changes(added | {"d3": None})]) == [*(f"d{n}" for n in range(6)), *added]
    one_less = full.with_changes(added | {"n1": None})
    assert pages(full, question, [full, one_less]) == [*(f"d{n}" for n in range(6)), *added]
    updated = full.with_changes({**added, "d3": document("d3", "ice")})
    assert set(pages(full, question, [updated])) == {*(f"d{n}" for n in range(6)), *added}


def test_a_place_far_down_ends_the_pages():
    found = _engine(30).search(SearchQuestion("ice", "dense", k=5, after=Place(-1e9, "d1", 1, 10**12)))
    assert (found.rows, found.end) == ([], None)


# personal


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> RecommenderRelease:
    return RecommenderRelease.of(read_bundle(write_bundle(make_draft(num_items=60), tmp_path_factory.mktemp("items"))))


def test_a_recommenders_items_are_found_by_their_metadata(items):
    """Title, genres and years are words; `dense` finds what is like the matching ones."""
    engine = items.engine
    found = engine.search(SearchQuestion("item 17"))
    assert (found.mode, engine.id(found.rows[0])) == ("lexical", "i17")
    assert {engine.id(row) for row in engine.search(SearchQuestion("war 1984", k=100)).rows} >= {"i4", "i24", "i44", "i1"}
    assert engine.search(SearchQuestion("unheard")).total == 0
    assert engine.search(SearchQuestion("unheard", "dense")).total == 0
    assert engine.search(SearchQuestion("unheard", "hybrid")).total == 0
    like = engine.search(SearchQuestion("item 7 1987 drama", "dense", k=60))
    assert like.total == 60
    assert engine.search(SearchQuestion("war", "hybrid", k=60)).total == 60
    comedies = engine.search(SearchQuestion("item", "dense", k=60, filters=(Condition("genres", ("Comedy",)),)))
    assert comedies.total == 40
    assert engine.snippets([7], "drama")[0] == "Item 7 1987 <mark>Drama</mark> War"


@pytest.mark.parametrize("mode", ["lexical", "dense", "hybrid"])
def test_a_users_taste_has_a_say(items, mode):
    """Of everything that is found: the text's standardised score plus the weighted standardised score of the user."""
    engine, model = items.engine, items.bundle.model
    plain = engine.search(SearchQuestion("item drama", mode, k=60))
    none = engine.search(SearchQuestion("item drama", mode, k=60, user="u1", user_weight=0.0))
    assert none.personalised and none.rows == plain.rows
    blended = engine.search(SearchQuestion("item drama", mode, k=60, user="u1", user_weight=1.5))
    assert sorted(blended.rows) == sorted(plain.rows) and blended.rows != plain.rows
    liked_I = model.item_vectors_ID.astype(np.float64) @ items.recommender.user_query("u1").astype(np.float64)
    taste_I = (liked_I - liked_I.mean()) / liked_I.std()
    without = dict(zip(none.rows, none.scores, strict=True))
    wanted = {row: score + 1.5 * taste_I[row] for row, score in without.items()}
    np.testing.assert_allclose(blended.scores, [wanted[row] for row in blended.rows], rtol=1e-6, atol=1e-6)
    unknown = engine.search(SearchQuestion("item drama", mode, k=60, user="nobody"))
    assert not unknown.personalised and unknown.rows == plain.rows


def test_a_search_ranker_knows_no_users():
    assert not _engine(30).search(SearchQuestion("ice", user="u1")).personalised


def test_pages_of_a_personal_search_are_one_long_page(items):
    question = SearchQuestion("item", user="u2", k=1000)
    whole = [items.engine.id(row) for row in items.engine.search(question).rows]
    assert pages(items.engine, replace(question, k=7)) == whole and len(whole) == 60


def test_items_can_be_added_to_a_recommenders_and_are_found(items):
    changed = items.engine.with_changes(
        {"new": Document("new", "Item of ice", "", {"genres": ["Drama"], "year": 1999}), "i3": None}
    )
    found = changed.search(SearchQuestion("ice 1999", k=5, user="u1"))
    row = found.rows[[changed.id(row) for row in found.rows].index("new")]
    assert changed.snippets([row], "ice")[0] == "Item of <mark>ice</mark> Drama 1999"


# rerank


@pytest.mark.parametrize("mode", ["lexical", "dense", "hybrid"])
def test_candidates_score_as_a_search_would_score_them(mode):
    draft, engine = _draft(30), _engine(30)
    texts = make_texts(20, seed=9)
    scores_J = engine.rerank("glacier ice", [document(f"c{n}", text) for n, text in enumerate(texts)], mode)
    wanted = scores_beside(draft.model, "glacier ice", texts, mode, Fusion())
    np.testing.assert_allclose(scores_J, np.where(np.isneginf(wanted), 0.0, wanted), rtol=1e-9, atol=1e-9)
