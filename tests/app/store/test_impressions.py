"""Impressions are written behind the answers' backs: all of them, once, and whatever they hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest
from sqlalchemy import select

from app.store import Database, Impression, ImpressionLog, StoreUnusable, Writer, insert_impressions
from app.store.tables import ASSIGNMENTS, IMPRESSIONS

SECONDS = 30
TIME = datetime(2026, 11, 25, 10, tzinfo=UTC)


@pytest.fixture
def writer(database) -> Iterator[Writer]:
    writer = Writer(database, linger=0.01)
    yield writer
    writer.close()


def impression(number: int = 0, **changes) -> Impression:
    plain = Impression(
        request_id=f"r{number}",
        time=TIME + timedelta(seconds=number),
        surface="recommendations",
        user="u1",
        session=None,
        release="sample/v1",
        milliseconds=1.25,
        items='["i1","i2"]',
    )
    return replace(plain, **changes)


def assigned(number: int = 0, unit: str = "u1", **changes) -> Impression:
    given = {"experiment": "e", "unit": unit, "variant": "treatment", "propensity": 0.5, "revision": 3}
    return impression(number, **{**given, **changes})


def rows(database: Database, table=IMPRESSIONS) -> list[dict]:
    with database.read() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def written(database: Database) -> list[str]:
    return [row["request_id"] for row in rows(database)]


def until(holds, seconds: float = SECONDS) -> None:
    """Wait for what another thread does."""
    deadline = monotonic() + seconds
    while not holds():
        assert monotonic() < deadline
        sleep(0.002)


def test_an_impression_is_written_a_moment_later_and_whole(database, writer):
    log = ImpressionLog(writer)
    log.record(assigned(is_override=False, fallback="champion", session="s", teams='{"a":[0]}', milliseconds=0.1 + 0.2))
    until(lambda: log.num_waiting == 0)
    (row,) = rows(database)
    assert row.pop("number") == 1
    assert row == {
        "request_id": "r0",
        "time": TIME,
        "surface": "recommendations",
        "user": "u1",
        "session": "s",
        "experiment": "e",
        "unit": "u1",
        "variant": "treatment",
        "propensity": 0.5,
        "is_override": False,
        "release": "sample/v1",
        "fallback": "champion",
        "milliseconds": 0.1 + 0.2,
        "items": '["i1","i2"]',
        "teams": '{"a":[0]}',
    }


def test_the_first_impression_of_a_unit_is_its_assignment_for_ever(database):
    with database.begin() as connection:
        insert_impressions(connection, [assigned(0, variant="control"), assigned(1), assigned(2, unit="u2"), impression(3)])
    with database.begin() as connection:
        insert_impressions(
            connection, [assigned(4, variant="other"), assigned(5, experiment="f"), assigned(6, unit="u3", is_override=True)]
        )
    assert [(row["experiment"], row["unit"], row["variant"], row["time"]) for row in rows(database, ASSIGNMENTS)] == [
        ("e", "u1", "control", TIME),
        ("e", "u2", "treatment", TIME + timedelta(seconds=2)),
        ("f", "u1", "treatment", TIME + timedelta(seconds=5)),
    ]
    (first, *_) = rows(database, ASSIGNMENTS)
    assert (first["propensity"], first["revision"]) == (0.5, 3)
    assert written(database) == [f"r{number}" for number in range(7)]


def test_an_impression_that_is_written_twice_is_there_once(database):
    """As when the answer of the database to the first attempt was lost."""
    for _ in range(2):
        with database.begin() as connection:
            insert_impressions(connection, [assigned(0), assigned(1)])
    assert written(database) == ["r0", "r1"]


def test_whatever_callers_call_themselves_can_be_written(database, writer):
    log = ImpressionLog(writer)
    log.record(assigned(0, unit="u\x00x" * 300, user="u\x00x" * 300, session="\x00"))
    log.record(impression(1))
    log.flush()
    first, second = rows(database)
    assert first["user"] == first["unit"] == ("u\ufffdx" * 300)[:512]
    assert (first["session"], second["session"]) == ("\ufffd", None)
    assert log.num_lost == 0


def test_many_threads_that_record_lose_nothing(database, writer):
    log = ImpressionLog(writer)

    def record(thread: int) -> None:
        for number in range(500):
            log.record(impression(thread * 500 + number))

    threads = [threading.Thread(target=record, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: log.num_waiting == 0)
    assert sorted(written(database)) == sorted(f"r{number}" for number in range(2000))
    assert log.num_lost == 0


def test_those_of_one_thread_are_written_in_their_order_a_thousand_at_a_time(database):
    writer = Writer(database, linger=1000)
    log = ImpressionLog(writer)
    for number in range(2500):
        log.record(impression(number))
    assert log.num_waiting == 2500
    log.close()
    assert written(database) == [f"r{number}" for number in range(2500)]
    assert writer.num_transactions <= 5
    writer.close()


def test_those_that_come_while_others_are_written_wait_for_company_too(database):
    """Else a busy service would write without a pause, a few at a time."""
    writer = Writer(database, linger=1000)
    log = ImpressionLog(writer)
    log.record(impression(0))

    def meanwhile(_) -> None:
        log.record(impression(1))

    writer.submit(meanwhile).result(SECONDS)
    until(lambda: log.num_waiting == 1)
    sleep(0.05)
    assert (written(database), writer.num_transactions) == (["r0"], 1)
    log.close()
    assert (written(database), writer.num_transactions) == (["r0", "r1"], 2)
    writer.close()


def test_a_flush_does_not_wait_for_what_comes_later(database, monkeypatch):
    """Each time that some are written another one comes, as under steady traffic."""
    writer = Writer(database, linger=1000)
    log = ImpressionLog(writer)

    def busily(*arguments):
        told = insert_impressions(*arguments)
        log.record(impression(log.num_waiting + 1000 * writer.num_transactions))
        assert writer.num_transactions < 10
        return told

    monkeypatch.setattr("app.store.impressions.insert_impressions", busily)
    for number in range(3):
        log.record(impression(number))
    log.flush()
    assert written(database)[:3] == ["r0", "r1", "r2"]
    monkeypatch.undo()
    log.close()
    writer.close()


def test_nothing_waiting_needs_no_flush(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'irgan.db'}")
    writer = Writer(database)
    log = ImpressionLog(writer)
    log.flush()
    log.close()
    writer.close()
    database.close()
    assert list(tmp_path.iterdir()) == []


def test_one_that_the_database_refuses_goes_alone(database, writer, caplog):
    """`surface` is no longer than 20 characters in PostgreSQL; SQLite refuses only what has no value at all."""
    bad = impression(17, surface=None, request_id="bad")
    log = ImpressionLog(writer)
    for number in range(100):
        log.record(bad if number == 17 else impression(number))
    until(lambda: log.num_waiting == 0)
    log.record(impression(100))
    log.flush()
    assert written(database) == [f"r{number}" for number in range(101) if number != 17]
    assert log.num_lost == 1
    assert "an impression cannot be written and is lost" in caplog.text


def test_one_that_is_no_impression_goes_alone(database, writer):
    log = ImpressionLog(writer)
    for one in (impression(0), impression(1, time="now"), impression(2)):
        log.record(one)
    until(lambda: log.num_waiting == 0)
    assert written(database) == ["r0", "r2"]
    assert log.num_lost == 1


class Blocked:
    """A file where the store's folder should be, until it is opened."""

    def __init__(self, folder) -> None:
        self._file = folder / "there"
        self._file.write_text("no folder")
        self.database = Database(f"sqlite:///{self._file / 'irgan.db'}")
        self.writer = Writer(self.database, linger=0.01)
        self.log = ImpressionLog(self.writer)

    def open(self) -> None:
        self._file.unlink()

    def close(self) -> None:
        self.log.close()
        self.writer.close()
        self.database.close()


