"""Searches and rerankings over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from app.bundle import read_bundle, write_bundle, write_rerank, write_search
from app.main import create_app
from app.releases import ReleaseStore
from app.settings import Settings
from tests.app.api.conftest import Client
from tests.app.retrieval.made import expected
from tests.conftest import make_draft, make_rerank_draft, make_search_draft


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    """Three slots, each with a ranker of its own kind."""
    folder = tmp_path_factory.mktemp("service")
    store = ReleaseStore(folder / "releases")
    store.publish(write_search(make_search_draft(num_documents=200), folder / "drafts"), "texts")
    store.publish(write_rerank(make_rerank_draft(), folder / "drafts"), "features")
    store.publish(write_bundle(make_draft(num_items=60), folder / "drafts"), "items")
    return Settings(
        releases=store.folder,
        slot="items",
        search_slot="texts",
        rerank_slot="features",
        store=f"sqlite:///{folder / 'irgan.db'}",
        max_k=300,
        max_query=500,
        max_candidates=50,
        max_body=20_000,
    )


@pytest.fixture(scope="module")
def client(settings) -> Iterator[Client]:
    with Client(create_app(settings)) as client:
        yield client


@pytest.fixture(scope="module")
def only(settings) -> Iterator[dict[str, Client]]:
    """Services that answer everything from one slot."""
    services = {
        slot: Client(create_app(settings.model_copy(update={"slot": slot, "search_slot": None, "rerank_slot": None})))
        for slot in ("texts", "features", "items")
    }
    for service in services.values():
        service.__enter__()
    yield services
    for service in services.values():
        service.__exit__()


def search(client: Client, query: str = "glacier ice", **body):
    return client.post("/v1/search", json={"query": query, **body})


def problem(response) -> tuple[int, str, list[str]]:
    """Status, kind, and the places that are wrong."""
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["status"] == response.status_code and told["detail"] and told["request_id"]
    return response.status_code, told["type"].removeprefix("urn:irgan:problem:"), [one["location"] for one in told["errors"]]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"mode": "lexical"},
        {"mode": "dense"},
        {"mode": "hybrid", "fusion": {"method": "reciprocal-ranks", "dense_weight": 0.5}},
    ],
)
def test_an_answer_is_the_rankers_own_ranking(client, settings, asked):
    """Through HTTP as by `SearchModel.scores`, to the last bit."""
    model = read_bundle(settings.releases / "bundles" / "texts" / "v1").model
    fusion = asked.get("fusion")
    from app.bundle import Fusion  # noqa: PLC0415 - only here

    wanted = expected(model, "glacier ice", asked.get("mode", "hybrid"), Fusion(**fusion) if fusion else None)
    told = search(client, k=300, **asked).json()
    assert [(int(item["id"][1:]), item["score"]) for item in told["items"]] == wanted
    assert [item["rank"] for item in told["items"]] == list(range(1, len(wanted) + 1))
    assert (told["total"], told["next"], told["mode"]) == (len(wanted), None, asked.get("mode", "hybrid"))


def test_an_answer_says_who_ranked_and_why(client):
    response = search(client, mode="lexical", k=2, facets=["genres"])
    told = response.json()
    assert (told["release"], told["ranker"], told["request_id"]) == (
        "texts/v1",
        "sample-text",
        response.headers["x-request-id"],
    )
    assert (told["experiment"], told["variant"], told["personalised"]) == (None, None, False)
    first = told["items"][0]
    assert first.keys() == {"rank", "score", "id", "title", "metadata", "snippet"}
    assert first["metadata"].keys() == {"year", "genres", "checked"} and "<mark>" in first["snippet"]
    assert sum(one["count"] for one in told["facets"]["genres"]) >= told["total"]


def test_pages_follow_each_other_and_their_size_may_change(client):
    whole = [item["id"] for item in search(client, k=200, mode="dense").json()["items"]]
    ids, after, size = [], None, 7
    while True:
        told = search(client, mode="dense", k=size, **({"after": after} if after else {})).json()
        assert told["items"][0]["rank"] == len(ids) + 1
        ids += [item["id"] for item in told["items"]]
        after, size = told["next"], size + 20
        if after is None:
            break
    assert ids == whole and len(ids) == 200


@pytest.mark.parametrize("query", ["", " \n\t", "\u00a0"])
def test_an_empty_query_is_a_problem(client, query):
    response = search(client, query)
    assert problem(response) == (422, "invalid-request", ["body.query"])
    assert "the query is empty" in response.json()["detail"]


@pytest.mark.parametrize(
    "query", ["🎉🚀", "שלום עולם", "مرحبا", "東京都", "\u202e\u0000ice", "'; drop table --", "x" * 500, "<b>ice", "👩‍👩‍👧 ice"]
)
@pytest.mark.parametrize("mode", ["lexical", "dense", "hybrid"])
def test_whatever_is_written_is_searched_for(client, query, mode):
    told = search(client, query, mode=mode).json()
    assert told["mode"] == mode
    assert len(told["items"]) == (min(10, told["total"]) if mode == "lexical" else 10)


def test_a_huge_query_is_refused_before_it_is_searched_for(client, only, settings):
    assert problem(search(client, "ice " * 200)) == (422, "invalid-request", ["body.query"])
    assert problem(search(client, "ice " * 250_000))[:2] == (413, "body-too-large")
    roomy = settings.model_copy(update={"max_body": 2**21, "max_query": 2**21})
    with Client(create_app(roomy)) as service:
        told = search(service, "ice heat " * 110_000, mode="hybrid", k=1).json()
        assert told["total"] == 200


@pytest.mark.parametrize(
    ("body", "kind", "places"),
    [
        ({"k": 0}, "invalid-request", ["body.k"]),
        ({"k": 301}, "invalid-request", ["body.k"]),
        ({"mode": "fuzzy"}, "invalid-request", ["body.mode"]),
        ({"fusion": {"method": "sum"}}, "invalid-request", ["body.fusion.method"]),
        ({"fusion": {"dense_weight": -1}}, "invalid-request", ["body.fusion.dense_weight"]),
        ({"sort": "year"}, "invalid-request", ["body.sort"]),
        ({"candidates": []}, "invalid-request", ["body.candidates"]),
        ({"candidates": [str(n) for n in range(51)]}, "invalid-request", ["body.candidates"]),
        ({"after": "nonsense"}, "invalid-request", ["body.after"]),
        ({"after": "ÿ"}, "invalid-request", ["body.after"]),
        ({"after": ""}, "invalid-request", ["body.after"]),
        ({"user_weight": -1}, "invalid-request", ["body.user_weight"]),
        ({"facets": ["gender"]}, "invalid-filter", ["facets.gender"]),
        ({"filters": {"gender": "x"}}, "invalid-filter", ["filters.gender"]),
        ({"filters": {"year": "soon"}}, "invalid-filter", ["filters.year"]),
        ({"filters": {"genres": {"gte": 1}}}, "invalid-filter", ["filters.genres"]),
        ({"filters": {"text": "ice"}}, "invalid-filter", ["filters.text"]),
    ],
)
def test_what_cannot_be_asked_is_a_problem_that_says_where(client, body, kind, places):
    assert problem(search(client, **body)) == (422, kind, places)


def test_an_unknown_field_lists_those_there_are(client):
    for body in ({"facets": ["gender"]}, {"filters": {"gender": "x"}}):
        detail = search(client, **body).json()["detail"]
        assert (
            "'gender'" in detail
            and "id (text), title (text), year (number), genres (list of text), checked (true or false)" in detail
        )


def test_bodies_that_are_none(client):
    assert problem(client.post("/v1/search", content=b"{", headers={"content-type": "application/json"}))[:2] == (
        400,
        "malformed-json",
    )
    assert problem(client.post("/v1/search", content=b"query=ice"))[:2] == (415, "unsupported-media-type")
    assert problem(client.post("/v1/search", json=["ice"]))[:2] == (422, "invalid-request")
    assert problem(client.post("/v1/search", json={}))[2] == ["body.query"]
    assert problem(client.get("/v1/search"))[:2] == (405, "method-not-allowed")


def test_a_page_is_of_one_release_and_one_search(client, only, settings):
    """Another query, filter, mode or release begins at the top; a cursor that somebody made up is none."""
    told = search(client, k=3).json()
    after = told["next"]
    assert search(client, k=9, after=after, facets=["year"]).status_code == 200
    for body in ({"query": "ice"}, {"mode": "lexical"}, {"filters": {"year": 1990}}, {"fusion": {"dense_weight": 1}}):
        response = search(client, **{"query": "glacier ice", "after": after} | body)
        assert problem(response) == (422, "invalid-request", ["body.after"])
        assert "of another search" in response.json()["detail"]
    import base64  # noqa: PLC0415 - only here

    parts = json.loads(base64.urlsafe_b64decode(after + "=="))
    for name, changed in (
        ("release texts/v0", [["texts/v0"], *parts[1:]]),
        ("no place", [*parts[:-1], 0]),
        ("no place", [*parts[:-1], "many"]),
        ("no place", parts[:-1]),
        ("no place", {"release": "texts/v1"}),
        ("no place", 7),
    ):
        made_up = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
        response = search(client, after=made_up)
        assert problem(response) == (422, "invalid-request", ["body.after"])
        assert name in response.json()["detail"]
    deep = base64.urlsafe_b64encode(json.dumps([*parts[:-1], 10**15]).encode()).decode().rstrip("=")
    assert search(client, after=deep).status_code == 200


def test_candidates_are_all_that_competes(client):
    told = search(client, mode="dense", candidates=["d3", "d1", "nothing", 7]).json()
    assert {item["id"] for item in told["items"]} == {"d1", "d3"} and told["total"] == 2


def test_filters_and_facets_go_together(client):
    told = search(
        client, mode="dense", k=300, filters={"year": {"gte": 1985, "lte": 1986}, "genres": ["War"]}, facets=["year"]
    ).json()
    assert told["facets"]["year"] == sorted(told["facets"]["year"], key=lambda one: (-one["count"], str(one["value"])))
    assert {one["value"] for one in told["facets"]["year"]} <= {1985, 1986}
    assert all("War" in item["metadata"]["genres"] for item in told["items"]) and told["items"]


# reranking


def test_candidates_are_put_in_order_by_their_features(client):
    """1·a − 2·b + ½·c; of equal scores the one that came first."""
    candidates = [
        {"id": name, "features": features} for name, features in (("a", [0, 0, 0]), ("b", [1, 1, 4]), ("c", [1, 0.5, 0]))
    ]
    told = client.post("/v1/rerank", json={"candidates": candidates}).json()
    assert [(item["rank"], item["score"], item["id"]) for item in told["items"]] == [
        (1, 1.0, "b"),
        (2, 0.0, "a"),
        (3, 0.0, "c"),
    ]
    assert (told["release"], told["ranker"]) == ("features/v1", "sample-features")
    assert len(client.post("/v1/rerank", json={"candidates": candidates, "k": 1}).json()["items"]) == 1


def test_candidates_are_put_in_order_by_their_texts(only):
    body = {"query": "glacier ice", "candidates": [{"id": 1, "text": "heat"}, {"id": 2, "title": "Ice", "text": "glacier"}]}
    told = only["texts"].post("/v1/rerank", json=body).json()
    assert [item["id"] for item in told["items"]] == ["2", "1"] and told["release"] == "texts/v1"
    assert only["items"].post("/v1/rerank", json=body).json()["release"] == "sample/v1"


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"candidates": []}, ["body.candidates"]),
        ({"candidates": [{"id": "a", "features": [1, 2]}]}, ["body.candidates.0.features"]),
        ({"candidates": [{"id": "a", "features": [1, 2, 3]}, {"id": "b", "features": []}]}, ["body.candidates.1.features"]),
        ({"candidates": [{"id": "a", "features": [1, 2, 1e300]}]}, ["body.candidates.0.features.2"]),
        ({"candidates": [{"id": "a", "features": [1, 2, "x"]}]}, ["body.candidates.0.features.2"]),
        ({"candidates": [{"id": "a", "features": [1, 2, 3]}, {"id": "b", "text": "x"}]}, ["body"]),
        ({"candidates": [{"id": "a", "features": [1, 2, 3]}, {"id": "a", "features": [1, 2, 3]}]}, ["body"]),
        ({"candidates": [{"id": "a", "text": "x"}]}, ["body"]),
        ({"candidates": [{"id": "a", "text": "x"}], "query": " "}, ["body"]),
        ({"candidates": [{"id": str(n), "features": [1, 2, 3]} for n in range(51)]}, ["body.candidates"]),
        ({"candidates": [{"id": "a", "features": [1, 2, 3]}], "k": 0}, ["body.k"]),
    ],
)
def test_candidates_that_cannot_be_put_in_order(client, body, places):
    assert problem(client.post("/v1/rerank", json=body)) == (422, "invalid-request", places)


# one service, other questions


FEATURES = {"candidates": [{"id": "a", "features": [1, 2, 3]}]}
TEXTS = {"query": "ice", "candidates": [{"id": "a", "text": "ice"}]}
QUESTIONS = {
    "recommendations": ("GET", "/v1/recommendations/u1", None),
    "history": ("POST", "/v1/recommendations", {"history": []}),
    "batch": ("POST", "/v1/recommendations", {"requests": [{"user": "u1"}]}),
    "similar": ("GET", "/v1/items/i1/similar", None),
    "search": ("POST", "/v1/search", {"query": "ice"}),
    "features": ("POST", "/v1/rerank", FEATURES),
    "texts": ("POST", "/v1/rerank", TEXTS),
    "put": ("PUT", "/v1/items/x", {"text": "ice"}),
    "put several": ("PUT", "/v1/items", {"items": [{"id": "x", "text": "ice"}]}),
    "delete": ("DELETE", "/v1/items/x", None),
    "delete several": ("DELETE", "/v1/items", {"ids": ["x"]}),
}
ANSWERED = {
    "texts": {"search", "texts", "put", "put several", "delete", "delete several"},
    "features": {"features"},
    "items": set(QUESTIONS) - {"features"},
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("slot", ANSWERED)
def test_a_ranker_that_answers_other_questions_says_which(only, slot, question):
    method, path, body = QUESTIONS[question]
    response = only[slot].request(method, path, json=body)
    if question in ANSWERED[slot]:
        assert response.status_code in {200, 404}
        return
    assert problem(response)[:2] == (409, "wrong-ranker")
    detail = response.json()["detail"]
    assert f"is live in slot {slot!r} and answers " in detail and ", not " in detail


def test_a_service_without_a_release_has_no_answer_to_anything(tmp_path):
    settings = Settings(releases=tmp_path / "releases", slot="champion", store=f"sqlite:///{tmp_path / 'irgan.db'}")
    with Client(create_app(settings)) as client:
        for method, path, body in QUESTIONS.values():
            response = client.request(method, path, json=body)
            assert problem(response)[:2] == (503, "no-release")
            assert response.headers["retry-after"] == "1"


def test_every_slot_answers_its_own_questions(client):
    assert client.get("/v1/recommendations/u1").json()["release"] == "sample/v1"
    assert search(client).json()["release"] == "texts/v1"
    assert client.post("/v1/rerank", json=FEATURES).json()["release"] == "features/v1"
    told = client.get("/v1/releases").json()
    assert told["live"] == "sample/v1"
    assert {slot["slot"]: slot["live"] for slot in told["slots"]} == {"features": True, "items": True, "texts": True}


def test_metrics_tell_slots_apart(client):
    search(client)
    text = client.get("/metrics").text
    for slot, ranker in (("items", "sample"), ("texts", "sample-text"), ("features", "sample-features")):
        assert re.search(rf'irgan_release_info{{[^}}]*ranker="{ranker}"[^}}]*slot="{slot}"', text)
    assert "irgan_release_swaps_total 3.0" in text
    assert 'irgan_request_seconds_count{ranker="sample-text",route="/v1/search"}' in text


def test_every_example_of_the_document_is_a_body_that_is_understood(client, only):
    """Whatever a bundle makes of it: no example breaks the schema."""
    paths = client.get("/openapi.json").json()["paths"]
    of_what_is_not_there = ("unknown-id", "unknown-release", "unknown-experiment")
    tried = 0
    for path, methods in paths.items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for example in content.get("examples", {}).values():
                address = path.replace("{item_id}", "x").replace("{slot}", "items")
                response = only["items"].request(method.upper(), address, json=example["value"])
                told = response.json()
                understood = response.status_code in {200, 201, 409}
                assert understood or told["type"].endswith(("invalid-filter", *of_what_is_not_there)), told
                tried += 1
    assert tried >= 8


def test_a_recommenders_items_are_searched_by_their_metadata(only):
    told = only["items"].post("/v1/search", json={"query": "drama 1984", "personalise": "u1", "k": 3}).json()
    assert told["personalised"] and "<mark>" in told["items"][0]["snippet"]
    assert not only["items"].post("/v1/search", json={"query": "drama", "personalise": "nobody"}).json()["personalised"]
    assert not only["texts"].post("/v1/search", json={"query": "ice", "personalise": "u1"}).json()["personalised"]
