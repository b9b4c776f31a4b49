"""Traces to a collector, by OpenTelemetry's SDK; imported only where the environment asks for traces."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

from app.errors import ExtraMissing, QueryError
from app.telemetry.secrets import without_secrets
from app.telemetry.tracing import trace_with

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
except ModuleNotFoundError as error:
    raise ExtraMissing(
        f"traces need {error.name}, which is not installed; it comes with the extra: pip install 'irgan[tracing]' "
        "(OTEL_SDK_DISABLED=true leaves traces off)"
    ) from error

logger = logging.getLogger(__name__)

_NOT_TRACED = frozenset(("/health/live", "/health/ready", "/metrics"))
"""Machines ask for these every few seconds; they would bury all else."""
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
_PROPAGATED = frozenset(name.encode() for name in propagate.get_global_textmap().fields)
"""Headers that tell of the caller's trace."""
_LAST_SECONDS = 3.0
"""What the last spans get to leave when the process ends."""
_FAILED = 500


class Traces:
    """All spans of this process, on their way to a collector; a collector that is away holds nobody up.

    Args:
        endpoint: where the collector takes traces.
    """

    def __init__(self, endpoint: str) -> None:
        self._exporter = _Told(endpoint)
        named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({"service.version": version("irgan")} | ({} if named else {"service.name": "irgan"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        # It would say every 20 s that the queue is full; why that is stands in the log once.
        logging.getLogger("opentelemetry.sdk").setLevel(logging.ERROR)
        self._tracer = self._provider.get_tracer("irgan", version("irgan"))

    def start(self) -> None:
        """Make spans from now on."""
        trace_with(self)

    def close(self) -> None:
        """Make no more, and send those that there are, for a moment at most."""
        trace_with(None)
        if self._exporter.is_failing:
            self._exporter.shutdown()
        ending = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        ending.start()
        ending.join(_LAST_SECONDS)
        if ending.is_alive():
            self._exporter.shutdown()

    def span(self, name: str, attributes: Mapping[str, Any], links: Sequence[Any] | None) -> AbstractContextManager[None]:
        """A part of what is being done; an error that leaves the block is told."""
        around = trace.get_current_span()
        if around.get_span_context().is_valid and not around.is_recording():  # of a request that is not sampled
            return nullcontext()
        return self._recorded(name, attributes, links)

    @contextmanager
    def _recorded(self, name: str, attributes: Mapping[str, Any], links: Sequence[Any] | None) -> Iterator[None]:
        known = {f"irgan.{key}": value for key, value in attributes.items() if value is not None}
        to = [Link(one) for one in links or () if one is not None]
        span = self._tracer.start_span(name, attributes=known, links=to)
        token = context.attach(trace.set_span_in_context(span))
        try:
            yield
        except BaseException as error:
            _fail(span, error)
            raise
        finally:
            context.detach(token)
            span.end()

    def request(self, scope: Any, request_id: str) -> _Request | None:
        """A request, as a part of the caller's trace where that names one; None for one that is not worth a trace."""
        return None if scope["path"] in _NOT_TRACED else _Request(self._tracer, scope, request_id)

    def here(self) -> tuple[str, str] | None:
        """The trace and the span that is being worked on, in hexadecimal digits."""
        found = trace.get_current_span().get_span_context()
        return (f"{found.trace_id:032x}", f"{found.span_id:016x}") if found.is_valid else None

    def current(self) -> Any:
        """The same, for links."""
        found = trace.get_current_span().get_span_context()
        return found if found.is_valid else None


class _Request:
    """See `app.telemetry.tracing.RequestSpan`; named by OpenTelemetry's conventions for HTTP servers."""

    def __init__(self, tracer: trace.Tracer, scope: Any, request_id: str) -> None:
        self._method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes: dict[str, Any] = {
            "http.request.method": self._method,
            "url.scheme": scope.get("scheme", "http"),
            "url.path": without_secrets(scope["path"]),
            "network.protocol.version": scope.get("http_version", "1.1"),
            "irgan.request_id": request_id,
        }
        for name, known in (("client", scope.get("client")), ("server", scope.get("server"))):
            if known:
                attributes[f"{name}.address"] = known[0]
                if known[1] is not None:
                    attributes[f"{name}.port"] = known[1]
        # A dictionary of text is what the propagators read.
        sent = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _PROPAGATED}
        parent = propagate.extract(sent) if sent else context.Context()
        self._span = tracer.start_span(self._method, context=parent, kind=SpanKind.SERVER, attributes=attributes)
        self._token = context.attach(trace.set_span_in_context(self._span, parent))

    def fail(self, error: Exception) -> None:
        """Tell of a mistake of ours."""
        _fail(self._span, error)

    def end(self, attributes: dict[str, Any], *, route: str | None, status: int, problem: str | None) -> None:
        """Tell what became of it. A caller's mistake is no failure of the service; its kind stands in `error.type`."""
        context.detach(self._token)
        span = self._span
        if route is not None:
            span.update_name(f"{'HTTP' if self._method == '_OTHER' else self._method} {route}")
            span.set_attribute("http.route", route)
        if status:
            span.set_attribute("http.response.status_code", status)
        for name, value in attributes.items():
            span.set_attribute(f"irgan.{name}", value)
        if problem is not None:
            span.set_attribute("error.type", problem)
        if not status or status >= _FAILED:
            if problem is None:
                span.set_attribute("error.type", str(status) if status else "no answer")
            span.set_status(Status(StatusCode.ERROR))
        span.end()


def _fail(span: Span, error: BaseException) -> None:
    kind = type(error).__qualname__
    span.set_attribute("error.type", kind)
    if isinstance(error, QueryError):  # the caller's mistake; the answer says what it is
        return
    trace_of = "".join(traceback.format_exception(error))
    told = {"exception.type": kind, "exception.message": str(error), "exception.stacktrace": trace_of}
    span.add_event("exception", {name: without_secrets(text) for name, text in told.items()})
    span.set_status(Status(StatusCode.ERROR))


class _Told(SpanExporter):
    """OpenTelemetry's exporter, whose failures are told once, not at every batch."""

    def __init__(self, endpoint: str) -> None:
        self._shown = without_secrets(endpoint.partition("?")[0])
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_REASONS)  # which has it once, however often it is added
        self._exporter = OTLPSpanExporter(endpoint)
        self.is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        _REASONS.found.clear()
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self.is_failing:
            logger.warning("traces cannot be sent to %s and are lost: %s", self._shown, without_secrets(_REASONS.first))
        if self.is_failing and not failed:
            logger.info("traces are sent to %s again", self._shown)
        self.is_failing = failed
        return result

    def shutdown(self) -> None:
        """Send no more, and let what is being tried again go."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class _Reasons(logging.Filter):
    """Keeps what the exporter would log, at every attempt of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    @property
    def first(self) -> str:
        """What went wrong first; what follows is only that it was given up."""
        return self.found[0] if self.found else "no reason is given"

    def filter(self, record: logging.LogRecord) -> bool:
        """Let nothing of it through."""
        self.found.append(record.getMessage())
        return False


_REASONS = _Reasons()