@pytest.fixture
def blocked(tmp_path, monkeypatch) -> Iterator[Blocked]:
    monkeypatch.setattr("app.store.impressions._RETRY_SECONDS", 0.02)
    blocked = Blocked(tmp_path)
    yield blocked
    blocked.close()


def test_what_cannot_be_written_is_kept_and_written_by_itself_when_the_store_is_back(blocked, caplog):
    for number in range(10):
        blocked.log.record(impression(number))
    with pytest.raises(StoreUnusable):
        blocked.log.flush()
    until(lambda: blocked.writer.num_failures > 3)
    assert blocked.log.num_waiting == 10
    assert caplog.text.count("the store cannot be written") == 1
    blocked.open()
    until(lambda: blocked.log.num_waiting == 0)
    assert sorted(written(blocked.database)) == sorted(f"r{number}" for number in range(10))
    assert blocked.log.num_lost == 0


def test_when_too_much_waits_the_oldest_go_and_are_counted(blocked, monkeypatch):
    monkeypatch.setattr("app.store.impressions._KEPT", 10 * 600)
    for number in range(25):
        blocked.log.record(impression(number, items="x" * 100))
    assert (blocked.log.num_waiting, blocked.log.num_lost) == (10, 15)
    blocked.open()
    until(lambda: blocked.log.num_waiting == 0)
    assert written(blocked.database) == [f"r{number}" for number in range(15, 25)]


