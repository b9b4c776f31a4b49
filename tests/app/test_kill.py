"""What the service took on survives its end, however sudden."""

from __future__ import annotations

import signal

import httpx
from sqlalchemy import select

from app.bundle import write_bundle
from app.releases import ReleaseStore
from app.store import Database, EventLog
from app.store.tables import IMPRESSIONS
from tests.app.killing import kill_under_load
from tests.app.process import serving
from tests.conftest import make_draft


def test_what_was_acknowledged_survives_kills_and_what_was_not_can_be_sent_again(store_url, tmp_path):
    """Three kills; `python -m tests.bench.events kills` does it a hundred times."""
    told = kill_under_load(store_url, tmp_path, 3)
    assert told.acknowledged >= 3 * 50 and told.retried > 0
    assert (told.lost, told.twice, told.damaged, told.missing) == (0, 0, 0, 0)
    assert told.acknowledged <= told.stored <= told.acknowledged + told.unsure


def test_a_service_that_is_told_to_end_writes_what_waits(store_url, tmp_path):
    """Impressions too, which nobody waits for, and which would be written a moment later."""
    ReleaseStore(tmp_path / "releases").publish(write_bundle(make_draft(), tmp_path / "drafts"), "champion")
    given = []
    with serving(tmp_path / "releases", IRGAN_STORE=store_url, IRGAN_IMPRESSIONS="all") as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert (
                client.post("/v1/events", json={"id": "c", "type": "click", "user": "u1", "item": "i1"}).json()["accepted"] == 1
            )
            given += [client.get("/v1/recommendations/u1").json()["request_id"] for _ in range(20)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    database = Database(store_url)
    with database.read() as connection:
        assert list(connection.execute(select(IMPRESSIONS.c.request_id).order_by(IMPRESSIONS.c.number)).scalars()) == given
    assert [event.id for _, event in EventLog(database).since(0)] == ["c"]
    database.close()
