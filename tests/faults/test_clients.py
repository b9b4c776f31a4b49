"""Clients of every bad kind at once, while others go on as if they were alone; `tests/app/test_connections.py` has each kind by itself."""

from __future__ import annotations

import random
import resource
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from app.bundle import write_bundle
from app.releases import ReleaseStore
from tests.app.process import serving
from tests.conftest import make_draft
from tests.faults.load import assert_kept, under_load

EVENTS, RANKED, READY, SEARCH = "/v1/events", "/v1/recommendations/u1?k=5", "/health/ready", "/v1/search"
GET = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
EVENT = b'{"id":"%b","type":"click","user":"u1","item":"i1"}'
HEAD = b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
MANY = b'{"requests":[' + b",".join([b'{"k":1000}'] * 50) + b"]}"
Phase = Callable[[socket.socket, random.Random], None]


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    store = ReleaseStore(tmp_path / "releases")
    store.publish(write_bundle(make_draft(num_items=2000), tmp_path / "drafts"), "champion")
    return store.folder


def _head(client: socket.socket, rng: random.Random) -> None:
    client.sendall(GET[: rng.randrange(1, len(GET))])


def _body(client: socket.socket, _: random.Random) -> None:
    client.sendall(HEAD + b"content-length: 5000\r\n\r\n" + EVENT[:20])


def _tiny_chunks(client: socket.socket, rng: random.Random) -> None:
    client.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for byte in EVENT % b"tiny"[: rng.randrange(2, 50)]:
        client.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")


def _whole(client: socket.socket, rng: random.Random) -> None:
    event = EVENT % b"reset%d" % rng.randrange(10**9)
    client.sendall(HEAD + b"content-length: %d\r\n\r\n%b" % (len(event), event))


def _many(client: socket.socket, _: random.Random) -> None:
    client.sendall(GET * 200)


def _large_answer(client: socket.socket, _: random.Random) -> None:
    head = (
        b"POST /v1/recommendations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % len(MANY)
    )
    client.sendall(head + MANY)
    client.recv(100)


def _half_closed(client: socket.socket, _: random.Random) -> None:
    client.sendall(GET[:-2])
    client.shutdown(socket.SHUT_WR)


def _nonsense(client: socket.socket, rng: random.Random) -> None:
    client.sendall(rng.randbytes(rng.randrange(1, 3000)))


def _huge_head(client: socket.socket, _: random.Random) -> None:
    client.sendall(b"GET / HTTP/1.1\r\nx: " + b"x" * 100_000)


PHASES: tuple[Phase, ...] = (
    lambda *_: None,
    _head,
    _body,
    _tiny_chunks,
    _whole,
    _many,
    _large_answer,
    _half_closed,
    _nonsense,
    _huge_head,
)
"""How far a client comes before it resets its connection."""


def reset(port: int, phase: Phase, rng: random.Random) -> None:
    """Come so far, then end the connection so that what was sent meanwhile is answered by a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client, suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        phase(client, rng)
        sleep(rng.choice((0, 0, 0.002)))


def test_connections_that_are_reset_at_every_point(releases, tmp_path):
    """A hundred of them, while others are answered as ever and nothing acknowledged is lost."""
    resets(releases, tmp_path, 100)


@pytest.mark.soak
def test_very_many_connections_that_are_reset_at_every_point(releases, tmp_path):
    resets(releases, tmp_path, 3000)


def resets(releases: Path, folder: Path, number: int) -> None:
    """Reset so many connections, and watch over the others."""
    url = f"sqlite:///{folder}/irgan.db"
    with (folder / "log").open("w") as log, serving(releases, stderr=log, IRGAN_STORE=url) as (process, port):
        with under_load(port, (RANKED, READY, SEARCH)) as load:
            load.more(EVENTS, 200)

            def all_of(seed: int) -> None:
                rng = random.Random(seed)
                for count in range(number // 4):
                    reset(port, PHASES[count % len(PHASES)], rng)

            threads = [threading.Thread(target=all_of, args=(seed,)) for seed in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            load.more(EVENTS, 200)
        assert {status for _, status in load.statuses} == {200}
        wait_for_files(process.pid, 100)
        assert process.poll() is None
    told = (folder / "log").read_text()
    assert "Traceback" not in told, told[:2000]
    assert_kept(url, load, others="reset")


def wait_for_files(pid: int, most: int, seconds: float = 20) -> None:
    """Until a process has few files open again."""
    until = monotonic() + seconds
    while (found := len(list(Path(f"/proc/{pid}/fd").iterdir()))) > most:
        assert monotonic() < until, f"{found} files are open"
        sleep(0.05)


def test_more_connections_than_files_may_be_open(releases, tmp_path):
    """Those beyond are refused or wait; whoever is connected is answered; afterwards all is as before."""
    url = f"sqlite:///{tmp_path}/irgan.db"
    with serving(releases, IRGAN_STORE=url, IRGAN_RECEIVE_SECONDS="2") as (process, port):
        with under_load(port, (RANKED, READY), senders=1) as load:
            load.more(EVENTS, 200)
            open_now = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (open_now + 50, 4096))
            with ExitStack() as stack:
                for _ in range(300):
                    client = stack.enter_context(socket.socket())
                    client.setblocking(False)
                    client.connect_ex(("127.0.0.1", port))
                load.more(RANKED, 200, 10)
                load.more(EVENTS, 200)
            load.more(READY, 200)
        assert {status for _, status in load.statuses} == {200}
        with under_load(port) as after:
            after.more(EVENTS, 200)
        assert {status for _, status in after.statuses} == {200}
        assert process.poll() is None
    assert_kept(url, after, others="s")


@pytest.mark.soak
def test_thousands_of_idle_connections(releases, tmp_path):
    """They are closed when they have asked nothing for a while; others notice nothing."""
    url = f"sqlite:///{tmp_path}/irgan.db"
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(5000, soft - 500)
    with serving(releases, IRGAN_STORE=url, IRGAN_RECEIVE_SECONDS="3") as (process, port), ExitStack() as stack:
        with under_load(port, (RANKED, READY, SEARCH)) as load:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(number)]
            load.more(RANKED, 200, 10)
            load.more(EVENTS, 200, 10)
            assert all(client.recv(1) == b"" for client in clients)
            load.more(EVENTS, 200, 10)
        assert {status for _, status in load.statuses} == {200}
        wait_for_files(process.pid, 100)
    assert_kept(url, load)


@pytest.mark.soak
def test_hundreds_of_slow_clients_of_every_kind(releases, tmp_path):
    """Each comes so far and then says and takes nothing more; the service ends each, and answers all others."""
    url = f"sqlite:///{tmp_path}/irgan.db"
    rng = random.Random(5)
    with serving(releases, IRGAN_STORE=url, IRGAN_RECEIVE_SECONDS="2") as (process, port), ExitStack() as stack:
        with under_load(port, (RANKED, READY, SEARCH)) as load:
            for count in range(600):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
                with suppress(OSError):
                    PHASES[count % len(PHASES)](client, rng)
            load.more(RANKED, 200, 10)
            load.more(EVENTS, 200, 10)
            wait_for_files(process.pid, 100, 60)
            load.more(SEARCH, 200, 10)
        assert {status for _, status in load.statuses} == {200}
    assert_kept(url, load, others="reset")
