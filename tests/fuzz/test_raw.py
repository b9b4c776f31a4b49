"""Requests that no client sends: bytes that were damaged on the way, and what HTTP, JSON and Unicode leave to be misunderstood."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.fuzz.damaging import request, send_mutated, status, told
from tests.fuzz.world import World, memory, world


def asked(world: World, sent: bytes) -> int:
    """The status, the answer being one alone, and a problem where it refuses."""
    answer = told(world.port, sent)
    assert len(re.findall(rb"HTTP/1\.1 \d{3}", answer)) == 1, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    if status(answer) >= 400:
        assert b"content-type: application/problem+json" in head, answer
        assert json.loads(body)["status"] == status(answer)
    return status(answer)


NESTED = b"[" * 5000 + b"]" * 5000
DEEP = b"[" * 400 + b"]" * 400


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (NESTED, 400),
        (b'{"filters":{"year":' + DEEP + b"}}", 422),
        (b'{"k":' + b"9" * 400 + b"}", 400),  # no number of 64 bits is as large
        (b'{"k":1e400}', 400),
        (b'{"k":1e30}', 422),
        (b'{"k":5.0}', 200),  # JSON knows no integers
        (b'{"k":5.5}', 422),
        (b'{"k":"5"}', 422),  # nor takes it text for numbers
        (b'{"k":true}', 422),
        (b'{"exclude_seen":"yes"}', 422),
        (b'{"user":196}', 200),
        (b'{"user":18446744073709551616}', 422),  # rounded, it would be somebody else
        (b'{"user":1.5}', 422),
        (b'{"diversity":NaN}', 400),
        (b'{"diversity":-Infinity}', 400),
        (b'{"user":"\\ud800"}', 400),  # half a character
        (b'{"user":"\\ud83d\\ude00"}', 200),
        (b'{"user":"\xff"}', 400),
        (b'{"user":"a\\u0000"}', 200),  # nobody knows such a user; the log writes it otherwise
        (b"\xef\xbb\xbf{}", 400),  # a byte order mark
        ('{"user":"196"}'.encode("utf-16"), 400),
        (b"{} {}", 400),
        (b" \r\n\t{}\n", 200),
        (b"null", 422),
        (b"", 400),
    ],
)
def test_bodies_that_parsers_disagree_about(asked_world, body, expected):
    assert asked(asked_world, request(asked_world, "POST", "/v1/recommendations", body)) == expected


def test_of_a_key_that_stands_there_twice_the_last_counts(asked_world):
    answer = told(asked_world.port, request(asked_world, "POST", "/v1/recommendations", b'{"k":1,"k":3}'))
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["items"]) == 3


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/recommendations/%zz%", 200),  # what is no escape stands for itself
        ("GET", "/v1/recommendations/%ff%fe", 200),
        ("GET", "/v1/recommendations/%ed%a0%80", 200),
        ("GET", "/v1/recommendations/%00%0a%0d", 200),
        ("GET", "/v1/recommendations/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 200),  # an id, and no path of any disk
        ("GET", "/v1/recommendations//196", 200),  # the user "/196"
        ("GET", f"/v1/recommendations/{'x' * 512}", 200),
        ("GET", f"/v1/recommendations/{'x' * 513}", 422),
        ("GET", "//v1/recommendations/196", 404),
        ("GET", "/v1//recommendations/196", 404),
        ("GET", "/v1/./recommendations/196", 404),
        ("GET", "/v1/x/../recommendations/196", 404),
        ("GET", "/V1/recommendations/196", 404),
        ("GET", "/v1/recommendations/196?k=1&k=2", 200),
        ("GET", "/v1/recommendations/196?k=%31", 200),
        ("GET", "/v1/recommendations/196?k=1%00", 422),
        ("GET", "/v1/recommendations/196?&&k=1&", 200),
        ("GET", "/v1/recommendations/196?filter=%ff", 422),
        ("GET", "http://elsewhere/v1/recommendations/196", 200),  # the form that proxies are asked in
        ("GET", "/v1/recommendations/196#top", 200),
        ("GET", "/v1/experiments/a%00b", 404),
        ("POST", "/v1/experiments/a%00b/start", 404),
        ("POST", "/v1/items/x/similar", 405),
        ("DELETE", "/v1/items/x/similar", 405),
        ("DELETE", "/v1/items/a%00b", 404),
        ("OPTIONS", "/v1/items", 405),
        ("TRACE", "/v1/items", 405),
        ("GET", "*", 404),
    ],
)
def test_paths_that_servers_disagree_about(asked_world, method, path, expected):
    assert asked(asked_world, request(asked_world, method, path)) == expected


def test_ids_are_compared_as_they_are(asked_world):
    """Letters that look alike are not made alike: a catalogue may hold both."""
    composed, decomposed = "caf%C3%A9", "cafe%CC%81"
    assert asked(asked_world, request(asked_world, "PUT", f"/v1/items/{composed}", b'{"text":"ice"}')) == 200
    assert asked(asked_world, request(asked_world, "DELETE", f"/v1/items/{decomposed}")) == 404
    assert asked(asked_world, request(asked_world, "DELETE", f"/v1/items/{composed}")) == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/items/a%00b", b'{"text":"ice"}'),
        ("/v1/items", b'{"items":[{"id":"a\\u0000b","text":"ice"}]}'),
    ],
)
def test_what_not_every_store_can_keep_is_refused_by_all(asked_world, path, body):
    assert asked(asked_world, request(asked_world, "PUT", path, body)) == 422


@pytest.mark.parametrize("depth", [100, 400])
def test_properties_that_cannot_be_written_again_are_refused(asked_world, depth):
    """What is read deeper than it can be written would be lost."""
    nested = b"[" * depth + b"]" * depth
    body = b'{"id":"deep-%d","type":"view","user":"1","properties":{"a":%b}}' % (depth, nested)
    assert asked(asked_world, request(asked_world, "POST", "/v1/events", body)) == (200 if depth == 100 else 422)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health/live HTTP/1.1\r\n",  # no Host
        b"GET /health/live HTTP/1.1\r\nhost: a\r\nhost: b\r\n",
        b"GET /health/live\r\n",  # HTTP/0.9
        b"GET /health/live HTTP/2.0\r\nhost: x\r\n",
        b"get /health/live HTTP/1.1\r\nhost: x\r\n",
        b"BREW /health/live HTTP/1.1\r\nhost: x\r\n",
        b"GET http://x HTTP/1.1\r\nhost: x\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n",
        b"GET /health/live HTTP/1.1\r\nhost : x\r\n",
        b"GET /health/live HTTP/1.1\r\nhost: x\r\n folded\r\n",
        b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n",  # two lengths: smuggling
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -2\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +2\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n",
    ],
)
def test_what_http_does_not_allow_is_refused(asked_world, head):
    """Also where other servers guess: two that guess differently, one behind the other, are how requests are smuggled."""
    assert asked(asked_world, head + b"\r\n") == 400


@pytest.mark.parametrize("head", [b"", b"host: x\r\n", b"connection: keep-alive\r\n"])
def test_http_1_0_is_answered_and_needs_no_host(asked_world, head):
    sent = b"GET /health/live HTTP/1.0\r\n" + head
    assert told(asked_world.port, sent + b"\r\n").startswith(b"HTTP/1.1 200")


def test_damaged_requests_are_answered_as_they_deserve(asked_world):
    """Some hundreds; every one gets an answer that is documented, and the service goes on."""
    found = send_mutated(asked_world, 300)
    assert len(found) >= 5 and found[200] > 20 and found[400] > 20
    assert asked_world.ask("GET", "/v1/recommendations/196")[0] == 200


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_ten_thousand_damaged_requests(tmp_path: Path):
    """And memory stays."""
    with world(tmp_path, IRGAN_RECEIVE_SECONDS="2") as made:
        send_mutated(made, 500)
        before = memory(made.pid)
        found = send_mutated(made, 10_000)
        grown = memory(made.pid) - before
        print(f"\n{sum(found.values()):,} damaged requests: {dict(sorted(found.items()))}; {grown:+.0f} MiB")  # noqa: T201 - what a long run is for
        assert grown < 50
        assert made.ask("GET", "/v1/recommendations/196")[0] == 200
