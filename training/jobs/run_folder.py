"""The folder of one training run: checkpoints, curves, logs, and whose they are."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.bundle import write_file
from training.errors import ConfigError, InputError

_IDENTITY = "run.json"
_LOCK = ".lock"


def make_folder(folder: Path) -> None:
    """Make a folder if need be, before there is work to lose.

    Raises:
        InputError: it cannot be a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{folder} is no folder; choose another --run-dir") from error


@contextmanager
def run_folder(folder: Path, identity: dict[str, Any], *, resume: bool) -> Iterator[Path]:
    """Take a folder for a run, so that no other process does, and note whose it is.

    Without `resume`, what an earlier run left there is removed. With it, the earlier run must have been the same.

    Args:
        folder: made if need be.
        identity: what makes a run the same: ranker, hyper-parameters, data and seed; JSON values only.
        resume: go on from what is there.

    Raises:
        ConfigError: to resume, and the run there was another one.
        InputError: another process is at work there, or it cannot be a folder.
    """
    make_folder(folder)
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another process trains in {folder}; wait for it, or choose another --run-dir") from error
        if resume:
            _check(folder, identity)
        else:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
            shutil.rmtree(folder / "tensorboard", ignore_errors=True)
        write_file(folder / _IDENTITY, json.dumps(identity, indent=1, sort_keys=True).encode())
        yield folder


def _check(folder: Path, identity: dict[str, Any]) -> None:
    try:
        earlier = dict(json.loads((folder / _IDENTITY).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return  # nothing to resume: it starts from the beginning
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{folder / _IDENTITY} cannot be read: {error}; leave out --resume to start again") from error
    wanted = json.loads(json.dumps(identity))
    if earlier != wanted:
        raise ConfigError(
            f"{folder} is another run's: {', '.join(_differences(earlier, wanted))} differ; "
            "choose another --run-dir, or leave out --resume to start again"
        )


def _differences(earlier: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What differs between two runs, and of settings which ones."""
    told = []
    for key in _changed(earlier, wanted):
        was, is_now = earlier.get(key), wanted.get(key)
        if isinstance(was, dict) and isinstance(is_now, dict):
            told.append(f"{key} ({', '.join(_changed(was, is_now))})")
        else:
            told.append(key)
    return told


def _changed(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
