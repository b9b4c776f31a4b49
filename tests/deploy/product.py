"""What the product has, for comparing with what deployment files say: settings, commands, routes, ports."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import typer
from starlette.routing import Route

from app.cli import app as command_line
from app.main import create_app
from app.settings import Settings

OTHER_VARIABLES = {"IRGAN_CACHE_DIR", "IRGAN_DATA_DIR", "PGPASSWORD", "OMP_NUM_THREADS", "OTEL_EXPORTER_OTLP_ENDPOINT"}
"""What is read elsewhere than in the settings: by training, libpq, OpenMP and OpenTelemetry."""


def assert_variables_exist(names: Any) -> None:
    """Environment variables that nothing reads are mistakes."""
    known = {f"IRGAN_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    assert set(names) <= known, sorted(set(names) - known)


def assert_command_exists(words: list[str]) -> None:
    """`irgan` has the command, with these options and as many arguments; `words` begin after `irgan`."""
    group: Any = typer.main.get_command(command_line)
    context = group.make_context("irgan", [], resilient_parsing=True)
    name, rest = words[0], words[1:]
    command = group.get_command(context, name)
    assert command is not None, f"irgan has no command {name}"
    command.make_context(name, rest, parent=context)  # raises where it cannot be parsed


def irgan_commands(text: str) -> list[list[str]]:
    """The words behind `irgan` of all shell commands in a text that name it by itself or by a path."""
    found = re.findall(r"(?:^|[\s;&|=])(?:/[\w./-]+/)?irgan[ \t]+([a-z][^\n;|&>`#]*)", text)
    return [shlex.split(command) for command in found]


@cache
def routes() -> frozenset[str]:
    """Paths that the service answers."""
    app = create_app(Settings(releases=Path("nowhere/releases"), store="sqlite:///nowhere/irgan.db"))  # it makes neither
    return frozenset(route.path for route in app.routes if isinstance(route, Route)) | frozenset(app.openapi()["paths"])
