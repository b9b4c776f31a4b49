"""The service as a process against clients that send or read too slowly, or too much: they lose their connection, nobody else notices."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.bundle import write_bundle
from app.releases import ReleaseStore
from tests.app.process import serving
from tests.conftest import make_draft

SECONDS = 0.5
BODY = 20_000
GET = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /v1/recommendations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("connections")
    ReleaseStore(folder / "releases").publish(write_bundle(make_draft(num_items=3000), folder / "drafts"), "champion")
    with serving(folder / "releases", IRGAN_RECEIVE_SECONDS=str(SECONDS), IRGAN_MAX_BODY=str(BODY)) as (process, port):
        yield port
        assert answer(port, GET)[0] == 200  # it has come through all of it
        assert process.poll() is None


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        yield client


def read(client: socket.socket) -> bytes:
    """All that comes until the service closes."""
    parts = []
    while True:
        try:
            part = client.recv(2**16)
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def parsed(told: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = told.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body


def answer(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    with connected(port) as client:
        client.sendall(sent.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
        return parsed(read(client))


def refused(told: bytes, status: int, kind: str) -> None:
    found, headers, body = parsed(told)
    assert found == status, told
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    problem = json.loads(body)
    assert (problem["status"], problem["type"]) == (status, f"urn:irgan:problem:{kind}")
    assert problem["title"] and problem["detail"]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n",
        b"GET /health/live HT",
        b"GET /health/live HTTP/1.1\r\nhost: x\r\n",
        POST + b"content-length: 50\r\n\r\n{",
        POST + b"transfer-encoding: chunked\r\n\r\n5\r\n{",
        GET + b"GET /heal",
    ],
)
def test_what_never_arrives_is_not_waited_for(port, sent):
    """Whatever part of a request is missing, also a second one's."""
    with connected(port) as client:
        began = time.monotonic()
        client.sendall(sent)
        told = read(client)
        assert time.monotonic() - began >= SECONDS * 0.9
    if not sent.strip():  # nothing was asked, and so nothing is answered
        assert told == b""
        return
    if sent.startswith(GET):
        assert told.startswith(b"HTTP/1.1 200")
        told = told[told.rindex(b"HTTP/1.1 ") :]
    refused(told, 408, "request-too-slow")


def test_a_byte_now_and_then_does_not_keep_a_connection(port):
    with connected(port) as client:
        for byte in GET:
            try:
                client.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(SECONDS / 10)
        else:
            pytest.fail("the service took as long as it was made to")


def test_a_connection_that_asks_again_and_again_is_kept(port):
    """Beyond the time that one request has."""
    with connected(port) as client:
        began = time.monotonic()
        while time.monotonic() - began < 3 * SECONDS:
            client.sendall(GET)
            told = b""
            while not told.endswith(b'{"status":"live"}'):
                told += client.recv(2**16)
            time.sleep(SECONDS / 5)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 3000 + b"\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 3000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("piece", [1000, 10**6])
def test_heads_and_trailers_beyond_64_kib_are_refused(port, sent, piece):
    """In whatever pieces they come."""
    with connected(port) as client:
        try:
            for start in range(0, len(sent), piece):
                client.sendall(sent[start : start + piece])
                time.sleep(0.0005)
        except OSError:
            pass  # it closed before all was sent
        refused(read(client), 431, "head-too-large")


def test_one_header_beyond_64_kib_is_refused_before_its_end(port):
    with connected(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nx: ")
        for _ in range(70):
            time.sleep(0.0005)
            client.sendall(b"x" * 1000)
        refused(read(client), 431, "head-too-large")


def test_a_head_that_never_ends_is_not_kept(port):
    """One header of which no end comes: a parser keeps it all."""
    with connected(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nx: ")
        sent = 0
        try:
            while sent < 2**26:
                sent += client.send(b"x" * 2**14)
        except OSError:
            pass
        assert sent < 2**24  # what the system's buffers take included


@pytest.mark.parametrize(
    "head", [POST + b"transfer-encoding: chunked\r\n\r\n", b"GET /health/live HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"]
)
def test_a_body_without_an_end_ends_the_connection(port, head):
    """Where it is read, and where nobody reads it."""
    with connected(port) as client:
        client.sendall(head)
        sent = 0
        try:
            while sent < 2**26:
                sent += client.send(b"400\r\n" + b" " * 1024 + b"\r\n")
        except OSError:
            pass
        assert sent < 2**24


def test_a_request_that_has_its_answer_gets_no_second_one(port):
    """The rest of its body comes too slowly, and nobody reads it: a proxy would take what came then for the answer to another request."""
    with connected(port) as client:
        client.sendall(GET.replace(b"\r\n\r\n", b"\r\ncontent-length: 50\r\n\r\n{"))
        told = read(client)
    assert told.count(b"HTTP/1.1 ") == 1 and told.endswith(b'{"status":"live"}')


def test_a_body_beyond_the_limit_is_a_problem_of_its_own(port):
    status, headers, body = answer(port, POST + b"content-length: 30000\r\n\r\n" + b" " * 30_000)
    assert (status, json.loads(body)["type"]) == (413, "urn:irgan:problem:body-too-large")
    assert headers["x-request-id"]


def test_answers_that_nobody_takes_are_given_up(port):
    """A client that asks for megabytes and reads nothing: its connection ends, and the rest is not kept for it."""
    question = json.dumps({"requests": [{"k": 1000}] * 100}).encode()
    request = POST + b"content-length: %d\r\n\r\n" % len(question) + question
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", port))
        client.sendall(request)
        time.sleep(SECONDS * 5)
        told = read(client)
    length = int(parsed(told)[1]["content-length"])
    assert len(told) < length


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\nx\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
)
def test_what_is_not_http_is_a_problem(port, sent):
    """Also TLS spoken to a port that knows none."""
    with connected(port) as client:
        client.sendall(sent)
        refused(read(client), 400, "malformed-request")


def test_answers_name_no_server_and_tell_browsers_what_not_to_do(port):
    _, headers, _ = answer(port, GET)
    assert "server" not in headers
    assert (headers["x-content-type-options"], headers["referrer-policy"], headers["x-frame-options"]) == (
        "nosniff",
        "no-referrer",
        "DENY",
    )
