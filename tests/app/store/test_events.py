"""Events go in once, by whatever number at a time, and come out as they were, in their order."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.store import Database, Event, EventLog, insert_events


def event(name: str, **changes) -> Event:
    return Event(**{"id": name, "type": "click", "time": datetime(2026, 11, 25, tzinfo=UTC), **changes})


def insert(database: Database, *events: Event) -> list[str]:
    with database.begin() as connection:
        return insert_events(connection, events)


def told(database: Database, number: int = 0, **options) -> list[Event]:
    return [event for _, event in EventLog(database).since(number, **options)]


def test_events_come_out_as_they_went_in(database):
    """Values that lie between what single and double precision can hold, times to the microsecond, texts of all kinds."""
    events = [
        event("plain"),
        event(
            "'; DROP TABLE events; --",
            type="x",
            time=datetime(2026, 11, 25, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=-7))),
            user="%s ? :user {}",
            session='"quoted"',
            item="日本語🎉\n\t\\",
            request_id="r" * 64,
            value=0.1 + 0.2,
            position=1_000_000,
            properties='{"a": [null, 1.5]}',
        ),
        event("least", time=datetime(1970, 1, 1, tzinfo=UTC), value=-5e-324, user="u" * 512),
        event("most", value=1.7976931348623157e308, user=""),
        event("whole", value=3),
    ]
    assert insert(database, *events) == []
    assert told(database) == events


@pytest.mark.parametrize("number", [1, 2, 3, 127, 128, 129, 1000])
def test_any_number_goes_in_at_once_in_its_order(database, number):
    events = [event(f"e{n}", position=n + 1) for n in range(number)]
    assert insert(database, *events) == []
    assert told(database) == events
    assert insert(database, *events) == [one.id for one in events]
    assert told(database) == events


def test_no_events_are_no_trouble(database):
    assert insert(database) == []
    assert told(database) == []


def test_of_one_id_the_first_counts(database):
    assert insert(database, event("a", value=1), event("b"), event("a", value=2), event("a", value=3)) == ["a", "a"]
    assert insert(database, event("c"), event("a", value=4), event("c", value=5)) == ["a", "c"]
    assert [(one.id, one.value) for one in told(database)] == [("a", 1.0), ("b", None), ("c", None)]


def test_the_same_events_from_several_at_once_are_stored_once(store_url):
    """Each of four sends the same hundred in an order of its own; together they are told of each event as new once."""
    databases = [Database(store_url) for _ in range(4)]
    gate, new, failures = threading.Barrier(4), [], []

    def send(number: int) -> None:
        try:
            gate.wait()
            for start in range(0, 100, 10):
                part = [event(f"e{(n * 7 + 25 * number) % 100}") for n in range(start, start + 10)]
                duplicates = set(insert(databases[number], *part))
                new.extend(one.id for one in part if one.id not in duplicates)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(new) == sorted(one.id for one in told(databases[0])) == sorted(f"e{n}" for n in range(100))
    for database in databases:
        database.close()


def test_readers_ask_on_from_the_last_number(database):
    insert(database, *(event(f"e{n}") for n in range(10)))
    log = EventLog(database)
    numbers = [number for number, _ in log.since(0)]
    assert numbers == sorted(set(numbers))
    assert [one.id for _, one in log.since(numbers[3], limit=2)] == ["e4", "e5"]
    assert told(database, numbers[-1]) == []
    insert(database, event("e3"), event("new"))
    assert [one.id for one in told(database, numbers[-1])] == ["new"]


def test_a_store_that_is_not_there_has_no_events_and_is_not_made(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'irgan.db'}")
    assert told(database) == []
    assert list(tmp_path.iterdir()) == []
    database.close()