def test_what_credits_mixed_answers_counts_as_waiting_too(blocked, monkeypatch):
    """Of a long list it is more than the items."""
    monkeypatch.setattr("app.store.impressions._KEPT", 10 * 600)
    for number in range(25):
        blocked.log.record(impression(number, items="", teams="x" * 100))
    assert (blocked.log.num_waiting, blocked.log.num_lost) == (10, 15)
    blocked.open()


def test_what_cannot_be_written_in_the_end_is_counted_as_lost(blocked, caplog):
    for number in range(10):
        blocked.log.record(impression(number))
    blocked.log.close()
    assert blocked.log.num_lost == 10
    assert "10 impressions are lost" in caplog.text


def test_impressions_are_not_lost_at_the_end_because_events_wait(database, monkeypatch):
    monkeypatch.setattr("app.store.writer._WAITING", 1)
    writer, is_open = Writer(database), threading.Event()
    log = ImpressionLog(writer)
    writer.submit(lambda _: is_open.wait(SECONDS))
    until(lambda: writer.num_waiting == 0)
    writer.submit(lambda _: None)
    log.record(impression())
    closing = threading.Thread(target=log.close)
    closing.start()
    sleep(0.05)
    is_open.set()
    closing.join(SECONDS)
    assert (written(database), log.num_lost) == (["r0"], 0)
    writer.close()


def test_recording_never_fails_an_answer(database):
    writer = Writer(database)
    log = ImpressionLog(writer)
    writer.close()
    log.record(impression())
    log.close()
    assert log.num_lost == 1


def test_what_a_failed_transaction_held_is_written_with_the_next(database):
    """The impressions' statement went well; what failed is another's in the same transaction, or its end."""
    writer = Writer(database, linger=1000)
    log = ImpressionLog(writer)
    begin = database.begin
    fails: list[bool] = [True]

    class Failing:
        def __init__(self) -> None:
            self._inner = begin()

        def __enter__(self):
            return self._inner.__enter__()

        def __exit__(self, *error):
            if fails.pop() if fails else False:
                problem = StoreUnusable("the end of the transaction failed")
                self._inner.__exit__(StoreUnusable, problem, None)
                raise problem
            return self._inner.__exit__(*error)

    database.begin = Failing  # type: ignore[method-assign]
    log.record(assigned(0))
    with pytest.raises(StoreUnusable):
        log.flush()
    log.flush()
    writer.close()
    assert written(database) == ["r0"]
    assert [row["unit"] for row in rows(database, ASSIGNMENTS)] == ["u1"]


def test_those_that_wait_at_the_end_are_written_beside_jobs(database):
    writer = Writer(database, linger=1000)
    log = ImpressionLog(writer)
    log.record(impression())
    done: Future[None] = writer.submit(lambda _: None)
    done.result(SECONDS)
    until(lambda: log.num_waiting == 0)
    assert (written(database), writer.num_transactions) == (["r0"], 1)
    writer.close()
