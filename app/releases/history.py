"""What a slot pointed to, since when and by whom: one line a change, and the release to go back to."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self, cast, get_args

Action = Literal["publish", "promote", "rollback", "found"]
"""`found`: somebody wrote the pointer by hand."""

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a slot's history: `TIME ACTION NAME/VERSION WHO`.

    Attributes:
        time: when the pointer moved.
        action: why.
        release: what it points to since then.
        by: who moved it; empty where nobody knows.
    """

    time: datetime
    action: Action
    release: str
    by: str = ""

    @classmethod
    def now(cls, action: Action, release: str, by: str = "") -> Self:
        """A change that happens now; of the name, what does not fit into a line is left out."""
        words = " ".join(by.split())
        return cls(datetime.now(UTC), action, release, "".join(c for c in words if c.isprintable())[:_LONGEST_NAME])

    @classmethod
    def parse(cls, line: str) -> Self:
        """A change from its line.

        Raises:
            ValueError: the line is none.
        """
        time, action, release, *by = line.split(" ", 3)
        if action not in get_args(Action):
            raise ValueError(f"unknown action {action!r}")
        return cls(datetime.fromisoformat(time), cast("Action", action), release, *by)

    def __str__(self) -> str:
        return f"{self.time.isoformat(timespec='milliseconds')} {self.action} {self.release} {self.by}".rstrip()


def this_account() -> str:
    """Who this process works for: ACCOUNT@HOST."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # in a container, a number without a name
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}"


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

    A rollback undoes the latest change that is not undone yet, so each further one walks further back; one that named its release undoes all
    that came after it.
    """
    standing: list[str] = []
    for change in changes:
        if change.action == "rollback" and change.release in standing:
            while standing[-1] != change.release:
                standing.pop()
        elif not standing or standing[-1] != change.release:
            standing.append(change.release)
    return standing[-2] if len(standing) > 1 else None
