"""The log and the traces of `irgan serve` as a process."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path

import pytest

from app.store import Database, Keys
from tests.app.process import irgan, serving
from tests.app.telemetry.collector import collecting

AWAY = "postgresql://irgan:hunter2@127.0.0.1:1/irgan"
"""A store that nobody is at, with a password that is nobody's business."""
EVENT = {"id": "1", "type": "click", "user": "u", "item": "i"}


def test_no_key_and_no_line_of_a_callers_making_is_in_the_log_of_a_running_service(tmp_path):
    """With every request logged: a path with an escaped newline, a key that counts and one that does not."""
    database = Database(f"sqlite:///{tmp_path / 'irgan.db'}")
    key = Keys(database).create("shop", ["read"])
    database.close()
    log = tmp_path / "log"
    with log.open("w") as file, serving(tmp_path / "releases", "--access-log", stderr=file) as (_, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        statuses = []
        for path, sent in (("/v1/recommendations/a%0AERROR%20x", key), ("/v1/releases", key), ("/v1/releases", "irgan_wrong")):
            connection.request("GET", path, headers={"Authorization": f"Bearer {sent}"})
            answer = connection.getresponse()
            statuses.append(answer.status)
            assert key not in answer.read().decode()
        connection.close()
    told = log.read_text()
    assert statuses == [503, 200, 401]
    assert "/v1/recommendations/a%0AERROR%20x" in told and "\nERROR" not in told
    assert "irgan_" not in told and key.removeprefix("irgan_") not in told


def test_every_line_is_json_where_that_is_asked_for(tmp_path: Path) -> None:
    """From the first to the last, with a store that is away, an empty slot, an event that cannot be stored, and warnings on."""
    log, releases = tmp_path / "log", tmp_path / "releases"
    told = {"IRGAN_LOG_FORMAT": "json", "IRGAN_ACCESS_LOG": "true", "IRGAN_INSECURE": "true", "IRGAN_STORE": AWAY}
    with log.open("w") as file, serving(releases, stderr=file, PYTHONWARNINGS="always", **told) as (_, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/v1/events", json.dumps(EVENT), {"content-type": "application/json"})
        answer = connection.getresponse()
        problem = json.loads(answer.read())
        connection.close()
    assert answer.status == 503
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    messages = " ".join(line["message"] for line in lines)
    assert "hunter2" not in log.read_text() and "irgan:***@127.0.0.1" in messages
    assert f"slot champion of {releases} is empty" in messages
    assert f"irgan publish BUNDLE --slot champion --releases {releases}" in messages
    (access,) = (line for line in lines if line["logger"] == "app.access")
    assert access["request_id"] == problem["request_id"] == answer.headers["x-request-id"]
    assert (access["status"], access["problem"]) == (503, "store-unusable")


def test_a_log_that_nobody_takes_fails_no_request(tmp_path: Path) -> None:
    """A pipe whose reader sleeps, until it is full; then one that is closed; in the end the process still ends well."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file, serving(tmp_path / "releases", "--access-log", stderr=file) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

        def ask(path: str) -> str:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read().decode()

        def lost() -> float:
            (line,) = (line for line in ask("/metrics").splitlines() if line.startswith("irgan_log_lines_lost_total "))
            return float(line.split()[1])

        for _ in range(600):
            ask("/health/live")
        asleep = lost()
        os.close(reading)
        ask("/health/live")
        assert lost() > asleep > 0
        connection.close()
    assert process.returncode == 0


def test_traces_leave_a_running_service_the_last_ones_when_it_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with collecting() as received:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint.removesuffix("/v1/traces"),
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=shop",
            "OTEL_SERVICE_NAME": "ranking",
            "IRGAN_LOG_FORMAT": "json",
        }
        with log.open("w") as file, serving(tmp_path / "releases", "--access-log", stderr=file, **told) as (process, port):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/v1/releases")
            assert connection.getresponse().read()
            connection.close()
        assert process.returncode == 0
    (span,) = (span for span in received.spans if span["kind"] == "server")
    assert (span["name"], span["attributes"]["http.response.status_code"]) == ("GET /v1/releases", 200)
    assert received.resource["service.name"] == "ranking" and received.headers[0]["x-tenant"] == "shop"
    (access,) = (line for line in map(json.loads, log.read_text().splitlines()) if line["logger"] == "app.access")
    assert (access["trace_id"], access["span_id"]) == (span["trace"], span["id"])


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"IRGAN_LOG_FORMAT": "xml"}, "IRGAN_LOG_FORMAT"),
        ({"IRGAN_LOG_LEVEL": "loud"}, "IRGAN_LOG_LEVEL"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_code_2(tmp_path: Path, told: dict[str, str], said: str) -> None:
    ended = irgan("serve", "--port", "0", "--releases", tmp_path, IRGAN_STORE=f"sqlite:///{tmp_path}/irgan.db", **told)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("irgan: ") and said in ended.stderr and ended.stderr.count("\n") == 1
