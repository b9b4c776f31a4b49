"""A second stage orders what the first one finds: with enough candidates the answer is the ranker's own full ranking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.bundle import Bundle, HistoryPolicy, OnnxRescorer, read_bundle, write_bundle
from app.retrieval import Query, Recommender, SimilarItems, parse_condition
from tests.conftest import make_draft, with_rescorer


def _bundle(tmp_path, *, policy: HistoryPolicy | None = None, num_items: int = 900, candidates: int = 900) -> Bundle:
    draft = make_draft(num_items=num_items, num_users=6)
    draft = replace(draft, model=replace(draft.model, policy=policy or draft.model.policy))
    return read_bundle(write_bundle(with_rescorer(draft, candidates=candidates), tmp_path))


@pytest.mark.parametrize("policy", [HistoryPolicy(4.0), HistoryPolicy(4.0, "all", demote_low=True)])
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_with_all_items_as_candidates_the_answer_is_the_rankers_own(tmp_path, policy, exclude_seen):
    """Scores are the rescorer's, low ratings last where the policy says so, and the first stage alone would answer otherwise."""
    bundle = _bundle(tmp_path, policy=policy)
    recommender = Recommender(bundle)
    scores_UI = bundle.model.scores(bundle.seen)
    had_UI = bundle.seen.mask(900)
    first_UI = bundle.model.first_scores(bundle.model.queries(bundle.seen))
    assert not np.array_equal(np.argsort(-first_UI)[:, :10], np.argsort(-scores_UI)[:, :10])
    for user in range(6):
        order = np.argsort(-scores_UI[user], kind="stable").tolist()
        expected = [row for row in order if not (exclude_seen and had_UI[user, row])]
        for k in (10, 900):
            answer = recommender.recommend(Query(user=f"u{user}", k=k, exclude_seen=exclude_seen))
            assert answer.rows.tolist() == expected[:k]
            np.testing.assert_allclose(answer.scores, scores_UI[user, expected[:k]], rtol=1e-9)


def test_fewer_candidates_give_the_best_of_those_that_the_first_stage_finds(tmp_path):
    """The 200 best inner products, in the rescorer's order; for more than 100 answers proportionally more are looked at."""
    bundle = _bundle(tmp_path, candidates=200)
    history = bundle.seen.take(np.array([0]))
    first_I = bundle.model.first_scores(bundle.model.queries(history))[0]
    own_I = bundle.model.scores(history)[0]
    recommender = Recommender(bundle)
    for k, candidates in ((10, 200), (100, 200), (150, 300), (450, 900), (900, 900)):
        found = np.argsort(-first_I, kind="stable")[:candidates]
        expected = found[np.argsort(-own_I[found], kind="stable")][:k]
        assert recommender.recommend(Query(user="u0", k=k, exclude_seen=False)).rows.tolist() == expected.tolist()


def test_filters_exclusions_and_diversity_hold_with_two_stages(tmp_path):
    """A filter that leaves five items returns those five in the rescorer's order; diversity chooses from rescored candidates."""
    bundle = _bundle(tmp_path)
    recommender = Recommender(bundle)
    own_I = bundle.model.scores(bundle.seen.take(np.array([1])))[0]
    five = parse_condition("id:i10|i200|i300|i555|i899")
    rows = [row for row in np.argsort(-own_I).tolist() if row in {10, 200, 300, 555, 899}]
    assert recommender.recommend(Query(user="u1", k=10, filters=(five,), exclude_seen=False)).rows.tolist() == rows
    answer = recommender.recommend(Query(user="u1", k=10, filters=(five,), exclude=["i300"], exclude_seen=False))
    assert answer.rows.tolist() == [row for row in rows if row != 300]
    nothing = recommender.recommend(Query(user="u1", filters=(parse_condition("genres:None such"),)))
    assert len(nothing.rows) == 0
    plain = recommender.recommend(Query(user="u1", k=100))
    diverse = recommender.recommend(Query(user="u1", k=10, diversity=0.7))
    assert diverse.rows[0] == plain.rows[0]
    assert set(diverse.rows.tolist()) <= set(plain.rows.tolist())
    assert diverse.rows.tolist() != plain.rows[:10].tolist()


def test_asked_together_or_alone_the_answers_are_the_same(tmp_path):
    recommender = Recommender(_bundle(tmp_path, candidates=200))
    queries = [Query(user=f"u{user}", k=k) for user in range(6) for k in (3, 40)]
    together = recommender.recommend_all(queries)
    for query, answer in zip(queries, together, strict=True):
        alone = recommender.recommend(query)
        assert alone.rows.tolist() == answer.rows.tolist()
        np.testing.assert_array_equal(alone.scores, answer.scores)


def test_similar_items_and_the_fallback_know_no_second_stage(tmp_path):
    """Cosines stay cosines, counts stay counts."""
    bundle = _bundle(tmp_path)
    recommender = Recommender(bundle)
    similar = SimilarItems(bundle, recommender).similar("i7", k=5)
    assert np.abs(similar.scores).max() <= 1.0 + 1e-6
    unit_ID = recommender.unit_vectors_ID.astype(np.float64)
    np.testing.assert_allclose(similar.scores, (unit_ID @ unit_ID[7])[similar.rows], atol=1e-6)
    popular = recommender.recommend(Query(user="stranger", k=3))
    assert (popular.fallback, popular.rows.tolist()) == ("popularity", [0, 1, 2])


@pytest.mark.parametrize("policy", [HistoryPolicy(4.0), HistoryPolicy(4.0, "all", demote_low=True)])
def test_items_that_the_rescorer_gives_no_number_are_not_answered(tmp_path, monkeypatch, policy):
    """A graph may run out of its numbers for one item; the others keep their order."""
    recommender = Recommender(_bundle(tmp_path, policy=policy))
    query = Query(user="u0", k=900, exclude_seen=False)
    whole = recommender.recommend(query).rows.tolist()
    own = OnnxRescorer.scores

    def with_holes(self: OnnxRescorer, queries_BD: np.ndarray, items_C: np.ndarray) -> np.ndarray:
        return np.where(np.isin(items_C, [whole[0], whole[-1]]), np.nan, own(self, queries_BD, items_C))

    monkeypatch.setattr(OnnxRescorer, "scores", with_holes)
    answer = recommender.recommend(query)
    assert answer.rows.tolist() == whole[1:-1]
    assert np.isfinite(answer.scores).all()
