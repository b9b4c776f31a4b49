"""Whatever is wrong with a request, the answer is a problem with the right status that says what to do."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

URL = "/v1/recommendations"
JSON = {"content-type": "application/json"}


def check(answer, status: int, kind: str) -> dict:
    """The problem, its shape checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "request_id", "errors"}
    assert (problem["type"], problem["status"]) == (f"urn:irgan:problem:{kind}", status)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"] and problem["detail"]
    return problem


@pytest.mark.parametrize("k", [0, -1, 10**6, 501, "ten", 1.5, ""])
@pytest.mark.parametrize("path", [f"{URL}/u1", "/v1/items/i1/similar"])
def test_k_out_of_its_range_in_a_url(client, path, k):
    problem = check(client.get(path, params={"k": k}), 422, "invalid-request")
    assert [fault["location"] for fault in problem["errors"]] == ["query.k"]


@pytest.mark.parametrize("k", [0, -1, 10**6, 10**30, "ten", 1.5, None, [1]])
@pytest.mark.parametrize("batch", [False, True])
def test_k_out_of_its_range_in_a_body(client, k, batch):
    question = {"user": "u1", "k": k}
    problem = check(client.post(URL, json={"requests": [{}, question]} if batch else question), 422, "invalid-request")
    assert [fault["location"] for fault in problem["errors"]] == ["body.requests.1.k" if batch else "body.k"]


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({"usr": "u1"}, "body.usr"),
        ({"user": ""}, "body.user"),
        ({"history": [{"rating": 3}]}, "body.history.0.item"),
        ({"history": [{"item": "i1", "rating": "good"}]}, "body.history.0.rating"),
        ({"history": "i1"}, "body.history"),
        ({"diversity": 1.5}, "body.diversity"),
        ({"exclude": [[]]}, "body.exclude.0"),
        ({"filters": {"year": {}}}, "body.filters.year"),
        ({"filters": {"year": {"from": 3}}}, "body.filters.year"),
        ({"filters": []}, "body.filters"),
        ({"requests": []}, "body.requests"),
        ({"requests": [{}], "k": 3}, "body.k"),
        ({"requests": [{}] * 21}, "body.requests"),
        ({"history": [{"item": "i1"}] * 51}, "body.history"),
        ({"exclude": ["i1"] * 51}, "body.exclude"),
        ([], "body"),
        (None, "body"),
        ("text", "body"),
        (3, "body"),
    ],
)
def test_a_body_that_breaks_its_schema_is_told_where(client, body, location):
    problem = check(client.post(URL, content=json.dumps(body), headers=JSON), 422, "invalid-request")
    assert any(fault["location"].startswith(location) for fault in problem["errors"]), problem["errors"]


def test_every_fault_is_told_at_once(client):
    problem = check(client.post(URL, json={"k": 0, "diversity": 2, "exclude": "x"}), 422, "invalid-request")
    assert {fault["location"] for fault in problem["errors"]} == {"body.k", "body.diversity", "body.exclude"}


@pytest.mark.parametrize("parameters", [{"kk": 1}, {"diversity": "nan"}, {"exclude_seen": "perhaps"}])
def test_a_url_that_breaks_its_schema_is_told_where(client, parameters):
    problem = check(client.get(f"{URL}/u1", params=parameters), 422, "invalid-request")
    assert [fault["location"] for fault in problem["errors"]] == [f"query.{next(iter(parameters))}"]


def test_a_path_without_a_user(client):
    problem = check(client.get(f"{URL}/"), 422, "invalid-request")
    assert problem["errors"][0]["location"] == "path.user_id"


@pytest.mark.parametrize("filters", [{"colour": "red"}, {"year": "young"}, {"year": {"gte": "soon"}}, {"price": [True]}])
def test_a_filter_that_cannot_be_used(client, filters):
    problem = check(client.post(URL, json={"user": "u1", "filters": filters}), 422, "invalid-filter")
    assert problem["errors"][0]["location"] == f"filters.{next(iter(filters))}"


@pytest.mark.parametrize("text", ["colour:red", "year", "year>=young", ":", ""])
def test_a_filter_in_a_url_that_cannot_be_used(client, text):
    check(client.get(f"{URL}/u1", params={"filter": text}), 422, "invalid-filter")


@pytest.mark.parametrize("body", [b"", b"{", b"{'k': 1}", b"\xff\xfe", b'{"k": NaN}', b"[" * 9_000])
def test_what_is_not_json(client, body):
    check(client.post(URL, content=body, headers=JSON), 400, "malformed-json")


