"""Lines of the log: their form, what they know of the request, and a stderr that takes nothing."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import thread_time

import pytest

from app.telemetry import REQUEST_ID, JsonLines, Lines, OneLine, log_to_stderr, logs, tell_crashes, without_secrets

NASTY = ["a\nERROR b", "a\r\nERROR b", "a\x1b[2Jb", "a\x00b", "a\u2028ERROR b", "a\x85ERROR b", "a\x9b2Jb", 'a" b=c', "\ud800"]


@pytest.fixture(params=[OneLine, JsonLines])
def form(request: pytest.FixtureRequest) -> logging.Formatter:
    return OneLine("%(levelname)s %(message)s") if request.param is OneLine else JsonLines()


@pytest.fixture
def log(form: logging.Formatter) -> tuple[logging.Logger, io.StringIO]:
    """A log of one form, and what is in it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(form)
    logger = logging.Logger("test.log")
    logger.addHandler(handler)
    return logger, written


@pytest.fixture
def answering() -> Iterator[str]:
    """As while a request is answered."""
    token = REQUEST_ID.set("0123abcd")
    yield "0123abcd"
    REQUEST_ID.reset(token)


def told(log: tuple[logging.Logger, io.StringIO]) -> dict:
    (line,) = log[1].getvalue().splitlines()
    return json.loads(line)


@pytest.mark.parametrize("text", NASTY)
def test_whatever_stands_in_it_a_record_is_one_line_of_printable_characters(log, text):
    logger, written = log
    logger.warning("user %s", text, extra={"fields": {"path": text}})
    line = written.getvalue().removesuffix("\n")
    assert "\n" not in line and line.encode("utf-8", "surrogatepass").decode("utf-8", "replace").isprintable()
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("form", [JsonLines()], indirect=False)
def test_json_has_the_fields_that_machines_read(log, answering):
    logger, _ = log
    logger.info("hello %s", "world", extra={"fields": {"status": 200, "path": "/v1/ä"}})
    found = told(log)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {
        "level": "info",
        "logger": "test.log",
        "message": "hello world",
        "request_id": answering,
        "status": 200,
        "path": "/v1/ä",
    }


@pytest.mark.parametrize("form", [JsonLines()], indirect=False)
def test_an_exception_is_one_field_of_json(log):
    try:
        raise ValueError("a\nb")
    except ValueError:
        log[0].exception("it failed")
    found = told(log)
    assert found["message"] == "it failed" and found["level"] == "error"
    assert found["exception"].startswith("Traceback (most recent call last):\n") and found["exception"].endswith(
        "ValueError: a\nb"
    )


def test_an_exception_in_text_is_indented_and_moves_no_cursor():
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    try:
        raise ValueError("a\x1b[2J\nERROR b")
    except ValueError:
        handler.handle(logging.LogRecord("x", logging.ERROR, "x", 1, "it failed", None, sys.exc_info()))
    first, *others = written.getvalue().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ERROR it failed", first)
    assert others and all(line.startswith("  ") and line.isprintable() for line in others)


def test_every_line_knows_the_request_that_is_answered(log, answering):
    logger, written = log
    logger.warning("slow")
    assert answering in written.getvalue()


def test_text_tells_further_fields_by_name():
    line = OneLine("%(message)s").format(
        logging.makeLogRecord(
            {"msg": "GET /x 200", "fields": {"status": 200, "ranker": "bpr", "key": "the shop's", "none": ""}}
        )
    )
    assert line == 'GET /x 200 ranker=bpr key="the shop\'s" none=""'


SECRETS = {
    "a key": ("sent irgan_0123456789abcdefghijklmnopqrstuvwxyz-ABCDEF today", "0123456789abc"),
    "a header": ("Authorization: Bearer abcdefghijkl.mnop", "abcdefghijkl"),
    "a header of another kind": ("'authorization': 'Basic dXNlcjpodW50ZXIy'", "dXNlcjpod"),
    "a password in an address": ("cannot reach postgresql://irgan:hunter2@db/irgan?sslmode=require", "hunter2"),
    "a password with an @": ("postgresql+psycopg://irgan:hun@ter2@db/irgan", "ter2"),
    "a password by its name": ("host=db password=hunter2 user=irgan", "hunter2"),
    "a password in quotes": ("{'password': 'hunter2 and more', 'host': 'db'}", "hunter2"),
    "PostgreSQL's variable": ("PGPASSWORD=hunter2", "hunter2"),
    "a store's secret": ("aws_secret_access_key='hunter2'", "hunter2"),
}


@pytest.mark.parametrize("case", SECRETS)
def test_secrets_are_in_no_line_wherever_they_were(log, case):
    """In the message, in fields, and in the text of an exception, that a library may have made."""
    logger, written = log
    text, secret = SECRETS[case]
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("it failed: %s", text, extra={"fields": {"path": text}})
    assert secret not in written.getvalue()
    assert "***" in written.getvalue()


