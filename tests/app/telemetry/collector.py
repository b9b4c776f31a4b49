"""A collector of traces on 127.0.0.1 that keeps what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SPAN_KINDS = {1: "internal", 2: "server"}


class Received:
    """What arrived.

    Attributes:
        endpoint: for the exporter.
        status: what the next batches are answered with.
        resources: by name, what was said of the service.
        spans: as dictionaries, in their order.
        headers: of each batch.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.status = 200
        self.resource: dict[str, Any] = {}
        self.spans: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    def take(self, body: bytes) -> None:
        for batch in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = _values(batch.resource.attributes)
            self.spans += [_span(span) for scope in batch.scope_spans for span in scope.spans]

    def named(self, name: str) -> dict[str, Any]:
        """The one span of a name."""
        (found,) = [span for span in self.spans if span["name"] == name]
        return found


@contextmanager
def collecting() -> Iterator[Received]:
    """Listen while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.headers.append({name.lower(): value for name, value in self.headers.items()})
            if received.status == 200:
                received.take(body)
            self.send_response(received.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Received(f"http://127.0.0.1:{server.server_port}/v1/traces")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _span(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": SPAN_KINDS[span.kind],
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "failed": span.status.code == 2,
        "attributes": _values(span.attributes),
        "events": [(event.name, _values(event.attributes)) for event in span.events],
        "links": [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
    }


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
