"""A real service under load, while releases come and go."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from time import monotonic, sleep

import orjson
import pytest

from app.bundle import write_bundle
from app.releases import ReleaseStore, prune
from tests.app.process import serving
from tests.conftest import make_draft

WITHIN_SECONDS = 2.0


@dataclass
class Load:
    """Callers who never pause, each on a connection kept open; what they were told, and what failed."""

    port: int
    statuses: Counter[int] = field(default_factory=Counter)
    answers: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    latest: str = ""
    failures: list[str] = field(default_factory=list)
    stopped: bool = False

    def run(self) -> None:
        try:
            with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
                while not self.stopped:
                    connection.request("GET", "/v1/recommendations/u1?k=5")
                    response = connection.getresponse()
                    told = orjson.loads(response.read())
                    self.statuses[response.status] += 1
                    self.latest = told["release"]
                    self.answers.setdefault(told["release"], set()).add(tuple(item["id"] for item in told["items"]))
        except Exception as error:  # every failed request is a finding
            self.failures.append(repr(error))

    def seconds_until(self, release: str) -> float:
        started = monotonic()
        while self.latest != release and monotonic() - started < 30 and not self.failures:
            sleep(0.01)
        return monotonic() - started


@pytest.fixture
def store(tmp_path):
    return ReleaseStore(tmp_path / "releases")


def test_answers_follow_the_slot_within_two_seconds_and_no_request_fails(store, tmp_path):
    """Published, rolled back, published and refused, with four callers asking all the time."""

    def written(version: str, seed: int):
        return write_bundle(make_draft(num_items=3000, seed=seed, version=version), tmp_path / "drafts")

    v1, v2, v3 = (written(f"v{seed}", seed) for seed in (1, 2, 3))
    store.publish(v1, "champion")
    with serving(store.folder) as (process, port):
        load = Load(port)
        callers = [threading.Thread(target=load.run) for _ in range(4)]
        for caller in callers:
            caller.start()
        assert load.seconds_until("sample/v1") < 30
        store.publish(v2, "champion")
        assert load.seconds_until("sample/v2") < WITHIN_SECONDS
        store.rollback("champion")
        assert load.seconds_until("sample/v1") < WITHIN_SECONDS

        store.publish(v3, "challenger")
        (store.path("sample/v3") / "items.npy").write_bytes(b"damaged")
        store.pointer("champion").write_text("sample/v3\n")
        sleep(1)
        assert load.latest == "sample/v1"
        store.publish(v2, "champion")
        assert load.seconds_until("sample/v2") < WITHIN_SECONDS

        load.stopped = True
        for caller in callers:
            caller.join()
        assert process.poll() is None
    assert load.failures == []
    assert load.statuses.keys() == {200}
    assert load.answers.keys() == {"sample/v1", "sample/v2"}
    (first,), (second,) = (load.answers[f"sample/{version}"] for version in ("v1", "v2"))
    assert first != second


def test_promoted_over_http_pruned_and_damaged_beside_it_a_service_answers_on(store, tmp_path):
    """No request fails, and the metrics say which slot is refused and when that is over."""

    def post(connection: HTTPConnection, path: str, body: dict[str, str]) -> int:
        connection.request("POST", path, orjson.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response.status

    def refused(connection: HTTPConnection) -> list[str]:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        return [
            line.rpartition(" ")[2]
            for line in lines
            if line.startswith(("irgan_release_refused{", "irgan_release_refusals_total "))
        ]

    for seed in range(1, 5):
        bundle = write_bundle(make_draft(num_items=3000, seed=seed, version=f"v{seed}"), tmp_path / "drafts")
        store.publish(bundle, "champion" if seed < 4 else "challenger")
    with serving(store.folder) as (_, port), closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        load = Load(port)
        caller = threading.Thread(target=load.run)
        caller.start()
        assert load.seconds_until("sample/v3") < 30
        assert post(connection, "/v1/releases/champion/promote", {"release": "challenger"}) == 200
        assert load.seconds_until("sample/v4") < WITHIN_SECONDS
        assert post(connection, "/v1/releases/champion/rollback", {}) == 200
        assert load.seconds_until("sample/v3") < WITHIN_SECONDS
        assert post(connection, "/v1/releases/champion/rollback", {"to": "sample/v1"}) == 200
        assert load.seconds_until("sample/v1") < WITHIN_SECONDS
        assert [manifest.version for manifest in prune(store, 1)] == ["v2", "v3"]

        assert refused(connection) == ["0.0", "0.0"]
        (store.path("sample/v4") / "items.npy").write_bytes(b"damaged")
        assert post(connection, "/v1/releases/champion/promote", {"release": "challenger"}) == 409
        store.pointer("champion").write_text("sample/v4\n")
        sleep(1)
        assert load.latest == "sample/v1" and refused(connection) == ["1.0", "1.0"]
        assert post(connection, "/v1/releases/champion/promote", {"release": "sample/v1"}) == 200
        sleep(1)
        assert refused(connection) == ["1.0", "0.0"]
        load.stopped = True
        caller.join()
    assert load.failures == [] and load.statuses.keys() == {200}


def test_what_is_being_answered_when_the_service_must_end_is_still_answered(store, tmp_path):
    store.publish(write_bundle(make_draft(num_items=3000), tmp_path / "drafts"), "champion")
    with (
        serving(store.folder, IRGAN_MAX_BATCH="2000") as (process, port),
        closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection,
    ):
        body = orjson.dumps({"requests": [{"history": [{"item": f"i{n}"}], "diversity": 0.5, "k": 50} for n in range(500)]})
        connection.request("POST", "/v1/recommendations", body, {"content-type": "application/json"})
        sleep(0.2)
        process.terminate()
        response = connection.getresponse()
        assert response.status == 200
        assert len(orjson.loads(response.read())["answers"]) == 500
        assert process.wait(30) == 0
