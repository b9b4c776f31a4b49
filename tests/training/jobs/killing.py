"""Retrainings that are killed before their n-th write, each in a process of its own.

    python -m tests.training.jobs.killing < orders

An order is a line `FOLDER N`: in FOLDER, where `config.toml` is, run `irgan retrain config.toml` and be killed before write number N; 0 is not
killed. What the command says goes into `FOLDER.log`. A line of JSON comes back: `code` (negative: the signal), and of a run that was not killed the number of its `writes` and at which of them a step's result
was put in place (`steps`). Everything is imported once, and each run is forked from there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What a run imports, once for all of them.
import torch.onnx
import torch.utils.tensorboard  # noqa: F401

import training.recipes.bpr
import training.recipes.cf_nade
import training.recipes.ease
import training.recipes.popularity  # noqa: F401
from app.cli import main as irgan
from training.jobs.retrain import folder as runs

WRITES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.copyfile", "shutil.rmtree"}
"""What Python tells of before it does it (PEP 578); files that are opened to be written, and fsync, are told apart below."""


def _before_each_write(strike: Callable[[str], None], folder: str) -> None:
    """Call `strike` before everything that changes something under `folder`, with what it changes where that has a name."""

    def is_there(path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(folder)  # noqa: PTH100 - no audit event

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event in WRITES and any(map(is_there, arguments)):
            strike(str(arguments[1]) if event == "os.rename" else "")
        if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR) and is_there(arguments[0]):
            strike("")

    fsync = os.fsync

    def struck_fsync(descriptor: int) -> None:
        strike("")
        fsync(descriptor)

    os.fsync = struck_fsync
    sys.addaudithook(heard)


def _run(folder: Path, kill_before: int, tell: int) -> None:
    os.chdir(folder)
    log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    runs.commit_of_code = lambda: None  # somebody may commit between two runs
    writes, steps = 0, []

    def strike(path: str) -> None:
        nonlocal writes
        writes += 1
        if "/steps/" in path:
            steps.append(writes)
        if writes == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)

    _before_each_write(strike, str(folder))
    sys.argv = ["irgan", "retrain", "config.toml"]
    try:
        irgan()
    except SystemExit as end:
        os.write(tell, json.dumps({"writes": writes, "steps": steps}).encode())
        os._exit(int(end.code or 0))


def main() -> None:
    """Obey the orders on standard input."""
    for line in sys.stdin:
        folder, kill = line.split()
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                _run(Path(folder), int(kill), write)
            finally:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
                os._exit(99)
        os.close(write)
        _, status = os.waitpid(child, 0)
        told = json.loads(os.read(read, 10_000) or "{}")
        os.close(read)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), **told}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
