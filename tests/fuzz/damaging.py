"""Requests as bytes, whole and damaged, and what a service says to them."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

from tests.fuzz.world import World

SEED = 20261125
KNOWN = {200, 201, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 431}
"""No mutation makes a service fail, nor answer what it does not document."""
AUTHORIZED = b"authorization: Bearer %b\r\n"


def told(port: int, sent: bytes) -> bytes:
    """All that comes back until the service closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        parts = []
        try:
            client.sendall(sent)
            while part := client.recv(2**16):
                parts.append(part)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it closed before all was sent
        return b"".join(parts)


def request(
    world: World, method: str, path: str, body: bytes | None = None, *, headers: bytes = b"", version: str = "1.1"
) -> bytes:
    head = f"{method} {path} HTTP/{version}\r\n".encode() + b"host: x\r\nconnection: close\r\n" + headers
    head += AUTHORIZED % world.keys["admin"].encode()
    if body is not None:
        head += b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    return head + b"\r\n" + (body or b"")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def seeds(world: World) -> list[bytes]:
    """Requests as they should be; what comes of them when damaged is harmless."""
    return [
        request(world, "GET", "/v1/recommendations/196?k=3&filter=genres:Comedy%7CDrama&filter=year%3E%3D1990"),
        request(world, "GET", "/v1/items/50/similar?k=3&diversity=0.5", headers=b"x-irgan-variant: history-or-popular=control\r\n"),
        request(world, "POST", "/v1/recommendations", b'{"history":[{"item":"50","rating":5},{"item":172}],"k":3,"filters":{"year":{"gte":1990}}}'),
        request(world, "POST", "/v1/search", b'{"query":"glacier cave","mode":"hybrid","facets":["genres"],"personalise":"196","k":3}'),
        request(world, "POST", "/v1/rerank", b'{"candidates":[{"id":"a","features":[0.1,0.7,0.3]},{"id":"b","features":[0.9,0.2,0]}]}'),
        request(world, "POST", "/v1/events", b'{"events":[{"id":"m1","type":"click","user":"196","item":"50","time":"2026-11-25T10:15:00Z"}],"partial":true}'),
        request(world, "PUT", "/v1/items/m1", b'{"title":"Of walruses","text":"ice","metadata":{"year":1999,"genres":["War"]}}'),
        request(world, "GET", "/v1/experiments/history-or-popular/report?format=html"),
    ]  # fmt: skip


def mutated(world: World, seed: int) -> Iterator[bytes]:
    """Damaged requests without end: bytes flipped, put in, taken out, doubled; pieces of one in another."""
    rng = np.random.default_rng(seed)
    whole = seeds(world)
    pieces = [
        b"\r\n",
        b"\x00",
        b"%",
        b"\xff",
        b'"',
        b"{",
        b"[" * 50,
        b"0" * 50,
        b"\\ud800",
        b": ",
        b"..",
        b"NaN",
        b"-1",
        b"\xc3\xa9",
    ]
    while True:
        sent = bytearray(whole[rng.integers(len(whole))])
        for _ in range(rng.integers(1, 4)):
            start = sent.find(b"\r\n\r\n") + 4 if rng.integers(2) else 0  # in the body, as often
            at = int(rng.integers(start if start < len(sent) else 0, len(sent)))
            match rng.integers(6):
                case 0:
                    sent[at] ^= 1 << int(rng.integers(8))
                case 1:
                    sent[at] = int(rng.integers(256))
                case 2:
                    del sent[at : at + int(rng.integers(1, 20))]
                case 3:
                    sent[at:at] = pieces[rng.integers(len(pieces))]
                case 4:
                    sent[at:at] = sent[at : at + int(rng.integers(1, 200))]
                case _:
                    other = whole[rng.integers(len(whole))]
                    start = int(rng.integers(len(other)))
                    sent[at : at + 20] = other[start : start + 40]
        yield bytes(sent)


def send_mutated(world: World, number: int) -> Counter[int]:
    """Send so many, a few at once; the statuses that came back, 0 for a connection that ended without a word."""

    def one(sent: bytes) -> int:
        answer = told(world.port, sent)
        if not answer:  # another request seems to follow on the connection, and is none: that ends it, answered or not
            assert b"connection: close\r\n" not in sent.partition(b"\r\n\r\n")[0] or not sent.strip(b"\r\n"), sent
            return 0
        found = status(answer)
        if found == 100:  # asked for by chance
            found = status(answer[answer.index(b"HTTP/1.1 ", 1) :])
        assert found in KNOWN, (sent, answer)
        return found

    with ThreadPoolExecutor(64) as callers:  # many a request seems to go on, and waits for its time to run out
        return Counter(callers.map(one, islice(mutated(world, SEED), number)))
