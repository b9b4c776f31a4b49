"""Rankings over HTTP are the model's own, and every option does what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from app.bundle import Histories
from app.releases import load_release

ALL = 500


@pytest.fixture(scope="module")
def release(settings):
    return load_release(settings.releases / "bundles" / "sample" / "v1")


def rows(answer) -> list[int]:
    """The rows of the items answered, in their order."""
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [item["rank"] for item in items] == list(range(1, len(items) + 1))
    return [int(item["id"][1:]) for item in items]


def ask(client, **body):
    return client.post("/v1/recommendations", json=body)


def full_ranking(release, histories: Histories, users_B=None) -> list[list[int]]:
    """Rows best first, ties by the lower one, from the scores that the evaluator ranks by."""
    return np.argsort(-release.bundle.model.scores(histories, users_B), axis=1, kind="stable").tolist()


def test_what_comes_over_http_is_the_models_full_ranking(client, release):
    """For every known user, to the last place asked for, with scores that survive JSON to the last bit."""
    seen = release.bundle.seen
    scores_UI = release.bundle.model.scores(seen, np.arange(12))
    for user, ranking in enumerate(full_ranking(release, seen, np.arange(12))):
        for k in (10, ALL):
            answer = client.get(f"/v1/recommendations/u{user}", params={"k": k, "exclude_seen": False})
            assert rows(answer) == ranking[:k]
        np.testing.assert_allclose(
            [item["score"] for item in answer.json()["items"]], scores_UI[user, ranking[:ALL]], rtol=1e-9
        )


def test_what_a_user_has_had_is_left_out_unless_asked_for(client, release):
    had = set(release.bundle.seen.take(np.array([3])).items.tolist())
    with_seen = rows(client.get("/v1/recommendations/u3", params={"k": ALL, "exclude_seen": "false"}))
    without = rows(client.get("/v1/recommendations/u3", params={"k": ALL}))
    assert had & set(with_seen) and not had & set(without)
    assert [row for row in with_seen if row not in had] == without[: len(with_seen) - len(had & set(with_seen))]


def test_of_somebody_who_is_named_beside_a_history_the_history_ranks(client):
    """Also where the ranker knows the user, and where the history is empty."""
    for history in ([{"item": "i5", "rating": 5.0}, {"item": "i8"}], []):
        assert ask(client, user="u3", history=history).json()["items"] == ask(client, history=history).json()["items"]


def test_a_history_ranks_for_somebody_never_seen(client, release):
    expected = full_ranking(release, Histories.of([[5, 8, 13]], [[5.0, 4.0, 1.0]]))[0]
    history = [{"item": "i5", "rating": 5}, {"item": "i8", "rating": 4}, {"item": "i13", "rating": 1}]
    assert rows(ask(client, history=history, k=20, exclude_seen=False)) == expected[:20]
    assert rows(ask(client, history=history, k=20)) == [row for row in expected if row not in (5, 8, 13)][:20]


def test_a_batch_answers_each_question_in_order_as_if_asked_alone(client):
    questions = [
        {"user": "u1", "k": 3},
        {"history": [{"item": "i4"}], "k": 2, "filters": {"rare": "yes"}},
        {"user": "nobody"},
        {"history": [{"item": "i1"}, {"item": "none"}], "k": 1},
    ]
    batch = client.post("/v1/recommendations", json={"requests": questions})
    assert batch.status_code == 200
    answers = batch.json()["answers"]
    assert len({answer["request_id"] for answer in answers}) == len(questions)
    for answer, question in zip(answers, questions, strict=True):
        alone = ask(client, **question).json()
        assert {**answer, "request_id": ""} == {**alone, "request_id": ""}


def test_every_answer_says_who_ranked_and_carries_its_id(client):
    answer = client.get("/v1/recommendations/u1", params={"k": 1})
    told = answer.json()
    assert (told["ranker"], told["release"], told["experiment"], told["variant"]) == ("sample", "sample/v1", None, None)
    assert told["request_id"] == answer.headers["x-request-id"]
    other = client.get("/v1/recommendations/u1", params={"k": 1}, headers={"x-request-id": "mine"})
    assert other.json()["request_id"] not in (told["request_id"], "mine")


def test_items_come_with_title_and_metadata(client):
    answer = ask(client, history=[{"item": "i1"}], filters={"rare": "yes"}, k=5).json()
    seven = next(item for item in answer["items"] if item["id"] == "i7")
    assert seven["title"] == "Item 7"
    assert seven["metadata"] == {"year": 1987, "genres": ["Drama", "War"], "rare": "yes", "price": None}


@pytest.mark.parametrize("where", ["url", "body"])
def test_a_filter_that_leaves_five_items_is_answered_with_those_five(client, where):
    if where == "url":
        answer = client.get("/v1/recommendations/nobody-knows", params={"filter": "rare:yes"})
    else:
        answer = ask(client, history=[{"item": "i3"}], filters={"rare": "yes"})
    assert sorted(rows(answer)) == [7, 70, 77, 170, 270]


def test_filters_narrow_the_same_ranking(client, release):
    expected = [
        row
        for row in full_ranking(release, Histories.of([[3]]))[0]
        if 1985 <= 1980 + row % 20 <= 1989 and row % 3 != 0 and row != 3
    ]
    body = {"year": {"gte": 1985, "lte": 1989}, "genres": ["War", "Drama"]}
    assert rows(ask(client, history=[{"item": "i3"}], filters=body, k=30)) == expected[:30]
    by_url = client.get("/v1/items/i3/similar", params={"filter": ["year>=1985", "year<=1989", "genres:War|Drama"], "k": 30})
    assert set(rows(by_url)) <= set(expected)


def test_a_filter_that_leaves_nothing_is_answered_with_nothing(client):
    assert rows(ask(client, user="u1", filters={"genres": "Western"})) == []


def test_what_is_excluded_is_not_answered_and_the_rest_moves_up(client):
    plain = rows(ask(client, user="u2", k=10))
    shorter = rows(ask(client, user="u2", k=8, exclude=[f"i{plain[0]}", f"i{plain[4]}", "no such item"]))
    assert shorter == [row for row in plain if row not in (plain[0], plain[4])]


def test_more_items_than_there_are_gives_all_there_are(client):
    assert len(rows(ask(client, user="u2", k=ALL, filters={"year": {"lte": 1981}}))) <= 60


def test_diversity_keeps_the_first_and_changes_the_rest(client):
    plain, diverse = (rows(ask(client, user="u2", k=10, diversity=d)) for d in (0, 0.8))
    assert diverse[0] == plain[0] and diverse != plain and len(set(diverse)) == 10
    assert rows(client.get("/v1/recommendations/u2", params={"diversity": 0.8})) == diverse


@pytest.mark.parametrize(
    "question",
    [{"user": "nobody"}, {"history": [{"item": "none"}]}, {"history": []}, {}],
    ids=lambda q: next(iter(q), "nothing"),
)
def test_who_is_not_known_gets_the_most_popular_items_and_is_told(client, question):
    answer = ask(client, **question, k=5)
    assert rows(answer) == [0, 1, 2, 3, 4]  # the popularity of row r is 600 − r
    assert answer.json()["fallback"] == "popularity"


def test_who_is_known_is_not_told_of_a_fallback(client):
    assert ask(client, user="u1").json()["fallback"] is None


def test_unknown_items_of_a_history_are_named_and_do_no_harm(client):
    answer = ask(client, history=[{"item": "i5"}, {"item": "n1"}, {"item": "n2", "rating": 3}], k=5)
    assert answer.json()["unknown_items"] == ["n1", "n2"]
    assert rows(answer) == rows(ask(client, history=[{"item": "i5"}], k=5))


def test_ids_may_be_numbers_in_json_and_hold_any_character_in_a_path(client):
    assert ask(client, history=[{"item": 5}]).json()["unknown_items"] == ["5"]
    assert client.get("/v1/recommendations/a%2Fb%20c%3F").json()["fallback"] == "popularity"
    missing = client.get("/v1/items/a%2Fb%20%C3%A9/similar")
    assert missing.status_code == 404 and "'a/b é'" in missing.json()["detail"]


def test_similar_items_are_by_cosine_without_the_item_itself(client, release):
    vectors_ID = release.bundle.model.item_vectors_ID[:, :-1].astype(np.float64)
    unit_ID = vectors_ID / np.linalg.norm(vectors_ID, axis=1, keepdims=True)
    expected = [row for row in np.argsort(-(unit_ID @ unit_ID[9]), kind="stable").tolist() if row != 9]
    assert rows(client.get("/v1/items/i9/similar", params={"k": 15})) == expected[:15]


def test_answers_are_plain_json_of_the_documented_shape(client):
    answer = client.get("/v1/recommendations/u1", params={"k": 1})
    assert answer.headers["content-type"] == "application/json"
    assert set(json.loads(answer.content)) == {
        "request_id",
        "ranker",
        "release",
        "experiment",
        "variant",
        "fallback",
        "unknown_items",
        "items",
    }