@pytest.mark.parametrize("declared", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", None])
def test_what_is_not_declared_as_json(client, declared):
    headers = {} if declared is None else {"content-type": declared}
    check(client.post(URL, content=b'{"user": "u1"}', headers=headers), 415, "unsupported-media-type")


@pytest.mark.parametrize("declared", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.irgan+json"])
def test_json_by_another_name_is_json(client, declared):
    assert client.post(URL, content=b'{"user": "u1"}', headers={"content-type": declared}).status_code == 200


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_beyond_the_limit_is_not_read_to_its_end(client, streamed):
    """Whether its length is declared or not."""
    sent = []

    async def chunks():
        for _ in range(50):
            sent.append(1)
            yield b" " * 1000

    content = chunks() if streamed else b" " * 50_000
    problem = check(client.post(URL, content=content, headers=JSON), 413, "body-too-large")
    assert "20000 bytes" in problem["detail"]
    assert len(sent) <= 21


def test_an_item_that_is_not_in_the_catalogue(client):
    problem = check(client.get("/v1/items/nope/similar"), 404, "unknown-id")
    assert "'nope'" in problem["detail"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/item/i1", "/v2/recommendations/u1", "/health"])
def test_a_path_that_does_not_exist(client, path):
    check(client.get(path), 404, "no-such-path")


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", URL), ("GET", URL), ("POST", "/health/live"), ("PUT", "/v1/recommendations/u1")]
)
def test_a_method_that_a_path_does_not_know(client, method, path):
    answer = client.request(method, path)
    check(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]


def test_a_mistake_of_ours_tells_nothing_but_where_to_look(client, monkeypatch, caplog):
    def failing(*_: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr("app.retrieval.Recommender.recommend_all", failing)
    answer = client.get(f"{URL}/u1")
    problem = check(answer, 500, "internal")
    assert "secret" not in answer.text
    assert problem["request_id"] in caplog.text and "a secret of the house" in caplog.text


def test_what_is_asked_of_a_service_without_a_release(empty):
    client, _ = empty
    for answer in (
        client.get(f"{URL}/u1"),
        client.post(URL, json={}),
        client.post(URL, json={"requests": [{}]}),
        client.get("/v1/items/i1/similar"),
    ):
        problem = check(answer, 503, "no-release")
        assert answer.headers["retry-after"] == "1"
        assert "irgan publish" in problem["detail"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_scalar = st.sampled_from(["i1", "i2", "nope", "", 5, 0, -1, 2.5, True, None, "Comedy", "1990", "yes", 1e300, 2**70])
_filter = _scalar | st.lists(_scalar, max_size=3) | st.dictionaries(st.sampled_from(["gte", "lte", "x"]), _scalar, max_size=2)
_question = st.fixed_dictionaries(
    {},
    optional={
        "user": _scalar,
        "history": st.lists(st.fixed_dictionaries({"item": _scalar}, optional={"rating": _scalar}), max_size=4) | _scalar,
        "k": st.sampled_from([1, 7, 500, 0, 10**6]) | _json,
        "exclude": st.lists(_scalar, max_size=3),
        "exclude_seen": st.booleans() | _scalar,
        "diversity": st.floats(-1, 2) | _json,
        "filters": st.dictionaries(
            st.sampled_from(["year", "genres", "rare", "price", "title", "id", "none"]), _filter, max_size=3
        ),
    },
)
_body = _question | st.fixed_dictionaries({"requests": st.lists(_question, max_size=3)}) | _json


@hypothesis_settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=_body)
def test_no_body_whatever_makes_the_service_fail(client, body):
    """Nearly right and altogether wrong bodies: an answer or a problem, never 500."""
    answer = client.post(URL, content=json.dumps(body), headers=JSON)
    assert answer.status_code in (200, 400, 422), (body, answer.text)
    if answer.status_code == 200:
        for ranking in answer.json().get("answers", [answer.json()]):
            ids = [item["id"] for item in ranking["items"]]
            assert len(ids) == len(set(ids)) <= 500


@hypothesis_settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    who=st.text(min_size=1, max_size=20),
    parameters=st.lists(
        st.tuples(
            st.sampled_from(["k", "diversity", "filter", "exclude_seen", "x"]),
            st.text(max_size=12)
            | st.sampled_from(["1", "5", "year>=1990", "genres:War|", "rare:yes", "price<=nan", "true", "0.5"]),
        ),
        max_size=3,
    ),
)
def test_no_url_whatever_makes_the_service_fail(client, who, parameters):
    from urllib.parse import quote  # noqa: PLC0415 - beside its one use

    path = quote(who, safe="", errors="surrogatepass")
    for url in (f"{URL}/{path}", f"/v1/items/{path}/similar"):
        answer = client.get(url, params=parameters)
        assert answer.status_code in (200, 404, 422), (url, parameters, answer.text)


@pytest.mark.parametrize(
    ("path", "body", "location"),
    [
        (URL, [], "body"),
        ("/v1/experiments", 5, "body"),
        ("/v1/events", {"events": [None]}, "body.events.0"),
        (URL, {"filters": 1}, "body.filters"),
    ],
)
def test_what_is_no_object_is_told_without_the_names_of_our_classes(client, path, body, location):
    problem = check(client.post(path, json=body), 422, "invalid-request")
    assert {"location": location, "message": "expected an object"} in problem["errors"]
