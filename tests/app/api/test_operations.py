"""Health, metrics, the list of releases, and the description that machines read."""

from __future__ import annotations

import json
import platform
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from importlib.resources import files

import pytest
from pydantic import TypeAdapter, ValidationError

from app.api.schemas import BatchAnswer, RankingAnswer, RecommendationBody
from app.bundle import write_bundle
from app.releases.history import this_account
from tests.conftest import make_draft


def metric(client, line: str) -> float | None:
    """The value of one line of the metrics, or None where it is missing."""
    for told in client.get("/metrics").text.splitlines():
        if told.startswith(f"{line} "):
            return float(told.rpartition(" ")[2])
    return None


def test_a_service_without_a_release_is_alive_and_not_ready_and_becomes_so(empty, tmp_path):
    client, publish = empty
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").status_code == 503
    assert client.get("/v1/releases").json() == {"live": None, "slots": [], "bundles": []}
    publish(write_bundle(make_draft(), tmp_path / "drafts"))
    client.app.state.live.refresh()
    assert client.get("/health/ready").json() == {"status": "ready", "release": "sample/v1", "ranker": "sample"}


def test_the_list_of_releases_says_what_is_live(client):
    told = client.get("/v1/releases").json()
    assert told["live"] == "sample/v1"
    (slot,) = told["slots"]
    assert (slot["slot"], slot["release"], slot["live"], slot["by"]) == ("champion", "sample/v1", True, this_account())
    assert datetime.now(UTC) - timedelta(hours=1) < datetime.fromisoformat(slot["since"]) < datetime.now(UTC)
    assert [bundle["release"] for bundle in told["bundles"]] == ["sample/v1"]


def test_a_damaged_folder_of_releases_is_told_and_does_not_stop_the_answers(empty, tmp_path):
    client, publish = empty
    publish(write_bundle(make_draft(), tmp_path / "drafts"))
    client.app.state.live.refresh()
    (client.app.state.settings.releases / "slots" / "champion").write_text("what?\n")
    answer = client.get("/v1/releases")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:irgan:problem:releases-damaged")
    assert client.get("/v1/recommendations/u1").status_code == 200


def test_metrics_count_requests_by_route_and_never_by_what_callers_invent(client):
    line = 'irgan_requests_total{method="GET",route="/v1/recommendations/{user_id:path}",status="200"}'
    unmatched = 'irgan_requests_total{method="other",route="unmatched",status="404"}'
    before = metric(client, line) or 0
    for user in ("u1", "u2", "nobody"):
        client.get(f"/v1/recommendations/{user}")
    assert metric(client, line) == before + 3
    client.request("BREW", "/pot-1")
    client.request("STEEP", "/pot-2")
    assert metric(client, unmatched) == 2
    assert "pot-1" not in client.get("/metrics").text


def test_metrics_tell_of_fallbacks_problems_times_and_the_release(client):
    client.get("/v1/recommendations/nobody")
    client.get("/v1/recommendations/u1", params={"k": 0})
    assert metric(client, 'irgan_fallbacks_total{fallback="popularity",ranker="sample"}')
    assert metric(client, 'irgan_problems_total{problem="invalid-request"}')
    assert metric(client, 'irgan_request_seconds_count{ranker="sample",route="/v1/recommendations/{user_id:path}"}')
    assert metric(client, 'irgan_release_info{name="sample",ranker="sample",slot="champion",version="v1"}') == 1
    assert metric(client, "irgan_release_swaps_total") == 1
    assert metric(client, "irgan_release_refusals_total") == 0
    assert metric(client, 'irgan_release_refused{slot="champion"}') == 0


