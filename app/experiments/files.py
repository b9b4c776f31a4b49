"""Definitions of experiments from files and from what was given beside them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.experiments.definition import Experiment
from app.experiments.errors import DefinitionInvalid


def read_definition(path: Path | None, given: Mapping[str, Any]) -> Experiment:
    """A definition.

    Args:
        path: of a JSON or TOML file (by its name's end), or None.
        given: fields that take the place of the file's.

    Raises:
        DefinitionInvalid: the file cannot be read, or what it says together with `given` is no experiment; all errors are told.
    """
    content = {} if path is None else _content(path)
    try:
        return Experiment.model_validate({**content, **given})
    except ValidationError as error:
        place = "the definition" if path is None else str(path)
        lines = [f"{'.'.join(map(str, found['loc'])) or 'as a whole'}: {_plain(found['msg'])}" for found in error.errors()]
        raise DefinitionInvalid(f"{place} is no experiment\n" + "\n".join(lines)) from error


def _content(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except FileNotFoundError as error:
        raise DefinitionInvalid(f"{path} is not there; give a JSON or TOML file, or options") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionInvalid(f"{path} cannot be read: {error}") from error
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise DefinitionInvalid(f"{path} is not {kind}: {error}") from error
    if not isinstance(found, dict):
        raise DefinitionInvalid(f"{path} holds {type(found).__name__}; expected an object with the experiment's fields")
    return found


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
