"""What changing a folder of releases takes: one process at a time, and names that go before what they name."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

from app.bundle import sync_folder
from app.releases.errors import ReleasesBusy

_LOOK_SECONDS = 0.02
"""How often to look whether the lock is free, for who does not wait for it without end."""


@contextmanager
def locked(folder: Path, patience: float | None) -> Iterator[None]:
    """Wait until no other process changes anything in a folder; the lock ends with the process, however it ends.

    Args:
        folder: made if it is not there.
        patience: seconds to wait; None waits until the others are done.

    Raises:
        ReleasesBusy: another process goes on for longer than that.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as file:
        if patience is None:
            fcntl.flock(file, fcntl.LOCK_EX)
        else:
            _lock_within(patience, file.fileno(), folder)
        yield


def set_aside(path: Path) -> Path:
    """Give a folder a name that nobody looks for, durably, before it is deleted: it is never half there."""
    aside = path.rename(path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp"))
    sync_folder(path.parent)
    return aside


@contextmanager
def replacing_folder(path: Path) -> Iterator[None]:
    """Let a block put another folder in the place of one, where there is one; where the block fails the old one comes back."""
    aside = set_aside(path) if path.exists() else None
    try:
        yield
    except BaseException:
        if aside is not None:
            aside.rename(path)
        raise
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _lock_within(seconds: float, descriptor: int, folder: Path) -> None:
    until = monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > until:
                raise ReleasesBusy(
                    f"another process is changing the releases in {folder}, publishing perhaps; nothing has changed; try again"
                ) from None
            sleep(_LOOK_SECONDS)
        else:
            return
