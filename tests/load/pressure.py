"""As many requests as the service can answer, by `wrk`: what failed, and how many events were acknowledged."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.load.stage import Question

CONNECTIONS = 16
_SCRIPT = Path(__file__).with_name("mix.lua")
_TIMEOUT_SECONDS = 30
"""A request that takes longer has failed."""
_LONGEST_SECONDS = 24 * 60 * 60
"""Of a block."""


@dataclass(slots=True)
class Pressure:
    """What `wrk` counted, milliseconds and seconds among it."""

    requests: int = 0
    connect: int = 0
    read: int = 0
    write: int = 0
    timeout: int = 0
    status: int = 0
    """Answers that were neither 2xx nor 3xx."""
    acknowledged: int = 0
    """Events."""
    seconds: float = 0.0
    p50: float = 0.0
    p99: float = 0.0

    @property
    def failed(self) -> int:
        """Requests that were not answered, or not well."""
        return self.connect + self.read + self.write + self.timeout + self.status

    def told(self, line: str) -> None:
        """Take over what the script wrote."""
        for name, value in json.loads(line).items():
            setattr(self, name, value)


def is_there() -> bool:
    """Whether `wrk` is installed."""
    return shutil.which("wrk") is not None


@contextmanager
def pressing(port: int, questions: Sequence[Question], folder: Path) -> Iterator[Pressure]:
    """Pressure while the block runs.

    Args:
        port: of the service.
        questions: sent in turn over all connections.
        folder: for the script's file.
    """
    file = folder / "questions.tsv"
    file.write_text("".join(f"{one.method}\t{one.path}\t{one.body}\n" for one in questions), encoding="utf-8")
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{_LONGEST_SECONDS}s"]
    command += ["--timeout", f"{_TIMEOUT_SECONDS}s", "--script", str(_SCRIPT), f"http://127.0.0.1:{port}", "--", str(file)]
    found = Pressure()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield found
        except BaseException:
            process.kill()
            raise
        assert process.poll() is None, process.communicate()[0]
        process.send_signal(signal.SIGINT)  # it ends and tells
        output = process.communicate()[0]
    lines = [line for line in output.splitlines() if line.startswith("{")]
    assert process.returncode == 0 and len(lines) == 1, output
    found.told(lines[0])
