"""What commands of training log to stderr."""

from __future__ import annotations

import json
import logging
from datetime import datetime

import pytest

from training.cli.options import log_to_stderr


@pytest.mark.parametrize("form", ["text", "json", None])
def test_commands_log_as_the_service_does_where_a_form_is_asked_for(form, monkeypatch, capsys):
    monkeypatch.delenv("IRGAN_LOG_FORMAT", raising=False)
    if form is not None:
        monkeypatch.setenv("IRGAN_LOG_FORMAT", form)
    with log_to_stderr("training"):
        logging.getLogger("training.jobs").info("two\nlines")
    told = capsys.readouterr().err
    if form == "json":
        line = json.loads(told)
        assert (line["message"], line["level"], line["logger"]) == ("two\nlines", "info", "training.jobs")
        assert told.count("\n") == 1
    elif form == "text":
        time, line = told.split(" ", maxsplit=1)
        assert datetime.fromisoformat(time)
        assert line == "INFO training.jobs: two\\nlines\n"
    else:
        assert told == "two\nlines\n"
