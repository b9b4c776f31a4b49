"""A disk of a few megabytes, which tests may fill."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system in memory that only some processes see.

    Attributes:
        path: where those see it.
        seen: where everybody else does.
        within: what goes before a command so that it sees it.
    """

    path: Path
    seen: Path
    within: tuple[str, ...]

    def fill(self, *, leaving: int = 0) -> None:
        """Leave not a byte, or some."""
        with (self.seen / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(2**16))
        with (self.seen / "filler").open("r+b") as file:
            file.truncate(max(0, file.seek(0, 2) - leaving))

    def clear(self) -> None:
        """Make room again."""
        (self.seen / "filler").unlink()

    def room(self) -> int:
        """Bytes that are left."""
        found = os.statvfs(self.seen)
        return found.f_bavail * found.f_frsize


@contextmanager
def small_disk(mount_point: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount one; skips where that is not allowed."""
    mount_point.mkdir()
    if shutil.which("unshare") is None or shutil.which("nsenter") is None or os.geteuid() != 0:
        pytest.skip("a disk of a few megabytes needs root, unshare and nsenter (Debian: apt-get install util-linux)")
    mount = 'mount -t tmpfs -o "size=$1m" tmpfs "$2" && echo ready && exec sleep 3600'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", str(megabytes), str(mount_point)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != "ready\n":
                pytest.skip("a disk of a few megabytes cannot be mounted here")
            seen = Path(f"/proc/{holder.pid}/root{mount_point}")
            yield SmallDisk(mount_point, seen, ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--"))
        finally:
            holder.kill()
