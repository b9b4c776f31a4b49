"""Around every request: its id, its time, and a last word if it fails."""

from __future__ import annotations

import logging
import os
from time import perf_counter, time_ns
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.metrics import Metrics
from app.api.problems import internal_problem
from app.api.telling import callers, log_answer, noted
from app.telemetry import REQUEST_ID, request_span

logger = logging.getLogger(__name__)

_SAFER = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
"""What browsers shall not do with an answer: guess another type, tell other sites of its address, show it within their pages."""
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def new_request_id() -> str:
    """32 hexadecimal digits that nobody can guess; a later millisecond's are greater.

    So the store's index of them grows at its end. With ids all over it, each row of a thousand that are written together changes a page of
    its own, which costs several times as much and grows with the table.
    """
    return ((time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)).hex()


class Observed:
    """Gives each request an id, measures it, and answers for mistakes of ours.

    A plain ASGI class: the usual base class costs a task and two queues per request. The id is always new, never the caller's, since
    events are credited by it.

    Args:
        app: what answers.
        metrics: where requests are counted.
        access_log: whether each has a line in the log.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, access_log: bool = False) -> None:
        self._app = app
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        request_id = new_request_id()
        state = scope["state"] = {**scope.get("state", {}), "request_id": request_id, "started": started}
        token = REQUEST_ID.set(request_id)
        trace = request_span(scope, request_id)
        status = 0
        self._metrics.num_in_progress += 1

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += ((b"x-request-id", request_id.encode()), *_SAFER)
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except ClientDisconnect:
            status = status or 499  # nobody is left to answer; the number is nginx's for this
        except Exception as error:
            logger.exception("request %s failed", request_id, extra={"fields": callers(scope)})
            if trace is not None:
                trace.fail(error)
            if status:
                raise  # half an answer is out: only closing the connection tells the caller
            await internal_problem(Request(scope))(scope, receive, observed)
        finally:
            self._metrics.num_in_progress -= 1
            matched = scope.get("route")
            route = None if matched is None else matched.path
            seconds = perf_counter() - started
            self._observe(scope, state, route, status, seconds)
            if self._access_log:
                log_answer(scope, route=route, status=status, seconds=seconds)
            if trace is not None:
                trace.end(noted(state), route=route, status=status, problem=state.get("problem"))
            REQUEST_ID.reset(token)

    def _observe(self, scope: Scope, state: dict[str, Any], route: str | None, status: int, seconds: float) -> None:
        # Labels are bounded: whatever a caller invents counts as one.
        self._metrics.observe(
            method=scope["method"] if scope["method"] in _METHODS else "other",
            route="unmatched" if route is None else route,
            status=status,
            ranker=state.get("ranker", ""),
            seconds=seconds,
        )
        if "problem" in state:
            self._metrics.problem(state["problem"])
