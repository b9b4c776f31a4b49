"""Hyper-parameters: frozen, typed, and closed to unknown keys."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict

from training.errors import ConfigError


class RankerConfig(BaseModel):
    """Base of every ranker's hyper-parameters: the identity of a model, never where or how it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


C = TypeVar("C", bound=RankerConfig)


def parse_config(kind: type[C], *, file: Path | None = None, assignments: list[str] | None = None) -> C:
    """A ranker's hyper-parameters from defaults, a TOML file and `key=value` assignments, later ones winning.

    Raises:
        ConfigError: everything that is wrong, all at once: unreadable file, unknown keys with the known ones beside them,
            impossible values.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values.update(_read_toml(file))
    for assignment in assignments or []:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {assignment!r} is no assignment; expected key=value")
        values[key.strip()] = _parse_value(text.strip())
    return config_of(kind, values)


def config_of(kind: type[C], values: Mapping[str, Any]) -> C:
    """A ranker's hyper-parameters from values; defaults for the others.

    Raises:
        ConfigError: everything that is wrong, one line each.
    """
    try:
        return kind.model_validate(values)
    except pydantic.ValidationError as error:
        raise ConfigError(_describe(kind, error)) from error


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{file}: no such file; expected a TOML file of hyper-parameters") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}; expected a TOML file of hyper-parameters") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error


def _parse_value(text: str) -> Any:
    """A value as TOML reads it; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _describe(kind: type[RankerConfig], error: pydantic.ValidationError) -> str:
    known = ", ".join(kind.model_fields)
    lines = []
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"])) or "configuration"
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown setting; known are {known}")
        else:
            lines.append(f"{key} = {problem['input']!r}: {problem['msg']}")
    return "\n".join(lines)
