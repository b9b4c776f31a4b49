"""`irgan serve` as a process of its own, for tests and measurements."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_COMMAND = (sys.executable, "-c", "from app.cli import main; main()")


def irgan(*arguments: str | Path, within: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end. `within` goes before it."""
    return subprocess.run(
        [*within, *_COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=_environment(environment),
    )


@contextmanager
def serving(
    releases: Path | str,
    *arguments: str,
    stderr: int | IO[str] = subprocess.DEVNULL,
    within: Sequence[str] = (),
    **environment: str,
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The service on a free port of 127.0.0.1, from when it listens; told to end afterwards. `within` goes before the command."""
    command = [*within, *_COMMAND, "serve", "--port", "0", "--releases", str(releases), *arguments]
    if isinstance(releases, Path):
        environment.setdefault("IRGAN_STORE", f"sqlite:///{releases.parent / 'irgan.db'}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=_environment(environment)) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        found = re.fullmatch(r"irgan answers on http://127\.0\.0\.1:(\d+)\n", told)
        try:
            assert found is not None, f"the service did not start: {told!r}"
            yield process, int(found[1])
        finally:
            process.terminate()  # harmless where it has ended
            process.wait(30)


def _environment(changes: dict[str, str]) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("IRGAN_", "OTEL_"))}
    return {**mine, "OMP_NUM_THREADS": "1", **changes}
