"""Where spans begin and end. Nothing happens here while traces are off, and nothing of OpenTelemetry is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol
from urllib.parse import urlsplit

from app.errors import SettingsInvalid

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered."""

_NOTHING: AbstractContextManager[None] = nullcontext()


class RequestSpan(Protocol):
    """One request, from its first byte to the last of its answer."""

    def fail(self, error: Exception) -> None:
        """Tell of a mistake of ours."""

    def end(self, attributes: dict[str, Any], *, route: str | None, status: int, problem: str | None) -> None:
        """Tell what became of it."""


class Tracer(Protocol):
    """What makes spans while traces are on."""

    def span(self, name: str, attributes: dict[str, Any], links: list[Any] | None) -> AbstractContextManager[None]:
        """A part of what is being done; an error that leaves the block is told."""

    def request(self, scope: Any, request_id: str) -> RequestSpan | None:
        """A request; None for one that is not worth a trace."""

    def here(self) -> tuple[str, str] | None:
        """The trace and the span that is being worked on, in hexadecimal digits."""

    def current(self) -> Any:
        """The same, for links."""


_tracer: Tracer | None = None


def trace_with(tracer: Tracer | None) -> None:
    """Make spans from now on; with None, no more."""
    global _tracer  # noqa: PLW0603 - all parts of a process tell one story
    _tracer = tracer


def span(name: str, *, links: list[Any] | None = None, **attributes: Any) -> AbstractContextManager[None]:
    """A part of what is being done, that takes time.

    Args:
        name: what it is.
        links: what `current` gave to those whom it is done for.
        **attributes: what to know of it; named `irgan.NAME` in the trace.
    """
    return _NOTHING if _tracer is None else _tracer.span(name, attributes, links)


def request_span(scope: Any, request_id: str) -> RequestSpan | None:
    """A request that begins; None where there is to be no trace of it."""
    return None if _tracer is None else _tracer.request(scope, request_id)


def here() -> tuple[str, str] | None:
    """The trace and the span that is being worked on; None where there are none."""
    return None if _tracer is None else _tracer.here()


def current() -> Any:
    """The span that is being worked on, for the links of another; None where there is none."""
    return None if _tracer is None else _tracer.current()


@contextmanager
def traced(environment: Mapping[str, str]) -> Iterator[None]:
    """Send traces while the block runs, if OpenTelemetry's variables ask for that.

    Raises:
        SettingsInvalid: they ask for what is not supported.
        ExtraMissing: they ask for traces, and the libraries are not installed.
    """
    endpoint = _endpoint(environment)
    if endpoint is None:
        yield
        return
    from app.telemetry.exporting import Traces  # noqa: PLC0415 - heavy, and of an extra

    traces = Traces(endpoint)
    traces.start()
    try:
        yield
    finally:
        traces.close()


def _endpoint(environment: Mapping[str, str]) -> str | None:
    """Where traces go; None where there shall be none."""
    name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    endpoint = environment.get(name, "")
    if not endpoint:
        name = "OTEL_EXPORTER_OTLP_ENDPOINT"
        base = environment.get(name, "")
        endpoint = f"{base.rstrip('/')}/v1/traces" if base else ""
    exporter = (environment.get("OTEL_TRACES_EXPORTER") or "otlp").strip().lower()
    if not endpoint or exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if exporter != "otlp":
        raise SettingsInvalid(f"OTEL_TRACES_EXPORTER={exporter}: traces leave by otlp, or not at all: none")
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol and protocol != "http/protobuf":
        raise SettingsInvalid(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: expected http/protobuf, at port 4318 by custom")
    try:
        parts = urlsplit(endpoint)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingsInvalid(f"{name} is no address; expected such as http://localhost:4318")
    return endpoint