def test_metrics_tell_how_old_the_index_is_and_since_when_it_answers(client):
    """As the manifest says, not the folder; in seconds since 1970, from which whoever reads them takes the age."""
    live = client.app.state.live
    assert metric(client, 'irgan_release_created_timestamp_seconds{slot="champion"}') == pytest.approx(
        live.current.manifest.created.timestamp(), abs=1e-3
    )
    since = metric(client, 'irgan_release_live_timestamp_seconds{slot="champion"}')
    assert time.time() - 3600 < since <= time.time()
    assert metric(client, 'irgan_release_load_seconds_count{slot="champion"}') == 1
    assert metric(client, 'irgan_release_load_seconds_sum{slot="champion"}') > 0


def test_metrics_of_a_slot_begin_with_its_first_release(empty, tmp_path):
    client, publish = empty
    assert metric(client, 'irgan_release_created_timestamp_seconds{slot="champion"}') is None
    publish(write_bundle(make_draft(), tmp_path / "drafts"))
    before = time.time()
    client.app.state.live.refresh()
    assert before <= metric(client, 'irgan_release_live_timestamp_seconds{slot="champion"}') <= time.time()


def test_metrics_count_every_ranking_of_a_batch(client):
    line = 'irgan_rankings_total{ranker="sample"}'
    before = metric(client, line) or 0
    client.post("/v1/recommendations", json={"requests": [{"user": "u1"}, {"user": "u2"}, {"user": "nobody"}]})
    client.get("/v1/items/i1/similar")
    client.post("/v1/search", json={"query": "item"})
    client.get("/v1/recommendations/u1", params={"k": 0})
    assert metric(client, line) == before + 5


def test_metrics_tell_of_the_process(client):
    told = client.get("/metrics").text
    assert f'irgan_build_info{{python="{platform.python_version()}",version="{version("irgan")}"}} 1.0' in told
    assert metric(client, "irgan_requests_in_progress") == 1  # the one that asks
    assert metric(client, "irgan_log_lines_lost_total") == 0
    assert metric(client, "process_resident_memory_bytes") > 1e6
    assert time.time() - 86400 < metric(client, "process_start_time_seconds") <= time.time()


def test_metrics_tell_whether_the_store_can_be_read_and_written(empty, tmp_path):
    """Each as of its last attempt; what could not be read is read again by itself."""
    client, _ = empty
    read, write = 'irgan_store_up{access="read"}', 'irgan_store_up{access="write"}'
    client.app.state.keys.follow()
    assert (metric(client, read), metric(client, write)) == (1, 1)
    store = tmp_path / "irgan.db"
    kept = store.read_bytes() if store.exists() else b""
    store.write_bytes(b"no database" * 500)
    client.app.state.keys.follow()
    event = {"id": "1", "type": "click", "user": "u", "item": "i"}
    assert client.post("/v1/events", json=event).status_code == 503
    assert (metric(client, read), metric(client, write)) == (0, 0)
    store.write_bytes(kept)
    client.app.state.keys.follow()
    assert client.post("/v1/events", json=event).status_code == 200
    assert (metric(client, read), metric(client, write)) == (1, 1)


@pytest.fixture(scope="module")
def document(client) -> dict:
    return client.get("/openapi.json").json()


def test_the_description_names_every_route_with_a_summary_and_its_problems(document):
    routes = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert routes == {
        ("get", "/v1/recommendations/{user_id}"),
        ("post", "/v1/recommendations"),
        ("get", "/v1/items/{item_id}/similar"),
        ("post", "/v1/search"),
        ("post", "/v1/rerank"),
        ("put", "/v1/items"),
        ("put", "/v1/items/{item_id}"),
        ("delete", "/v1/items"),
        ("delete", "/v1/items/{item_id}"),
        ("post", "/v1/events"),
        ("post", "/v1/experiments"),
        ("get", "/v1/experiments"),
        ("get", "/v1/experiments/{name}"),
        ("patch", "/v1/experiments/{name}"),
        ("post", "/v1/experiments/{name}/start"),
        ("post", "/v1/experiments/{name}/stop"),
        ("post", "/v1/experiments/{name}/conclude"),
        ("get", "/v1/experiments/{name}/report"),
        ("get", "/v1/releases"),
        ("post", "/v1/releases/{slot}/promote"),
        ("post", "/v1/releases/{slot}/rollback"),
        ("get", "/health/live"),
        ("get", "/health/ready"),
        ("get", "/metrics"),
    }
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"] and operation["description"]
            for status, response in operation["responses"].items():
                if not status.startswith("2"):
                    assert "application/problem+json" in response["content"]
    assert {"400", "413", "415", "422", "503"} <= document["paths"]["/v1/recommendations"]["post"]["responses"].keys()


