"""Steps whose results outlive the process: each is written whole under the identity of what went into it, and not done again."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.bundle import write_file

_log = logging.getLogger(__name__)

Result = dict[str, Any]
"""JSON values only."""


def identity_of(value: Any) -> str:
    """SHA-256 of JSON values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Steps:
    """The steps of one run.

    Args:
        folder: a file for each, made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seconds: dict[str, float] = {}
        """How long each took, also those done before."""

    def take(self, name: str, inputs: Any, work: Callable[[], Result]) -> Result:
        """The result of a step: what an earlier process wrote, if it came of the same inputs, or else what `work` gives.

        Args:
            name: of the step and its file.
            inputs: everything that the result depends on; JSON values only.
            work: does it; leaves nothing that a second call would trip over.
        """
        path, identity = self._path(name), identity_of(inputs)
        found = self._found(path)
        if found is None or found["identity"] != identity:
            _log.info("step %s", name)
            started = time.perf_counter()
            result = work()
            found = {"identity": identity, "seconds": round(time.perf_counter() - started, 3), "result": result}
            write_file(path, json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False).encode())
        else:
            _log.info("step %s: done before", name)
        self.seconds[name] = found["seconds"]
        return dict(found["result"])

    def result(self, name: str) -> Result | None:
        """What a step gave, of whatever inputs; None where it was not done."""
        found = self._found(self._path(name))
        return None if found is None else dict(found["result"])

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _found(self, path: Path) -> dict[str, Any] | None:
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
