"""What a slot pointed to, and when: one line a change, and the release to go back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self, cast, get_args

Action = Literal["publish", "rollback", "found"]
"""`found`: somebody wrote the pointer by hand."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a slot's history: `TIME ACTION NAME/VERSION`.

    Attributes:
        time: when the pointer moved.
        action: why.
        release: what it points to since then.
    """

    time: datetime
    action: Action
    release: str

    @classmethod
    def now(cls, action: Action, release: str) -> Self:
        """A change that happens now."""
        return cls(datetime.now(UTC), action, release)

    @classmethod
    def parse(cls, line: str) -> Self:
        """A change from its line.

        Raises:
            ValueError: the line is none.
        """
        time, action, release = line.split(" ")
        if action not in get_args(Action):
            raise ValueError(f"unknown action {action!r}")
        return cls(datetime.fromisoformat(time), cast("Action", action), release)

    def __str__(self) -> str:
        return f"{self.time.isoformat(timespec='milliseconds')} {self.action} {self.release}"


def effective(written: Sequence[Change], pointer: str | None) -> list[Change]:
    """The changes that took place, given what the slot points to now.

    A change is written before the pointer moves, so the last one may stand for a publication that was interrupted in between.
    """
    releases = [None, *(change.release for change in written)]
    if releases[-1] == pointer:
        return list(written)
    if written and releases[-2] == pointer:
        return list(written[:-1])
    return [*written, Change.now("found", pointer)] if pointer is not None else list(written)


def previous(changes: Sequence[Change]) -> str | None:
    """The release that a rollback goes to, or None.

    A rollback undoes the latest change that is not undone yet, so each further one walks further back.
    """
    standing: list[str] = []
    for change in changes:
        if change.action == "rollback" and len(standing) > 1:
            standing.pop()
        elif not standing or standing[-1] != change.release:
            standing.append(change.release)
    return standing[-2] if len(standing) > 1 else None
