"""Recommendations are the model's own full ranking, minus what must not be answered."""

from __future__ import annotations

from dataclasses import replace

import faiss
import numpy as np
import pytest

from app.bundle import Bundle, Histories, HistoryPolicy, RidgeEncoder, UnknownId, VectorModel, read_bundle, write_bundle
from app.retrieval import ExactIndex, Query, Recommender, SimilarItems, parse_condition
from tests.conftest import make_draft

NAN = float("nan")


def _bundle(tmp_path, *, policy: HistoryPolicy | None = None, table: bool = False, num_items: int = 900, **changes) -> Bundle:
    draft = make_draft(num_items=num_items, num_users=12)
    model = draft.model
    users_UD = np.random.default_rng(9).normal(size=(12, model.dim)).astype(np.float32) if table else None
    model = VectorModel(
        item_vectors_ID=model.item_vectors_ID, encoder=model.encoder, policy=policy or model.policy, user_vectors_UD=users_UD
    )
    return read_bundle(write_bundle(replace(draft, model=model, **changes), tmp_path))


def _full_ranking(bundle: Bundle, histories: Histories, users_B: np.ndarray | None = None) -> np.ndarray:
    """Rows of each user, best first, ties by lower row: what the evaluator measures."""
    return np.argsort(-bundle.model.scores(histories, users_B), axis=1, kind="stable")


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize("policy", [HistoryPolicy(4.0), HistoryPolicy(4.0, "all"), HistoryPolicy(4.0, "all", demote_low=True)])
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_a_known_users_answer_is_the_models_full_ranking(tmp_path, table, policy, exclude_seen):
    """Down to the last item, with everything rated low behind the rest where the policy says so."""
    bundle = _bundle(tmp_path, policy=policy, table=table)
    recommender = Recommender(bundle)
    ranking_UI = _full_ranking(bundle, bundle.seen, np.arange(12))
    had_UI = bundle.seen.mask(len(bundle.items))
    scores_UI = bundle.model.scores(bundle.seen, np.arange(12))
    for user in range(12):
        expected = [row for row in ranking_UI[user].tolist() if not (exclude_seen and had_UI[user, row])]
        for k in (10, 10_000):
            answer = recommender.recommend(Query(user=f"u{user}", k=k, exclude_seen=exclude_seen))
            assert answer.rows.tolist() == expected[:k]
            np.testing.assert_allclose(answer.scores, scores_UI[user, expected[:k]], rtol=1e-9)
            assert answer.fallback is None


def test_a_history_is_answered_as_the_known_user_who_has_it(tmp_path):
    bundle = _bundle(tmp_path, policy=HistoryPolicy(4.0, "all"))
    recommender = Recommender(bundle)
    one = bundle.seen.take(np.array([3]))
    history = [(bundle.items.id(row), float(rating)) for row, rating in zip(one.items, one.ratings, strict=True)]
    by_user, by_history = recommender.recommend(Query(user="u3")), recommender.recommend(Query(history=history))
    assert by_user.rows.tolist() == by_history.rows.tolist()
    assert by_user.scores.tolist() == by_history.scores.tolist()


def test_items_rated_low_come_last_in_the_diversified_list_too(tmp_path):
    bundle = _bundle(tmp_path, policy=HistoryPolicy(4.0, "all", demote_low=True), num_items=30)
    history = [("i1", 5.0), ("i2", 1.0), ("i3", 2.0)]
    answer = Recommender(bundle).recommend(Query(history=history, k=30, exclude_seen=False, diversity=0.4))
    assert sorted(answer.rows.tolist()) == list(range(30))
    assert set(answer.rows[-2:].tolist()) == {2, 3}


def test_unknown_items_of_a_history_are_ignored_and_named(tmp_path):
    recommender = Recommender(_bundle(tmp_path))
    plain = recommender.recommend(Query(history=[("i1", NAN)]))
    mixed = recommender.recommend(Query(history=[("nope", 5.0), ("i1", NAN), ("nope", 1.0), ("neither", NAN)]))
    assert mixed.rows.tolist() == plain.rows.tolist()
    assert (mixed.unknown_items, mixed.fallback) == (("nope", "neither"), None)


def test_of_an_item_that_stands_twice_the_later_rating_counts(tmp_path):
    recommender = Recommender(_bundle(tmp_path, policy=HistoryPolicy(4.0)))
    twice = recommender.recommend(Query(history=[("i1", 1.0), ("i2", 5.0), ("i1", 5.0)]))
    once = recommender.recommend(Query(history=[("i1", 5.0), ("i2", 5.0)]))
    assert twice.rows.tolist() == once.rows.tolist()


@pytest.mark.parametrize("query", [Query(user="stranger"), Query(), Query(history=[("nope", 5.0)])])
def test_popularity_answers_where_nothing_is_known_and_says_so(tmp_path, query):
    """The sample's popularity falls from the first item to the last."""
    answer = Recommender(_bundle(tmp_path)).recommend(
        replace(query, exclude=["i1", "unheard of"], filters=(parse_condition("year<=1984"),))
    )
    assert answer.fallback == "popularity"
    assert answer.rows.tolist() == [0, 2, 3, 4, 20, 21, 22, 23, 24, 40]


