"""Events over HTTP: stored whole or not at all, once each, and told of where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.main import create_app
from app.settings import Settings
from app.store import Database, Event, EventLog
from tests.app.api.conftest import Client
from tests.app.api.test_operations import metric
from tests.app.api.test_searches import problem

once = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
"""Of tests that the kind of store has no part in."""


@pytest.fixture
def client(tmp_path, store_url) -> Iterator[Client]:
    (tmp_path / "releases").mkdir()
    with Client(create_app(Settings(releases=tmp_path / "releases", store=store_url, max_events=50))) as client:
        yield client


@pytest.fixture
def kept(store_url):
    """Every event in the store, as another process reads it."""

    def read() -> list[Event]:
        database = Database(store_url)
        events = [event for _, event in EventLog(database).since(0)]
        database.close()
        return events

    return read


def click(number: int = 0, **changes) -> dict:
    return {"id": f"c{number}", "type": "click", "user": "u1", "item": f"i{number}", **changes}


def send(client: Client, *events: dict, **options):
    return client.post("/v1/events", json={"events": list(events), **options})


def test_events_are_stored_as_they_were_told(client, kept):
    """Everything there is in one, a number as an id, another zone, and the time of arrival where none was given."""
    whole = {
        "id": 7,
        "type": "conversion",
        "time": "2026-11-25T11:15:00.000001+01:00",
        "user": 196,
        "session": "s‘1",
        "item": "ß🎉",
        "request_id": "8f14e45fceea167a5a36dedd4bea2543",
        "value": 0.1 + 0.2,
        "position": 3,
        "properties": {"b": [1, {"c": None}], "a": "ü\u0000"},
    }
    answer = send(client, whole, {"id": "r1", "type": "rating", "session": "s", "item": "i", "value": 4})
    assert (answer.status_code, answer.json()) == (200, {"accepted": 2, "duplicates": [], "rejected": []})
    first, second = kept()
    assert first == Event(
        id="7",
        type="conversion",
        time=datetime(2026, 11, 25, 10, 15, 0, 1, tzinfo=UTC),
        user="196",
        session="s‘1",
        item="ß🎉",
        request_id="8f14e45fceea167a5a36dedd4bea2543",
        value=0.1 + 0.2,
        position=3,
        properties=first.properties,
    )
    assert orjson.loads(first.properties or "") == whole["properties"]
    assert abs(second.time - datetime.now(UTC)) < timedelta(minutes=1)
    assert (second.value, second.user, second.properties) == (4.0, None, None)


def test_one_event_alone_needs_no_list(client, kept):
    assert client.post("/v1/events", json=click()).json() == {"accepted": 1, "duplicates": [], "rejected": []}
    assert [event.id for event in kept()] == ["c0"]
    assert problem(client.post("/v1/events", json=click(1, time="now"))) == (422, "invalid-request", ["body.time"])


def test_of_events_with_one_id_the_first_counts_in_a_request_and_ever_after(client, kept):
    assert send(client, click(1, item="first"), click(2), click(1, item="second")).json() == {
        "accepted": 2,
        "duplicates": ["c1"],
        "rejected": [],
    }
    assert send(client, click(3), click(2, item="third"), click(1)).json() == {
        "accepted": 1,
        "duplicates": ["c2", "c1"],
        "rejected": [],
    }
    assert [(event.id, event.item) for event in kept()] == [("c1", "first"), ("c2", "i2"), ("c3", "i3")]


def test_one_bad_event_keeps_all_out_and_every_place_is_named(client, kept):
    answer = send(client, click(1), click(2, time="2026-11-25T10:00:00"), click(3), {"id": "", "type": "Click", "user": "u"})
    assert problem(answer) == (422, "invalid-request", ["body.events.1.time", "body.events.3.id", "body.events.3.type"])
    assert kept() == []
    assert send(client, click(1), click(3)).json()["accepted"] == 2


def test_with_partial_the_good_ones_are_stored_and_the_others_named(client, kept):
    bad = [click(2, position=0), {"id": "r", "type": "rating", "item": "i", "user": "u"}]
    answer = send(client, click(1), bad[0], click(3), bad[1], click(1), partial=True).json()
    assert (answer["accepted"], answer["duplicates"]) == (2, ["c1"])
    assert [(one["index"], one["location"]) for one in answer["rejected"]] == [
        (1, "body.events.1.position"),
        (3, "body.events.3"),
    ]
    assert answer["rejected"][1]["message"] == "the rating has no value"
    assert [event.id for event in kept()] == ["c1", "c3"]
    nothing = send(client, *bad, partial=True).json()
    assert (nothing["accepted"], len(nothing["rejected"])) == (0, 2)


def in_the_future() -> str:
    return (datetime.now(UTC) + timedelta(days=2)).isoformat()


def nested(depth: int) -> list:
    return [nested(depth - 1)] if depth else []


@once
@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"id": None}, ".id"),
        ({"id": "x" * 129}, ".id"),
        ({"id": "a\u0000"}, ".id"),
        ({"id": True}, ".id"),
        ({"type": "two words"}, ".type"),
        ({"type": "x" * 51}, ".type"),
        ({"type": ""}, ".type"),
        ({"time": 1764065700}, ".time"),
        ({"time": "1764065700"}, ".time"),
        ({"time": "2026-11-25"}, ".time"),
        ({"time": "1969-12-31T23:59:59Z"}, ".time"),
        ({"time": in_the_future()}, ".time"),
        ({"user": ""}, ".user"),
        ({"user": "x" * 513}, ".user"),
        ({"item": "a\u0000b"}, ".item"),
        ({"request_id": "x" * 65}, ".request_id"),
        ({"request_id": "\u0000"}, ".request_id"),
        ({"value": "NaN"}, ".value"),
        ({"value": "much"}, ".value"),
        ({"position": 0}, ".position"),
        ({"position": 10**7}, ".position"),
        ({"properties": "x"}, ".properties"),
        ({"properties": {"x": "y" * 4096}}, ".properties"),
        ({"properties": {"x": nested(300)}}, ".properties"),
        ({"colour": "red"}, ".colour"),
        ({"item": None}, ""),
        ({"user": None}, ""),
        ({"type": "impression", "item": None}, ""),
        ({"type": "conversion", "user": None}, ""),
        ({"type": "scroll", "user": None}, ""),
        ({"type": "rating"}, ""),
        ({"type": "rating", "value": 3, "item": None}, ""),
        ({"type": "rating", "value": 3, "user": None, "request_id": "r"}, ""),
    ],
)
def test_events_that_cannot_be(client, kept, changes, place):
    assert problem(send(client, click(1), click(2, **changes))) == (422, "invalid-request", [f"body.events.1{place}"])
    assert kept() == []


@once
@pytest.mark.parametrize(
    "changes",
    [
        {"user": None, "session": "s"},
        {"user": None, "request_id": "r"},
        {"type": "conversion", "item": None},
        {"type": "scroll-to_end2", "item": None},
        {"time": "2026-11-25 10:15:00.5-05:30"},
        {"time": (datetime.now(UTC) + timedelta(hours=20)).isoformat()},
        {"position": 10**6, "value": -1e300},
    ],
)
def test_events_that_can_be(client, kept, changes):
    assert send(client, click(**changes)).status_code == 200
    assert len(kept()) == 1


@once
@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"events": []}, ["body.events"]),
        ({"events": "many"}, ["body.events"]),
        ({"events": [3]}, ["body.events.0"]),
        ({"events": [click()], "partial": "perhaps"}, ["body.partial"]),
        ({"events": [click()], "all": True}, ["body.all"]),
        ({"events": [click(number) for number in range(51)]}, ["body.events"]),
        ({}, ["body.id", "body.type"]),
        ([click()], ["body"]),
    ],
)
def test_bodies_that_cannot_be(client, kept, body, places):
    assert problem(client.post("/v1/events", json=body)) == (422, "invalid-request", places)
    assert kept() == []


def test_the_largest_request_fits_the_limit_of_bodies():
    """1,000 events with every field of usual length."""
    settings = Settings()
    event = click(1234567890, id="x" * 36, time="2026-11-25T10:15:00.123456+01:00", session="x" * 36, user="x" * 36, item="x" * 36, request_id="x" * 32, value=12345.678, position=100, properties={"page": "https://example.org/" + "x" * 100})  # fmt: skip
    assert len(orjson.dumps({"events": [event] * settings.max_events})) < settings.max_body


def test_metrics_count_events_by_their_types(client):
    send(client, click(1), click(2), {"id": "o", "type": "nap", "user": "u"}, click(1), click(3, position=-1), partial=True)
    assert metric(client, 'irgan_events_total{type="click"}') == 2
    assert metric(client, 'irgan_events_total{type="other"}') == 1
    assert metric(client, "irgan_event_duplicates_total") == 1
    assert metric(client, "irgan_event_rejections_total") == 1
    assert metric(client, "irgan_store_transaction_seconds_count") == 1
    assert metric(client, "irgan_store_waiting") == 0
    assert metric(client, "irgan_impressions_lost_total") == 0


def test_the_examples_of_bodies_are_bodies(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name, accepted in (("EventBody", 1), ("EventBatch", 2)):
        (example,) = schemas[name]["examples"]
        assert client.post("/v1/events", json=example).json()["accepted"] == accepted
    assert schemas["EventBatch"]["properties"]["events"]["items"]["properties"] == schemas["EventBody"]["properties"]


def test_a_store_that_cannot_be_written_is_said_and_the_same_can_be_sent_again(tmp_path):
    (tmp_path / "releases").mkdir()
    (tmp_path / "file").write_text("no folder")
    settings = Settings(releases=tmp_path / "releases", store=f"sqlite:///{tmp_path / 'file' / 'irgan.db'}")
    with Client(create_app(settings)) as client:
        answer = send(client, click())
        assert problem(answer) == (503, "store-unusable", [])
        assert answer.headers["retry-after"] == "1"
        (tmp_path / "file").unlink()
        assert send(client, click()).json()["accepted"] == 1


def test_when_too_much_waits_for_the_store_callers_are_told_to_come_again(client, kept):
    client.app.state.writer.num_waiting += 20_000
    answer = send(client, click())
    assert problem(answer) == (503, "store-unusable", [])
    assert answer.headers["retry-after"] == "1"
    client.app.state.writer.num_waiting -= 20_000
    assert send(client, click()).json()["accepted"] == 1
