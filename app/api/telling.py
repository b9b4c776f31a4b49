"""What the access log and traces say of a request, beside its time."""

from __future__ import annotations

import logging
import re
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from app.api.metrics import Metrics
from app.experiments.plan import Assigned
from app.releases import Release
from app.telemetry import here

logger = logging.getLogger("app.access")

SEVERAL = "several"
"""What stands for answers of one request that differ."""
_ANSWER = ("ranker", "release", "fallback", "experiment", "variant")
_CALLERS = {
    b"x-request-id": ("caller_request_id", re.compile(rb"[\x21-\x7e]{1,128}")),
    b"traceparent": ("traceparent", re.compile(rb"[0-9a-f]{2}(-[0-9a-f]{2,32}){3}")),
}
"""What callers call the request. It is only repeated: events are credited by the id that the service gives."""


def note(request: Request, release: Release, assigned: Assigned | None, fallback: str | None) -> None:
    """Remember what answered, and count it.

    Args:
        request: that was answered.
        release: that ranked.
        assigned: the part in an experiment.
        fallback: what ranked instead of the ranker, or of the variant, if anything did.
    """
    metrics: Metrics = request.app.state.metrics
    metrics.ranked(release.ranker)
    state = request.scope["state"]
    if "release" in state:  # one of several answers
        part = (None, None) if assigned is None else (assigned.part.experiment, assigned.part.variant)
        for name, value in zip(_ANSWER[1:], (release.name, fallback, *part), strict=True):
            if state.get(name) != value:
                state[name] = SEVERAL
        return
    state["release"], state["fallback"] = release.name, fallback
    if assigned is not None:
        state["experiment"], state["variant"] = assigned.part.experiment, assigned.part.variant


def noted(state: dict[str, Any]) -> dict[str, str]:
    """What answered, as far as it is known."""
    return {name: value for name in _ANSWER if (value := state.get(name))}


def log_answer(scope: Scope, *, route: str | None, status: int, seconds: float) -> None:
    """One line of the access log. The path is told as it came, and nothing behind its question mark."""
    state = scope["state"]
    path = scope.get("raw_path") or scope["path"].encode("utf-8", "backslashreplace")
    fields = {
        "method": scope["method"],
        "path": path.partition(b"?")[0].decode("ascii", "backslashreplace"),
        "status": status,
        "route": route,
        "milliseconds": round(seconds * 1e3, 3),
        **noted(state),
        "problem": state.get("problem"),
        "client": scope["client"][0] if scope.get("client") else None,
        "key": state.get("key"),
        **callers(scope),
    }
    told = {name: value for name, value in fields.items() if value is not None}
    logger.info("%s %s %s", told["method"], told["path"], status or "no answer", extra={"fields": told})


def callers(scope: Scope) -> dict[str, str]:
    """What the caller calls the request, where that can be repeated; a trace that is gone on with stands in every line already."""
    found = {}
    for name, value in scope["headers"]:
        if name in _CALLERS:
            called, form = _CALLERS[name]
            if form.fullmatch(value) is not None and (called != "traceparent" or here() is None):
                found[called] = value.decode("ascii")
    return found