def test_an_encoder_with_nothing_to_say_leaves_the_word_to_popularity(tmp_path):
    """A ridge fold-in of a history without a positive is the zero vector, which would rank by row number."""
    draft = make_draft()
    encoder = RidgeEncoder(item_vectors_ID=draft.model.item_vectors_ID, confidence=10.0, regularization=1.0)
    model = VectorModel(item_vectors_ID=draft.model.item_vectors_ID, encoder=encoder, policy=HistoryPolicy(4.0))
    bundle = read_bundle(write_bundle(replace(draft, model=model), tmp_path))
    recommender = Recommender(bundle)
    assert recommender.recommend(Query(history=[("i0", 1.0)])).fallback == "popularity"
    assert recommender.recommend(Query(history=[("i0", 5.0)])).fallback is None


def test_exclusions_and_filters_hold_inside_the_search(tmp_path):
    """A filter that leaves 5 items returns those 5; excluding one leaves 4."""
    bundle = _bundle(tmp_path)
    recommender = Recommender(bundle)
    five = parse_condition("id:i10|i200|i300|i555|i899")
    answer = recommender.recommend(Query(history=[("i1", NAN)], k=10, filters=(five,)))
    assert sorted(answer.rows.tolist()) == [10, 200, 300, 555, 899]
    answer = recommender.recommend(Query(history=[("i1", NAN)], k=10, filters=(five,), exclude=["i300"]))
    assert sorted(answer.rows.tolist()) == [10, 200, 555, 899]
    assert len(recommender.recommend(Query(user="u0", filters=(parse_condition("genres:None such"),))).rows) == 0


@pytest.mark.parametrize("factory", ["Flat", "HNSW32"])
def test_filtered_answers_are_those_of_the_exact_index(tmp_path, factory):
    draft = make_draft(num_items=900)
    index = faiss.index_factory(draft.model.dim, factory, faiss.METRIC_INNER_PRODUCT)
    index.add(draft.model.item_vectors_ID)
    bundle = _bundle(tmp_path, index=index)
    fast, exact = Recommender(bundle), Recommender(bundle, ExactIndex(bundle.model.item_vectors_ID))
    for filters in ((), (parse_condition("genres:Comedy"),), (parse_condition("year>=1999"), parse_condition("genres:War"))):
        query = Query(user="u1", filters=filters)
        assert fast.recommend(query).rows.tolist() == exact.recommend(query).rows.tolist()


def test_diversity_chooses_from_the_best_and_keeps_the_first(tmp_path):
    bundle = _bundle(tmp_path)
    recommender = Recommender(bundle)
    plain, pool = recommender.recommend(Query(user="u0", k=10)), recommender.recommend(Query(user="u0", k=100))
    diverse = recommender.recommend(Query(user="u0", k=10, diversity=0.8))
    unit = recommender.unit_vectors_ID

    def likeness(rows: np.ndarray) -> float:
        return float(np.mean((unit[rows] @ unit[rows].T)[np.triu_indices(10, 1)]))

    assert diverse.rows[0] == plain.rows[0]
    assert set(diverse.rows.tolist()) <= set(pool.rows.tolist())
    assert likeness(diverse.rows) < likeness(plain.rows)


def test_similar_items_are_ranked_by_cosine_without_the_bias(tmp_path):
    """Against numpy's own norm over the vectors without their last dimension; the vectors stay as they were."""
    bundle = _bundle(tmp_path)
    before = bundle.model.item_vectors_ID.copy()
    vectors_ID = bundle.model.item_vectors_ID[:, :-1].astype(np.float64)
    unit_ID = vectors_ID / np.linalg.norm(vectors_ID, axis=1, keepdims=True)
    cosines_I = unit_ID @ unit_ID[7]
    expected = [row for row in np.argsort(-cosines_I, kind="stable").tolist() if row != 7]
    similar = SimilarItems(bundle, Recommender(bundle))
    answer = similar.similar("i7", k=20)
    assert answer.rows.tolist() == expected[:20]
    np.testing.assert_allclose(answer.scores, cosines_I[answer.rows], atol=1e-6)
    assert np.array_equal(bundle.model.item_vectors_ID, before)
    comedies = similar.similar("i7", k=1000, filters=(parse_condition("genres:Comedy"),))
    assert sorted(comedies.rows.tolist()) == [row for row in range(900) if row % 3 != 1 and row != 7]


def test_an_item_without_a_direction_has_no_neighbours_and_popularity_answers(tmp_path):
    draft = make_draft()
    vectors_ID = draft.model.item_vectors_ID.copy()
    vectors_ID[4, :-1] = 0.0
    model = VectorModel(item_vectors_ID=vectors_ID, encoder=draft.model.encoder)
    index = faiss.IndexFlatIP(8)
    index.add(vectors_ID)
    bundle = read_bundle(write_bundle(replace(draft, model=model, index=index), tmp_path))
    answer = SimilarItems(bundle, Recommender(bundle)).similar("i4", k=4)
    assert (answer.fallback, answer.rows.tolist()) == ("popularity", [0, 1, 2, 3])


def test_an_unknown_item_has_no_similar_ones(tmp_path):
    bundle = _bundle(tmp_path, num_items=30)
    with pytest.raises(UnknownId, match="unknown item: 'nope'"):
        SimilarItems(bundle, Recommender(bundle)).similar("nope", k=3)
