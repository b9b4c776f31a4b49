"""Traces of a service in this process, as a collector receives them."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time

import pytest

from app.bundle import write_bundle, write_search
from app.errors import ExtraMissing, SettingsInvalid
from app.main import create_app
from app.releases import ReleaseStore
from app.settings import Settings
from app.telemetry import REQUEST_ID, JsonLines, current, exporting, here, request_span, span, traced
from tests.app.api.conftest import Client, draft
from tests.app.telemetry.collector import collecting
from tests.conftest import make_search_draft

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def received():
    with collecting() as received:
        yield received


@pytest.fixture
def traces(received):
    """What is to be traced is done within, and has arrived afterwards."""
    return traced({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": received.endpoint})


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traced")
    settings = Settings(
        releases=folder / "releases", slot="champion", search_slot="texts", store=f"sqlite:///{folder / 'irgan.db'}"
    )
    store = ReleaseStore(settings.releases)
    store.publish(write_bundle(draft(), folder / "drafts"), "champion")
    store.publish(write_search(make_search_draft(), folder / "drafts"), "texts")
    with Client(create_app(settings)) as client:
        yield client


def test_a_request_is_a_span_and_its_parts_are_children(client, traces, received):
    with traces:
        answer = client.get("/v1/recommendations/nobody?k=3")
    told = answer.json()
    request = received.spans[-1]
    assert (request["name"], request["kind"], request["parent"]) == ("GET /v1/recommendations/{user_id:path}", "server", "")
    assert request["attributes"] == {
        "http.request.method": "GET",
        "http.route": "/v1/recommendations/{user_id:path}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/v1/recommendations/nobody",
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "client.port": 123,
        "server.address": "service",
        "irgan.request_id": told["request_id"],
        "irgan.ranker": "sample",
        "irgan.release": "sample/v1",
        "irgan.fallback": "popularity",
    }
    parts = [one["name"] for one in received.spans if one["parent"] == request["id"]]
    assert parts == ["parse", "rank", "encode"]
    assert {one["trace"] for one in received.spans} == {request["trace"]}
    assert received.named("rank")["attributes"] == {"irgan.release": "sample/v1"}
    assert not request["failed"]
    assert received.resource["service.name"] == "irgan" and received.resource["service.version"]


def test_what_callers_send_is_in_no_span_but_for_the_path(client, traces, received):
    key = "irgan_0123456789abcdefghijklmnopqrstuvwxyz-ABCDEF"
    with traces:
        headers = {"authorization": f"Bearer {key}", "user-agent": "spy"}
        client.get(f"/v1/recommendations/{key}?filter=walrus:x&key={key}", headers=headers)
        client.post("/v1/search", json={"query": "walrus"}, headers=headers)
    assert len(received.spans) > 6
    assert not any(word in repr(received.spans) for word in ("walrus", "0123456789abc", "spy"))
    parse = next(one for one in received.spans if one["name"] == "parse")
    assert not parse["failed"] and parse["attributes"]["error.type"] == "QueryInvalid"


def test_a_search_shows_where_its_time_goes(client, traces, received):
    with traces:
        assert client.post("/v1/search", json={"query": "walrus", "k": 2}).status_code == 200
    rank = received.named("rank")
    assert rank["attributes"]["irgan.release"] == "texts/v1"
    assert [one["name"] for one in received.spans if one["parent"] == rank["id"]] == ["score words", "encode query", "retrieve"]


def test_a_callers_trace_goes_on(client, traces, received):
    with traces:
        client.get("/v1/recommendations/u1", headers={"traceparent": PARENT})
        client.get("/v1/recommendations/u1", headers={"traceparent": "00-nonsense-01"})
    requests = [one for one in received.spans if one["kind"] == "server"]
    assert (requests[0]["trace"], requests[0]["parent"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert requests[1]["parent"] == ""


def test_events_are_tied_to_the_transaction_that_wrote_them(client, traces, received):
    """One transaction serves many requests, so it is nobody's child."""
    with traces:
        assert client.post("/v1/events", json={"id": "t1", "type": "click", "user": "u1", "item": "i1"}).status_code == 200
    waited, wrote = received.named("store"), received.named("store transaction")
    assert waited["attributes"] == {"irgan.events": 1} and wrote["attributes"] == {"irgan.jobs": 1}
    assert wrote["parent"] == "" and wrote["trace"] != waited["trace"]
    assert wrote["links"] == [(waited["trace"], received.named("POST /v1/events")["id"])]


def test_a_callers_mistake_is_no_failure_and_ours_is(client, traces, received, monkeypatch):
    monkeypatch.setattr(
        sys.modules["app.api.rankings"], "_answered", lambda *_: 1 / 0
    )  # the package has the router by that name
    with traces:
        client.get("/v1/recommendations/u1?k=0")
        assert client.get("/v1/recommendations/u1").status_code == 500
    theirs, ours = (one for one in received.spans if one["kind"] == "server")
    assert (theirs["failed"], theirs["attributes"]["error.type"]) == (False, "invalid-request")
    assert theirs["attributes"]["http.response.status_code"] == 422
    assert (ours["failed"], ours["attributes"]["http.response.status_code"]) == (True, 500)
    ((name, told),) = ours["events"]
    assert name == "exception" and told["exception.type"] == "ZeroDivisionError"
    assert "Traceback" in told["exception.stacktrace"]