@pytest.mark.parametrize(
    "text", ["token 5 of 8", "see https://irgan.example/docs", "tokenizer.json", "the irgan_requests_total metric", "u@x"]
)
def test_what_is_no_secret_stays(log, text):
    logger, written = log
    logger.warning("%s", text)
    assert text in written.getvalue()


@pytest.mark.parametrize("part", ["a.", "a://b:", "secret_", "password", "password='", "bearer ", "passwd  ", "a=secret"])
def test_a_long_path_holds_nobody_up(part):
    """Looking for secrets reads a text of 64 KiB, the most that anybody can send in a path, once: over and over takes up to half a minute."""
    text = (part * 2**16)[: 2**16] + "! ://@"
    started = thread_time()
    without_secrets(text)
    assert thread_time() - started < 1


def emit(lines: Lines, text: str) -> None:
    lines.handle(logging.makeLogRecord({"msg": text, "name": "x"}))


@pytest.fixture
def pipe() -> Iterator[tuple[int, Callable[[], bytes], Lines]]:
    """A pipe: its reading end, a way to empty it, and lines that go into it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def read() -> bytes:
        found = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(reading, 65536):
                found += part
        return found

    yield reading, read, Lines(writing)
    os.close(writing)
    with contextlib.suppress(OSError):  # a test has closed it
        os.close(reading)


def test_a_reader_that_sleeps_holds_nobody_up_and_what_it_missed_is_counted(pipe):
    """Without the look before writing, this test would never end."""
    _, read, lines = pipe
    sent = [f"{number:0999d}" for number in range(1000)]
    for line in sent:
        emit(lines, line)
    arrived = read().decode().splitlines()
    assert 0 < len(arrived) < 1000 and arrived == sent[: len(arrived)]
    assert lines.num_lost == 1000 - len(arrived)
    emit(lines, "awake")
    assert read() == b"awake\n"


def test_a_line_that_was_cut_does_not_run_into_the_next(pipe):
    _, read, lines = pipe
    emit(lines, "x" * 1_000_000)
    emit(lines, "lost")
    assert lines.num_lost == 2
    assert set(read()) == set(b"x")
    emit(lines, "whole")
    assert read() == b"\nwhole\n"


def test_long_lines_arrive_whole(tmp_path):
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    lines = Lines(file)
    emit(lines, "ä" * 10_000)
    os.close(file)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "ä" * 10_000 + "\n"
    assert lines.num_lost == 0


def test_a_closed_pipe_and_a_closed_file_are_no_error(pipe):
    reading, _, lines = pipe
    os.close(reading)
    emit(lines, "nobody reads")
    assert lines.num_lost == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_no_error():
    file = os.open("/dev/full", os.O_WRONLY)
    lines = Lines(file)
    emit(lines, "no room")
    os.close(file)
    emit(lines, "no file")
    assert lines.num_lost == 2


def test_a_record_that_cannot_be_put_together_still_tells_where_it_is(pipe):
    _, read, lines = pipe
    lines.handle(logging.makeLogRecord({"msg": "%d", "args": ("x",), "name": "app.x", "pathname": "x.py", "lineno": 7}))
    assert read() == b"app.x: x.py:7 cannot be logged: TypeError\n"


def test_without_stderr_there_is_no_log(monkeypatch):
    """Its number may be that of the store's file by then."""
    monkeypatch.setattr(sys, "stderr", None)
    before = logging.getLogger().handlers[:]
    log_to_stderr("text", "info")
    assert logging.getLogger().handlers == before


def test_what_stands_in_for_stderr_has_the_log_to_itself(capsys):
    """As where the command runs within another program: nothing of its logging is changed."""
    root, ours = logging.getLogger(), logging.getLogger("app")
    before = root.handlers[:], root.level, ours.level
    log_to_stderr("json", "debug")
    assert (root.handlers, root.level, ours.level) == before


def test_details_are_told_by_our_own_parts_alone(monkeypatch, capfd):
    """Clients of object stores tell what they authorize by where they are asked for details."""
    root, ours = logging.getLogger(), logging.getLogger("app")
    before = root.handlers[:], root.level, ours.level
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    root.handlers = []
    try:
        log_to_stderr("json", "debug")
        logging.getLogger("botocore.auth").debug("a signature")
        logging.getLogger("app.test").debug("a detail")
        logging.getLogger("botocore.auth").warning("a warning")
    finally:
        root.handlers, root.level, ours.level = before
        logging.captureWarnings(capture=False)
        monkeypatch.setattr(logs, "_lines", None)
    assert [json.loads(line)["message"] for line in capfd.readouterr().err.splitlines()] == ["a detail", "a warning"]


def test_what_ends_a_thread_is_in_the_log(monkeypatch, caplog):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    tell_crashes()
    thread = threading.Thread(target=lambda: 1 / 0, name="counting")
    thread.start()
    thread.join()
    sys.excepthook(KeyError, KeyError("x"), None)
    assert [record.getMessage() for record in caplog.records] == ["thread counting ends", "the process ends"]
    assert "ZeroDivisionError" in caplog.text
