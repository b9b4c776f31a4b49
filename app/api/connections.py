"""What a connection may cost: bytes of a request, and time to send one and to take its answer.

uvicorn bounds neither: a head of any length is kept in memory, and a client that sends or reads a byte now and then keeps its connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.problems import MEDIA_TYPE, Kind

_MAX_HEAD = 2**16
"""Bytes of the request line and all headers; trailers count too."""
_VERSIONS = ("1.0", "1.1")
_ROOM = 4
"""So many times the longest body may pass in all: the service's own limit comes first, this one ends what is sent after it, or beside it."""
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 2**20
"""So long, and so much, a refused client may go on sending, unheard."""
_LEAST_RATE = 1024.0
"""Bytes a second at which a client takes its answer at least."""

_MALFORMED = Kind(400, "malformed-request", "The request is not HTTP")
_TOO_SLOW = Kind(408, "request-too-slow", "The request did not arrive in time")
_TOO_LARGE = Kind(413, "body-too-large", "The body is too long")
_HEAD_TOO_LARGE = Kind(431, "head-too-large", "The headers are too long")


class BoundedConnection(HttpToolsProtocol):
    """One client's connection; `bounded` makes the class that uvicorn is to use.

    It looks at itself twice in `receive_seconds`, so that a request pays nothing for being watched.
    """

    receive_seconds: ClassVar[float]
    max_body: ClassVar[int]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to watch."""
        super().connection_made(transport)
        self._refused = _MALFORMED
        self._awaited_since: float | None = self.loop.time()
        self._is_in_head = self._is_refused = False
        self._num_messages = self._num_bytes = self._head_bytes = self._num_hosts = 0
        self._unsent, self._unsent_since = 0, self.loop.time()
        self._watching = self.loop.call_later(self.receive_seconds / 2, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        self._watching.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless that is too much."""
        if self._is_refused:
            self._num_bytes += len(data)
            if self._num_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        before = self._num_messages
        super().data_received(data)
        if self._is_refused or self._awaited_since is None or before != self._num_messages:
            return
        self._num_bytes += len(data)
        if self._is_in_head and self._num_bytes > _MAX_HEAD:
            self._refuse(_HEAD_TOO_LARGE)
        elif self._num_bytes > _ROOM * self.max_body + _MAX_HEAD:
            self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._num_messages += 1
        self._num_bytes = self._head_bytes = self._num_hosts = 0
        self._awaited_since, self._is_in_head = self.loop.time(), True

    def on_url(self, url: bytes) -> None:
        """A part of its address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._count(len(name) + len(value))
        self._num_hosts += name.lower() == b"host"
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body follows, where this is HTTP and says to whom it goes: a proxy in front and this service must not understand it differently."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS or self._num_hosts > 1 or (self._num_hosts < 1 and version == "1.1"):
            raise ValueError("no version that is spoken here, or not one Host")
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._awaited_since = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours says more
        """What cannot be parsed, or not be kept, is a problem like any other."""
        self._refuse(self._refused)

    def _unsupported_upgrade_warning(self) -> None:
        """Such a request is answered as it would be without; any client could fill the log with it."""

    def _count(self, num_bytes: int) -> None:
        self._head_bytes += num_bytes
        if self._head_bytes > _MAX_HEAD:
            self._refused = _HEAD_TOO_LARGE
            raise ValueError("the head is too long")  # the parser ends with it, and uvicorn calls `send_400_response`

    def _watch(self) -> None:
        now = self.loop.time()
        self._watching = self.loop.call_later(self.receive_seconds / 2, self._watch)
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent <= self._unsent - _LEAST_RATE * (now - self._unsent_since):
            self._unsent, self._unsent_since = unsent, now
        elif unsent > self._unsent:  # another answer began
            self._unsent, self._unsent_since = unsent, self._unsent_since if self._unsent else now
        if unsent and now - self._unsent_since >= self.receive_seconds:
            self.transport.abort()
        elif self._awaited_since is None:
            return
        elif self.pipeline:
            self._awaited_since = now  # it is the request that waits, for the answers of those before it
        elif now - self._awaited_since >= self.receive_seconds:
            self._refuse(_TOO_SLOW)

    def _refuse(self, kind: Kind) -> None:
        """Say why, if the request that is refused has no answer yet, and read no more of it."""
        if self._is_refused:
            return
        cycle = self.cycle
        is_unanswered = self._num_messages > 0 and (cycle is None or not cycle.response_started)
        if self._is_in_head and cycle is not None:  # of the request before
            is_unanswered = cycle.response_complete
        if (
            cycle is not None and not cycle.response_complete
        ):  # what waits for the rest of the request learns that there is none
            cycle.disconnected = True
            cycle.message_event.set()
        if not is_unanswered or self.transport.is_closing():
            self.transport.close()
            return
        self._is_refused, self._num_bytes = True, 0
        self.transport.write(_answer(kind, seconds=self.receive_seconds, head=_MAX_HEAD, body=self.max_body))
        # A connection that is closed while the client sends is reset, and the client never reads why.
        self.transport.write_eof()
        self._watching.cancel()
        self._watching = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)


def _answer(kind: Kind, **limits: float) -> bytes:
    body = orjson.dumps(
        {
            "type": kind.uri,
            "title": kind.title,
            "status": kind.status,
            "detail": _DETAILS[kind.status].format(**limits),
            "request_id": "",
            "errors": [],
        }
    )
    head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return STATUS_LINE[kind.status] + head.encode() + body


_DETAILS = {
    400: "what arrived is not HTTP/1.1, or does not name one Host",
    408: "the request was not complete after {seconds:g} s (IRGAN_RECEIVE_SECONDS)",
    413: "far more than {body} bytes arrived, which is this service's limit for a body; send less in one request",
    431: "the request line and the headers are longer than {head} bytes",
}


def bounded(*, receive_seconds: float, max_body: int) -> type[asyncio.Protocol]:
    """The class for a service's connections.

    Args:
        receive_seconds: so long a request may take to arrive, and an answer may lie without being taken.
        max_body: bytes of a body.
    """
    attributes: dict[str, Any] = {"receive_seconds": receive_seconds, "max_body": max_body}
    return type("Connection", (BoundedConnection,), attributes)
