"""The access log: what a line tells of a request, and what none tells."""

from __future__ import annotations

import json
import logging
import sys
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from app.api.telling import SEVERAL, note, noted
from app.experiments.plan import Assigned, Part
from app.main import create_app
from app.store import Database, Keys
from app.telemetry import REQUEST_ID, JsonLines
from tests.app.api.conftest import Client


@pytest.fixture(scope="module")
def logging_client(settings):
    with Client(create_app(settings.model_copy(update={"access_log": True}))) as client:
        yield client


@pytest.fixture
def told(caplog):
    """What the access log told, as JSON tells it; the records know their request only while they are written."""
    lines: list[dict] = []

    class Keeps(logging.Handler):
        def emit(self, record):
            lines.append(json.loads(JsonLines().format(record)))

    handler, logger = Keeps(), logging.getLogger("app")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_line_tells_what_answered(logging_client, told):
    answer = logging_client.get("/v1/recommendations/nobody?k=3")
    (line,) = told
    assert line.pop("time") and line.pop("milliseconds") > 0
    assert line == {
        "level": "info",
        "logger": "app.access",
        "message": "GET /v1/recommendations/nobody 200",
        "request_id": answer.json()["request_id"],
        "method": "GET",
        "path": "/v1/recommendations/nobody",
        "status": 200,
        "route": "/v1/recommendations/{user_id:path}",
        "ranker": "sample",
        "release": "sample/v1",
        "fallback": "popularity",
        "client": "127.0.0.1",
    }


def test_a_line_tells_of_problems_by_their_kind(logging_client, told):
    logging_client.get("/v1/recommendations/u1?k=0")
    logging_client.get("/pot")
    invalid, nowhere = told
    assert (invalid["status"], invalid["problem"]) == (422, "invalid-request")
    assert invalid["route"] == "/v1/recommendations/{user_id:path}"
    assert (nowhere["status"], nowhere["problem"], nowhere["path"]) == (404, "no-such-path", "/pot")
    assert "route" not in nowhere


def test_a_line_names_the_key_and_holds_none(settings, tmp_path, told):
    """Neither the one in the header, nor one that somebody put where it does not belong."""
    store = f"sqlite:///{tmp_path / 'irgan.db'}"
    database = Database(store)
    key = Keys(database).create("shop", ["read"])
    database.close()
    with Client(create_app(settings.model_copy(update={"access_log": True, "store": store}))) as client:
        told.clear()
        for path in ("/v1/recommendations/u1", f"/v1/recommendations/{key}", f"/v1/recommendations/u1?key={key}"):
            client.get(path, headers={"authorization": f"Bearer {key}", "cookie": "session=walrus"})
        client.get("/v1/releases", headers={"authorization": "Bearer irgan_somebody-elses-key-0123456789"})
    assert [line.get("key") for line in told] == ["shop", "shop", "shop", None]
    assert [line["status"] for line in told] == [200, 200, 422, 401]
    text = json.dumps(told)
    assert key not in text and key.removeprefix("irgan_") not in text and "somebody" not in text and "walrus" not in text
    assert told[1]["path"] == "/v1/recommendations/irgan_***" and told[2]["path"] == "/v1/recommendations/u1"


def test_what_the_caller_calls_the_request_is_repeated_and_never_taken(logging_client, told):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = logging_client.get("/v1/recommendations/u1", headers={"x-request-id": "theirs-1", "traceparent": parent})
    for strange in ("x" * 129, "two words", "ä".encode()):
        logging_client.get("/v1/recommendations/u1", headers={"x-request-id": strange, "traceparent": "strange"})
    first, *others = told
    assert (first["caller_request_id"], first["traceparent"]) == ("theirs-1", parent)
    assert first["request_id"] == answer.headers["x-request-id"] != "theirs-1"
    assert not any("caller_request_id" in line or "traceparent" in line for line in others)


def test_a_mistake_of_ours_has_its_traceback_beside_its_request(logging_client, told, monkeypatch):
    monkeypatch.setattr(
        sys.modules["app.api.rankings"], "_answered", lambda *_: 1 / 0
    )  # the package has the router by that name
    answer = logging_client.get("/v1/recommendations/u1", headers={"x-request-id": "theirs-2"})
    failed, access = told
    assert answer.status_code == access["status"] == 500
    assert failed["level"] == "error" and "ZeroDivisionError" in failed["exception"]
    assert failed["request_id"] == access["request_id"] == answer.json()["request_id"]
    assert failed["caller_request_id"] == "theirs-2" and access["problem"] == "internal"


def test_lines_of_threads_know_the_request_that_they_work_for(logging_client, told, monkeypatch):
    """A batch is ranked beside the event loop."""
    rankings = sys.modules["app.api.rankings"]
    ranked = rankings._rank_all

    def tells(*asked):
        logging.getLogger("app.test").warning("ranking")
        return ranked(*asked)

    monkeypatch.setattr(rankings, "_rank_all", tells)
    logging_client.post("/v1/recommendations", json={"requests": [{"user": "u1"}, {"user": "nobody"}]})
    beside, access = told
    assert beside["message"] == "ranking" and beside["request_id"] == access["request_id"]
    assert access["release"] == "sample/v1" and access["fallback"] == SEVERAL
    assert REQUEST_ID.get() == ""


def test_without_the_option_nothing_is_told(client, told):
    client.get("/v1/recommendations/u1")
    assert told == []


def test_variants_are_told_and_those_of_a_batch_together():
    counted: list[str] = []
    metrics = SimpleNamespace(ranked=counted.append)
    request = Request(
        {"type": "http", "state": {"ranker": "a"}, "app": SimpleNamespace(state=SimpleNamespace(metrics=metrics))}
    )
    release = SimpleNamespace(ranker="a", name="a/1")
    part = Part(experiment="e", variant="b", releases=("a/1",), method=None, propensity=0.5, revision=1, named=b"")
    note(request, release, Assigned(part, "u1", False), None)
    assert noted(request.scope["state"]) == {"ranker": "a", "release": "a/1", "experiment": "e", "variant": "b"}
    note(request, release, Assigned(part, "u2", False), None)
    assert noted(request.scope["state"]) == {"ranker": "a", "release": "a/1", "experiment": "e", "variant": "b"}
    note(request, release, None, "popularity")
    assert noted(request.scope["state"]) == {
        "ranker": "a",
        "release": "a/1",
        "experiment": SEVERAL,
        "variant": SEVERAL,
        "fallback": SEVERAL,
    }
    assert counted == ["a", "a", "a"]
