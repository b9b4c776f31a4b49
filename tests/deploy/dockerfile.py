"""Reading a Dockerfile: its stages, their instructions, and what its build context holds."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Stage:
    """From one FROM to the next."""

    base: str
    name: str | None
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [value for name, value in self.instructions if name == keyword]

    def last(self, keyword: str) -> str:
        return self.all(keyword)[-1]

    def listed(self, keyword: str) -> Any:
        """What stands behind the last of them, as JSON."""
        return json.loads(self.last(keyword))

    def environment(self) -> dict[str, str]:
        pairs = [re.fullmatch(r"(\w+)=(.*)", pair) for value in self.all("ENV") for pair in value.split()]
        assert all(pairs)
        return {pair[1]: pair[2] for pair in pairs if pair is not None}

    def copied(self) -> list[tuple[list[str], str]]:
        """Sources and target of each COPY out of the build context."""
        copies = [value.split() for value in self.all("COPY") if not value.startswith("--from=")]
        return [(sources, target) for *sources, target in copies]


def read_dockerfile(path: Path) -> list[Stage]:
    """Its stages; lines that go on are one."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"[ \t]*\\\n[ \t]*", " ", "\n".join(lines)).splitlines():
        keyword, _, value = line.partition(" ")
        if keyword == "FROM":
            base, _, name = value.partition(" AS ")
            stages.append(Stage(base, name or None))
        else:
            stages[-1].instructions.append((keyword, value.strip()))
    return stages


def let_through(path: str, ignore: Path) -> bool:
    """Whether a .dockerignore leaves a path in the build context; of its patterns the last that fits counts."""
    kept = True
    for line in ignore.read_text(encoding="utf-8").splitlines():
        if _fits(path.split("/"), line.removeprefix("!")):
            kept = line.startswith("!")
    return kept


def _fits(parts: list[str], pattern: str) -> bool:
    """Whether a pattern means a path or a folder above it."""
    if pattern.startswith("**/"):
        return any(fnmatch(part, pattern.removeprefix("**/")) for part in parts)
    wanted = pattern.split("/")
    return len(parts) >= len(wanted) and all(map(fnmatch, parts, wanted))
