"""Where spans begin and end. Nothing happens here while traces are off, and nothing of OpenTelemetry is imported."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

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
