"""Lines of the log, as text or as JSON: one record is one line, whoever sent what stands in it, and writing it holds nobody up."""

from __future__ import annotations

import json
import logging
import os
import re
import select
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, Literal

from app.telemetry.secrets import without_secrets
from app.telemetry.tracing import REQUEST_ID, here

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_PART = 4096
"""Bytes that a pipe takes whole and at once if it takes any (PIPE_BUF)."""
_PATIENCE_MS = 50
"""So long a line waits for a reader that is behind; one that has not moved then is not waited for again until it does."""
_ESCAPED = {code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}

_WORD = re.compile(r"[!#-<>-~]+")
_encoded = json.JSONEncoder(default=str).encode

_logger = logging.getLogger(__name__)
_lines: Lines | None = None


def log_to_stderr(form: LogFormat, level: LogLevel) -> None:
    """Show what all loggers log from a level on, and warnings of libraries; where there is no stderr, nothing.

    Details (`debug`) are told by our own parts alone: those of clients of object stores hold what they authorize by.
    """
    global _lines  # noqa: PLW0603 - there is one stderr
    if sys.stderr is None:  # its number may be that of another file by now
        return
    try:
        _lines = Lines(sys.stderr.fileno())
    except OSError:  # who has put something else there sees to the log too
        return
    _lines.setFormatter(JsonLines() if form == "json" else OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=max(logging.INFO, logging.getLevelName(level.upper())), handlers=[_lines])
    logging.getLogger("app").setLevel(level.upper())
    logging.captureWarnings(capture=True)


def num_lines_lost() -> int:
    """Lines that stderr did not take."""
    return 0 if _lines is None else _lines.num_lost


def tell_crashes() -> None:
    """Have what ends the process, or one of its threads, in the log like everything else."""

    def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _logger.critical("the process ends", exc_info=(kind, error, trace))

    def thread_crashed(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None:
            name = "?" if told.thread is None else told.thread.name
            _logger.error("thread %s ends", name, exc_info=(told.exc_type, told.exc_value, told.exc_traceback))

    sys.excepthook, threading.excepthook = crashed, thread_crashed


class Lines(logging.Handler):
    """Writes lines to a file that may be full, closed, or a pipe whose reader sleeps: the line is lost then and counted, and that is all.

    Args:
        file: its number.

    Attributes:
        num_lost: lines that it did not take.
    """

    def __init__(self, file: int) -> None:
        super().__init__()
        self._file = file
        self._poll = select.poll()
        self._poll.register(file, select.POLLOUT)
        self._is_stuck = False
        self._is_cut = False
        self.num_lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        try:
            line = self.format(record)
        except Exception as error:  # a mistake of ours in the call; the line still tells where it is
            line = f"{record.name}: {record.pathname}:{record.lineno} cannot be logged: {type(error).__name__}"
        line = f"\n{line}\n" if self._is_cut else f"{line}\n"
        left = memoryview(line.encode("utf-8", "backslashreplace"))
        whole = len(left)
        try:
            while left and self._takes():
                left = left[os.write(self._file, left[:_PART]) :]
        except OSError:
            pass
        if left:
            self.num_lost += 1
            self._is_cut |= len(left) < whole
        else:
            self._is_cut = False

    def _takes(self) -> bool:
        """Whether writing would not wait."""
        takes = bool(self._poll.poll(0 if self._is_stuck else _PATIENCE_MS))
        self._is_stuck = not takes
        return takes


class _Lines(logging.Formatter):
    """What both forms share."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - the base class's
        """RFC 3339, UTC, milliseconds."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return f"{time.removesuffix('+00:00')}Z"

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the base class's name
        """The traceback, but for secrets."""
        return without_secrets(super().formatException(ei))


class OneLine(_Lines):
    """Keeps what callers sent from looking like lines of the log: control characters are escaped, lines of tracebacks indented."""

    _SAID: ClassVar = frozenset(("method", "path", "status"))
    """Fields that stand in the message."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """One line; what else is known stands behind the message as NAME=VALUE."""
        told = [f" {name}={_word(value)}" for name, value in _known_of(record).items() if name not in self._SAID]
        return without_secrets(super().formatMessage(record) + "".join(told)).translate(_ESCAPED)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - likewise
        """Lines that no message begins like."""
        return "\n".join(f"  {line.translate(_ESCAPED)}" for line in super().formatException(ei).splitlines())


class JsonLines(_Lines):
    """One JSON object a line, in ASCII, so that nothing in it can look like the end of a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        told: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            **{name: without_secrets(value) if isinstance(value, str) else value for name, value in _known_of(record).items()},
        }
        if record.exc_info and record.exc_info[0] is not None:
            told["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = without_secrets(record.stack_info)
        return _encoded(told)


def _known_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record tells beside its message: the request that is being answered, its trace, and fields of its own."""
    told: dict[str, Any] = {}
    if request_id := REQUEST_ID.get():
        told["request_id"] = request_id
    if (trace := here()) is not None:
        told["trace_id"], told["span_id"] = trace
    told |= getattr(record, "fields", {})
    return told


def _word(value: object) -> str:
    text = str(value)
    return text if _WORD.fullmatch(text) else json.dumps(text)