def test_health_and_metrics_are_no_traces(client, traces, received):
    with traces:
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert client.get(path).status_code == 200
        assert client.request("BREW", "/pot").status_code == 404
    (only,) = received.spans
    assert (only["name"], only["attributes"]["http.request.method"]) == ("_OTHER", "_OTHER")
    assert "http.route" not in only["attributes"]


def test_a_swap_and_what_it_reads_are_spans_and_a_refusal_fails(client, traces, received, tmp_path):
    live = client.app.state.live_search
    with traces:
        live.store.publish(write_search(make_search_draft(version="v2"), tmp_path), "texts")
        live.refresh()
        live.refresh()  # nothing new: nothing is told
        (live.store.folder / "bundles/texts/v1/manifest.json").write_text("{}")
        (live.store.folder / "slots/texts").write_text("texts/v1\n")
        live.refresh()
    swapped, refused = (one for one in received.spans if one["name"] == "release swap")
    assert swapped["attributes"] == {"irgan.slot": "texts", "irgan.release": "texts/v2"} and not swapped["failed"]
    assert refused["failed"] and refused["events"][0][0] == "exception"
    loads = [one for one in received.spans if one["name"] == "release load"]
    assert [one["parent"] for one in loads] == [swapped["id"], refused["id"]]


def test_lines_of_the_log_name_the_trace(traces):
    token = REQUEST_ID.set("0123")
    try:
        with traces, span("something"):
            told = json.loads(JsonLines().format(logging.makeLogRecord({"msg": "hello"})))
            assert (told["trace_id"], told["span_id"]) == here()
    finally:
        REQUEST_ID.reset(token)
    assert told["request_id"] == "0123" and len(told["trace_id"]) == 32 and len(told["span_id"]) == 16
    assert here() is None and current() is None


def test_secrets_leave_in_no_error_either(traces, received):
    with traces, pytest.raises(ValueError, match="hunter2"), span("connect"):
        raise ValueError("cannot reach postgresql://irgan:hunter2@db/irgan")
    assert "hunter2" not in repr(received.spans) and "***@db" in repr(received.named("connect")["events"])


def test_threads_go_on_with_the_span_of_the_request(traces, received):
    def beside() -> None:
        with span("beside"):
            pass

    async def asks() -> None:
        with span("request"):
            await asyncio.to_thread(beside)

    with traces:
        asyncio.run(asks())
    assert received.named("beside")["parent"] == received.named("request")["id"]


def test_a_collector_that_is_away_keeps_nobody_waiting(client, caplog, monkeypatch):
    """Nobody listens there: requests are answered as ever, and the end does not wait as long as the exporter would; one line tells it."""
    monkeypatch.setattr(exporting, "_LAST_SECONDS", 0.1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    with collecting() as received:
        endpoint = received.endpoint
    with traced({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}):
        assert client.get("/v1/recommendations/u1").status_code == 200
    deadline = time.monotonic() + 30
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.01)
    (told,) = caplog.records
    assert told.name == "app.telemetry.exporting" and endpoint in told.getMessage() and "refused" in told.getMessage()


def test_what_a_collector_says_no_to_is_told_once_and_its_return_too(received, caplog):
    traces = exporting.Traces(received.endpoint)
    traces.start()
    with caplog.at_level(logging.INFO):
        for status in (401, 401, 200):
            received.status = status
            with span("one"):
                pass
            traces._provider.force_flush()
        traces.close()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "401" in caplog.text and received.endpoint in caplog.text
    assert len(received.spans) == 1


def test_off_nothing_happens():
    """One object serves all spans, and there is no request to tell of."""
    assert span("a") is span("b", release="x")
    assert request_span({}, "x") is here() is current() is None


def test_off_nothing_of_the_sdk_is_imported():
    code = (
        "import sys, os, app.serve, app.telemetry\n"
        "with app.telemetry.traced({}): pass\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'requests'))])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SERVICE_NAME": "shop"},
    ],
)
def test_there_are_traces_only_where_an_address_is_given(environment):
    with traced(environment), span("x"):
        assert here() is None


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is no address"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[x"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no address"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "zipkin"}, "otlp"),
    ],
)
def test_what_cannot_be_used_is_one_message(environment, said):
    with pytest.raises(SettingsInvalid, match=said) as caught, traced(environment):
        pass
    assert "\n" not in str(caught.value)


def test_a_missing_extra_is_one_message(monkeypatch):
    monkeypatch.delitem(sys.modules, "app.telemetry.exporting", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with (
        pytest.raises(ExtraMissing, match=r"pip install 'irgan\[tracing\]'") as caught,
        traced({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}),
    ):
        pass
    assert "\n" not in str(caught.value)
