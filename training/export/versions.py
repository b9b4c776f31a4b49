"""What tells bundles of the same name apart."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stamp:
    """When and by which code a bundle is made, where that must not depend on the moment of writing.

    A job that was interrupted and goes on then writes the same bytes.

    Attributes:
        time: in UTC.
        commit: as of `commit_of_code`.
    """

    time: datetime
    commit: str | None


def version_of(digest: hashlib._Hash, time: datetime | None = None) -> str:
    """The time (by default now), and the first digits of a hash over what was learned."""
    return f"{time or datetime.now(UTC):%Y%m%dt%H%M%S.%fz}-{digest.hexdigest()[:8]}"


def commit_of_code() -> str | None:
    """The revision of the code, where it runs from a checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603 - no outside input
    except (OSError, subprocess.TimeoutExpired):
        return None
    return finished.stdout.strip() if finished.returncode == 0 else None
