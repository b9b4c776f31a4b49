"""PostgreSQL goes away and comes back, under load: events are refused or stored, rankings go on, and all recovers by itself."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from time import sleep
from typing import Any

import pytest

from tests.app.process import serving
from tests.faults.load import Load, assert_kept, under_load
from tests.postgres import main_process, new_database, postgres_server, start, stop

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed (the extra postgres brings it)")

EVENTS, RANKED, READY = "/v1/events", "/v1/recommendations/u1?k=5", "/health/ready"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """One of its own, which may be stopped."""
    with postgres_server("max_connections=20") as server:
        yield server


def run(server: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(server, autocommit=True) as connection:
        found = connection.execute(statement)
        return list(found.fetchall()) if found.description else []


def cut_off(server: str, database: str) -> int:
    """End every session of a database but this one."""
    found = run(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
    return len(found)


def name_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def test_a_database_that_goes_away_and_comes_back(server, releases):
    """Stopped with its sessions ended, stopped as if killed, sessions cut off, and read-only: one after the other under one service."""
    with new_database(server) as url:
        with serving(releases, IRGAN_STORE=url, IRGAN_IMPRESSIONS="all") as (process, port):
            with under_load(port) as load:
                load.more(EVENTS, 200)
                for mode in ("fast", "immediate"):
                    stop(server, mode)
                    load.more(EVENTS, 503)
                    load.more(RANKED, 200, 10)
                    load.more(READY, 200)
                    start(server)
                    load.more(EVENTS, 200)
                for _ in range(3):
                    assert cut_off(server, name_of(url)) > 0
                    load.more(EVENTS, 200)
                run(server, f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
                cut_off(server, name_of(url))
                load.more(EVENTS, 503)
                load.more(RANKED, 200, 10)
                run(server, f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = off")
                cut_off(server, name_of(url))
                load.more(EVENTS, 200)
            assert_only(load)
            (sessions,) = run(server, f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name_of(url)}'")[0]
            assert sessions <= 10
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert_kept(url, load, all_shown=True)


def assert_only(load: Load) -> None:
    """Whoever asked was answered, and events were taken or refused for now."""
    changes = {(path, status) for path, status in load.statuses if path == EVENTS or path.startswith("/v1/items/")}
    assert {status for _, status in changes} <= {200, 503}
    assert {status for _, status in load.statuses.keys() - changes} == {200}


@pytest.mark.soak
def test_a_service_that_starts_while_its_database_is_away(server, releases):
    """It ranks nothing before it knows whether there are keys, and does all once it knows."""
    with new_database(server) as url:
        stop(server, "fast")
        try:
            with serving(releases, IRGAN_STORE=url, IRGAN_POLL_SECONDS="0.1") as (_, port), under_load(port) as load:
                load.more(RANKED, 503)
                load.more(EVENTS, 503)
                load.more(READY, 200)
                start(server)
                load.more(RANKED, 200)
                load.more(EVENTS, 200)
        finally:
            if not is_up(server):
                start(server)
        assert_kept(url, load)


def is_up(server: str) -> bool:
    try:
        run(server, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.soak
def test_a_table_that_somebody_locks_for_long(server, releases):
    """Writers give up after 5 s, each request within about two of these; nothing piles up behind them."""
    with new_database(server) as url, serving(releases, IRGAN_STORE=url, IRGAN_IMPRESSIONS="all") as (_, port):
        with under_load(port, senders=12) as load:
            load.more(EVENTS, 200)
            with psycopg.connect(url) as connection:
                connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
                load.more(EVENTS, 503, 24)
                load.more(RANKED, 200, 10)
                sleep(6)
            load.more(EVENTS, 200, 24)
        assert_only(load)
        assert_kept(url, load)


@pytest.mark.soak
def test_a_server_that_says_nothing_any_more(server, releases):
    """Its processes are stopped, so that no connection ends: requests are given up all the same, and it goes on where it was."""
    with new_database(server) as url, serving(releases, IRGAN_STORE=url, IRGAN_IMPRESSIONS="all") as (_, port):
        paths = (RANKED, READY, "/v1/search", "/v1/recommendations")
        with under_load(port, paths, senders=8, changers=12) as load:
            load.more(EVENTS, 200)
            main = main_process(server)
            processes = [main, *map(int, subprocess.check_output(["pgrep", "-P", str(main)], text=True).split())]
            for one in processes:
                os.kill(one, signal.SIGSTOP)
            try:
                load.more(EVENTS, 503, 16, seconds=60)
                load.more(RANKED, 200, 10)
                load.more("/v1/search", 200, 10)
                load.more("/v1/recommendations", 200, 10)
            finally:
                for one in processes:
                    os.kill(one, signal.SIGCONT)
            load.more(EVENTS, 200, 16)
        assert_only(load)
        sleep(1)
        assert_kept(url, load, all_shown=True)


@pytest.mark.soak
def test_a_server_that_has_no_room_for_more_sessions(server, releases):
    """Others have taken all of them when the service needs new ones."""
    with new_database(server) as url, serving(releases, IRGAN_STORE=url) as (_, port):
        with under_load(port) as load:
            load.more(EVENTS, 200)
            held = []
            while True:
                cut_off(server, name_of(url)) if len(held) < 5 else None
                try:
                    held.append(psycopg.connect(server))
                except psycopg.OperationalError:
                    break
            held[0].execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name_of(url)}'")
            while len(held) < 20:
                try:
                    held.append(psycopg.connect(server))
                except psycopg.OperationalError:
                    held[0].execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name_of(url)}'")
            load.more(EVENTS, 503)
            load.more(RANKED, 200, 10)
            for one in held:
                one.close()
            load.more(EVENTS, 200)
        assert_only(load)
        assert_kept(url, load)


@pytest.mark.soak
def test_sessions_that_are_cut_off_again_and_again(server, releases):
    """In the middle of transactions, for half a minute."""
    with new_database(server) as url, serving(releases, IRGAN_STORE=url, IRGAN_IMPRESSIONS="all") as (process, port):
        with under_load(port, senders=6) as load:
            load.more(EVENTS, 200)
            for _ in range(300):
                cut_off(server, name_of(url))
                sleep(0.1)
            load.more(EVENTS, 200, 10)
        assert_only(load)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert_kept(url, load, all_shown=True)
