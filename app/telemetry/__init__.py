"""What the service tells of itself while it works: lines of the log, and spans of traces. See `docs/operations.md`.

Every part of the service may use it, so it knows none of them, and what is switched off costs next to nothing.
"""

from app.telemetry.environment import traced
from app.telemetry.logs import JsonLines, Lines, OneLine, log_to_stderr, num_lines_lost, tell_crashes
from app.telemetry.secrets import without_secrets
from app.telemetry.tracing import REQUEST_ID, current, here, request_span, span

__all__ = [
    "REQUEST_ID",
    "JsonLines",
    "Lines",
    "OneLine",
    "current",
    "here",
    "log_to_stderr",
    "num_lines_lost",
    "request_span",
    "span",
    "tell_crashes",
    "traced",
    "without_secrets",
]