def test_only_what_reads_a_body_is_described_with_one(document):
    """The parameters of a report, for one, stand in its address."""
    with_body = {
        (method, path) for path, methods in document["paths"].items() for method in methods if "requestBody" in methods[method]
    }
    assert with_body == {
        ("post", "/v1/recommendations"),
        ("post", "/v1/search"),
        ("post", "/v1/rerank"),
        ("put", "/v1/items"),
        ("put", "/v1/items/{item_id}"),
        ("delete", "/v1/items"),
        ("post", "/v1/events"),
        ("post", "/v1/experiments"),
        ("patch", "/v1/experiments/{name}"),
        ("post", "/v1/experiments/{name}/conclude"),
        ("post", "/v1/releases/{slot}/promote"),
        ("post", "/v1/releases/{slot}/rollback"),
    }
    of_report = document["paths"]["/v1/experiments/{name}/report"]["get"]["parameters"]
    assert [(one["name"], one["in"]) for one in of_report] == [("name", "path"), ("format", "query")]


def test_a_metric_is_described_by_its_name_or_whole(document):
    """Both are accepted, and programs that are written by the description can send either."""
    described = document["paths"]["/v1/experiments"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][described["$ref"].rpartition("/")[2]]
    name, whole = schema["properties"]["primary"]["anyOf"]
    assert (name["type"], "click-through" in name["enum"]) == ("string", True)
    assert whole["$ref"].endswith("/Metric")


def test_every_reference_in_the_description_leads_somewhere(document):
    def references(part):
        if isinstance(part, dict):
            if "$ref" in part:
                yield part["$ref"]
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    found = set(references(document))
    assert len(found) > 5
    for reference in found:
        at = document
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def test_the_examples_of_the_description_work_as_they_stand(client, document):
    body = document["paths"]["/v1/recommendations"]["post"]["requestBody"]
    examples = body["content"]["application/json"]["examples"]
    assert examples.keys() == {"history", "filtered", "batch"}
    for example in examples.values():
        TypeAdapter(RecommendationBody).validate_python(example["value"])
        answer = client.post("/v1/recommendations", json=example["value"])
        assert answer.status_code == 200
        (BatchAnswer if "answers" in answer.json() else RankingAnswer).model_validate(answer.json(), strict=True)
    for example in document["components"]["schemas"]["RankingAnswer"]["examples"]:
        RankingAnswer.model_validate(example, strict=True)


def test_ranking_routes_and_no_others_name_the_header_that_tries_a_variant(document):
    named = {
        path
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if any(parameter["name"] == "x-irgan-variant" for parameter in operation.get("parameters", []))
    }
    assert named == {
        "/v1/recommendations/{user_id}",
        "/v1/recommendations",
        "/v1/items/{item_id}/similar",
        "/v1/search",
        "/v1/rerank",
    }


def test_the_description_has_the_form_that_openapi_prescribes(document):
    """By the form's own models, unknown fields refused where the standard has none."""
    from fastapi.openapi.models import OpenAPI  # noqa: PLC0415 - beside its one use

    try:
        OpenAPI.model_validate_json(json.dumps(document))
    except ValidationError as error:  # pragma: no cover
        pytest.fail(str(error))
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "irgan"


def test_types_are_shipped():
    assert files("app").joinpath("py.typed").is_file()
