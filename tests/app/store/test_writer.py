"""Writes are grouped, each caller gets its own result, and nothing that goes wrong with one harms the others."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import psycopg
import pytest
from sqlalchemy import Connection, make_url, text

from app.store import Database, Event, EventLog, NameTaken, StoreBusy, StoreUnusable, Writer, insert_events
from tests.postgres import new_database

SECONDS = 30
"""What nothing takes; a test that waits so long has failed."""


@pytest.fixture
def writer(database) -> Iterator[Writer]:
    writer = Writer(database, linger=0.02)
    yield writer
    writer.close()


def event(name: str, **changes) -> Event:
    return Event(id=name, type="click", time=datetime.now(UTC), user="u", item="i", **changes)


def noting(name: str):
    """A job that stores an event of that name, and returns the name."""

    def work(connection: Connection) -> str:
        insert_events(connection, [event(name)])
        return name

    return work


def noted(url: str) -> list[str]:
    """The names in the store, in their order, as another process sees them."""
    database = Database(url)
    names = [event.id for _, event in EventLog(database).since(0)]
    database.close()
    return names


@contextmanager
def busy(writer: Writer) -> Iterator[None]:
    """While the writer is in the middle of a transaction, so that what is submitted waits for the next."""
    begun, go_on = threading.Event(), threading.Event()

    def work(_: Connection) -> None:
        begun.set()
        assert go_on.wait(SECONDS)

    held = writer.submit(work)
    assert begun.wait(SECONDS)
    try:
        yield
    finally:
        go_on.set()
        held.result(SECONDS)


def test_what_a_job_returns_comes_back_and_is_durable_by_then(writer, store_url):
    assert writer.submit(noting("a")).result(SECONDS) == "a"
    assert noted(store_url) == ["a"]


def test_jobs_that_come_meanwhile_are_written_together_in_their_order(writer, store_url):
    with busy(writer):
        futures = [writer.submit(noting(str(number))) for number in range(50)]
        assert writer.num_waiting == 50
    assert [future.result(SECONDS) for future in futures] == [str(number) for number in range(50)]
    assert (writer.num_transactions, writer.num_waiting) == (2, 0)
    assert noted(store_url) == [str(number) for number in range(50)]


def test_a_transaction_is_no_longer_than_a_crowd_may_wait(writer):
    with busy(writer):
        futures = [writer.submit(noting(str(number)), size=500) for number in range(10)]
    for future in futures:
        future.result(SECONDS)
    assert writer.num_transactions == 1 + 10 * 500 // 2000 + 1


def refused(connection: Connection) -> None:
    """A statement that the database refuses, after which PostgreSQL does nothing more in this transaction."""
    connection.execute(text("INSERT INTO events (id) VALUES (NULL)"))


def taken(_: Connection) -> None:
    raise NameTaken("there is one by that name")


def mistaken(_: Connection) -> None:
    raise ZeroDivisionError


def leaving(_: Connection) -> None:
    raise SystemExit


@pytest.mark.parametrize(
    ("work", "error"), [(refused, StoreUnusable), (taken, NameTaken), (mistaken, ZeroDivisionError), (leaving, SystemExit)]
)
def test_a_job_that_fails_fails_alone(writer, store_url, work, error):
    with busy(writer):
        before = [writer.submit(noting(name)) for name in "ab"]
        bad = [writer.submit(work), writer.submit(work)]
        after = writer.submit(noting("c"))
    for one in bad:
        with pytest.raises(error):
            one.result(SECONDS)
    assert [one.result(SECONDS) for one in (*before, after)] == ["a", "b", "c"]
    assert noted(store_url) == ["a", "b", "c"]
    assert writer.submit(noting("d")).result(SECONDS) == "d"


def test_a_job_that_is_given_up_before_its_turn_is_not_written(writer, store_url):
    with busy(writer):
        first, second, third = (writer.submit(noting(name)) for name in "abc")
        assert second.cancel()
    assert (first.result(SECONDS), third.result(SECONDS)) == ("a", "c")
    with pytest.raises(CancelledError):
        second.result(SECONDS)
    assert noted(store_url) == ["a", "c"]


def test_a_request_that_is_given_up_while_its_job_is_written_does_no_harm(writer, store_url):
    begun, go_on = threading.Event(), threading.Event()

    def slowly(connection: Connection) -> None:
        begun.set()
        go_on.wait(SECONDS)
        noting("slow")(connection)

    async def request() -> None:
        waiting = asyncio.ensure_future(asyncio.wrap_future(writer.submit(slowly)))
        await asyncio.to_thread(begun.wait, SECONDS)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go_on.set()
        assert await asyncio.wrap_future(writer.submit(noting("next"))) == "next"

    asyncio.run(request())
    assert noted(store_url) == ["slow", "next"]


def test_what_nobody_waits_for_is_written_after_a_moment(writer, store_url):
    assert writer.soon(noting("a")).result(SECONDS) == "a"
    began = monotonic()
    late, early = writer.soon(noting("b"), within=1000), writer.soon(noting("c"), within=0)
    assert (late.result(SECONDS), early.result(SECONDS)) == ("b", "c")
    assert monotonic() - began < SECONDS
    assert noted(store_url) == ["a", "b", "c"]


def test_what_nobody_waits_for_goes_with_the_next_transaction(database, store_url):
    writer = Writer(database, linger=1000)
    soon = writer.soon(noting("soon"))
    writer.submit(noting("now")).result(SECONDS)
    assert soon.done()
    assert writer.num_transactions == 1
    writer.close()


def test_closing_writes_what_waits_and_takes_nothing_more(database, store_url):
    writer = Writer(database, linger=1000)
    closing = threading.Thread(target=writer.close)
    with busy(writer):
        futures: list[Future[str]] = [writer.submit(noting(str(number)), size=1000) for number in range(5)]
        futures.append(writer.soon(noting("soon")))
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
    closing.join(SECONDS)
    assert all(future.done() for future in futures)
    assert sorted(noted(store_url)) == ["0", "1", "2", "3", "4", "soon"]
    for give in (writer.submit, writer.soon):
        with pytest.raises(StoreBusy, match="the service is ending"):
            give(noting("late"))
    writer.close()


def test_a_writer_that_was_never_used_can_be_closed_and_makes_nothing(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'irgan.db'}")
    Writer(database).close()
    database.close()
    assert list(tmp_path.iterdir()) == []


def test_when_too_much_waits_more_is_refused_at_once(writer, store_url):
    with busy(writer):
        huge = writer.submit(noting("huge"), size=50_000)
        with pytest.raises(StoreBusy, match="50000 rows wait for the store already"):
            writer.submit(noting("more"))
    assert huge.result(SECONDS) == "huge"
    assert writer.submit(noting("more")).result(SECONDS) == "more"
    assert noted(store_url) == ["huge", "more"]


def test_many_threads_all_get_their_turn(writer, store_url):
    """Each waits for its last job before it sends the next, so that a wake-up that is lost would be waited for."""
    failures: list[BaseException] = []

    def send(thread: int) -> None:
        try:
            for number in range(100):
                give = writer.soon if number % 10 == 0 else writer.submit
                assert give(noting(f"{thread}-{number}")).result(SECONDS) == f"{thread}-{number}"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    names = noted(store_url)
    assert len(names) == 800 and set(names) == {f"{thread}-{number}" for thread in range(8) for number in range(100)}
    for thread in range(8):
        assert [name for name in names if name.startswith(f"{thread}-")] == [f"{thread}-{number}" for number in range(100)]


def test_a_store_that_is_away_fails_all_that_wait_with_one_attempt_and_is_used_again_when_it_is_back(tmp_path):
    """Else each of a crowd would wait as long as one waits for a server that does not answer."""
    (tmp_path / "there").write_text("no folder")
    url = f"sqlite:///{tmp_path / 'there' / 'irgan.db'}"
    database = Database(url)
    writer = Writer(database)
    gate = threading.Event()
    begin = database.begin

    def begin_later():
        gate.wait(SECONDS)
        return begin()

    database.begin = begin_later  # type: ignore[method-assign]
    first = writer.submit(noting("first"))
    while writer.num_waiting:
        pass
    futures = [writer.submit(noting(str(number))) for number in range(20)]
    gate.set()
    for future in (first, *futures):
        with pytest.raises(StoreUnusable, match="cannot be used"):
            future.result(SECONDS)
    assert (writer.num_failures, writer.num_transactions) == (2, 0)
    (tmp_path / "there").unlink()
    assert writer.submit(noting("back")).result(SECONDS) == "back"
    writer.close()
    database.close()
    assert noted(url) == ["back"]


def test_connections_that_the_server_cut_are_replaced(postgres):
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    with new_database(postgres) as url, psycopg.connect(postgres, autocommit=True) as connection:
        name = make_url(url).database
        database = Database(url)
        writer = Writer(database)
        assert writer.submit(noting("a")).result(SECONDS) == "a"
        connection.execute(cut, (name,))
        assert writer.submit(noting("b")).result(SECONDS) == "b"  # what was idle is found out before it is used

        def cut_while_writing(ours: Connection) -> None:
            noting("lost")(ours)
            connection.execute(cut, (name,))
            noting("lost too")(ours)

        with busy(writer):
            futures = [writer.submit(noting("c")), writer.submit(cut_while_writing), writer.submit(noting("d"))]
        with pytest.raises(StoreUnusable):
            futures[1].result(SECONDS)
        assert (futures[0].result(SECONDS), futures[2].result(SECONDS)) == ("c", "d")
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(cut, (name,))
        with pytest.raises(StoreUnusable):
            writer.submit(noting("e")).result(SECONDS)
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert writer.submit(noting("f")).result(SECONDS) == "f"
        writer.close()
        database.close()
        assert noted(url) == ["a", "b", "c", "d", "f"]


def test_another_that_holds_the_store_for_long_is_waited_for_in_vain_and_not_for_ever(store_url, monkeypatch):
    monkeypatch.setattr("app.store.database._BUSY_SECONDS", 1)
    database, other = Database(store_url), Database(store_url)
    writer = Writer(database)
    writer.submit(noting("a")).result(SECONDS)
    with other.begin() as connection:
        noting("other")(connection)
        with pytest.raises(StoreUnusable):
            writer.submit(noting("b")).result(SECONDS)
    assert writer.submit(noting("c")).result(SECONDS) == "c"
    writer.close()
    for one in (database, other):
        one.close()
    assert noted(store_url) == ["a", "other", "c"]


def test_a_full_disk_is_said_and_what_was_acknowledged_is_kept(tmp_path):
    """The system refuses to let files grow, as it does on a full disk; then there is room again."""
    path = tmp_path / "irgan.db"
    database = Database(f"sqlite:///{path}")
    writer = Writer(database)
    acknowledged = [writer.submit(noting("first")).result(SECONDS)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size + 50_000, limits[1]))
    failed = 0
    try:
        for number in range(40):
            try:
                acknowledged.append(writer.submit(noting(f"{number}-" + "x" * 100)).result(SECONDS))
            except StoreUnusable:
                failed += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed > 5
    acknowledged.append(writer.submit(noting("last")).result(SECONDS))
    writer.close()
    database.close()
    assert noted(f"sqlite:///{path}") == acknowledged
