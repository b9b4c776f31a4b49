"""What the slots of an object store point to: numbered objects that never change, the last of which counts."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from uuid import uuid4

from app.releases.errors import ReleasesUnreachable, ReleasesUnusable, SlotInvalid
from app.releases.history import Change
from app.releases.kept import RELEASE, SLOT, check_slot
from app.releases.remote.cache import Cache, Histories
from app.releases.remote.objects import Objects

logger = logging.getLogger(__name__)

_NUMBERED = re.compile(rf"history/({SLOT.pattern})/([0-9]{{8}})")


class RemoteSlots:
    """The histories of all slots, read by one listing and one request for each change that was not seen before.

    Args:
        objects: the store.
        cache: remembers them for a start while the store is away.
        max_age: seconds for which what was read counts; 0 reads anew each time. A command fails where the store does not answer; what
            allows an age goes on with what was last known.

    Attributes:
        is_unreachable: whether the last look failed.
    """

    def __init__(self, objects: Objects, cache: Cache, max_age: float) -> None:
        self._objects = objects
        self._cache = cache
        self._max_age = max_age
        self._seen: dict[str, tuple[str, str]] = {}
        """By name, the tag of an object and its line."""
        self._histories: Histories | None = None
        self._looked = float("-inf")
        self._error: ReleasesUnusable | None = None
        self._lock = threading.Lock()
        self._still = threading.local()

    @property
    def is_unreachable(self) -> bool:
        """Whether the last look failed."""
        return self._error is not None

    def check_reachable(self) -> None:
        """Say at once that the store does not answer, where that was found out a moment ago.

        Raises:
            ReleasesUnusable: it did not.
        """
        if self._error is not None and monotonic() - self._looked < self._max_age:
            raise self._error

    def numbered(self, slot: str) -> Mapping[int, str]:
        """The lines of a slot's history by their numbers, in their order.

        Raises:
            SlotInvalid: no slot can have this name.
            ReleasesUnusable: they cannot be read, and nobody has read them before.
        """
        return self.all().get(check_slot(slot), {})

    def all(self) -> Histories:
        """The same of all slots, in the order of their names.

        Raises:
            ReleasesUnusable: they cannot be read, and nobody has read them before.
        """
        still: Histories | None = getattr(self._still, "histories", None)
        if still is not None:
            return still
        histories = self._histories
        if histories is not None and monotonic() - self._looked < self._max_age:
            return histories
        if not self._lock.acquire(blocking=histories is None or not self._max_age):
            assert histories is not None
            return histories  # somebody is looking
        try:
            if self._max_age:
                self.check_reachable()
            return self._look()
        except ReleasesUnusable:
            if self._histories is None and self._max_age:
                self._histories = self._cache.histories()
            if self._histories is None or not self._max_age:
                raise
            return self._histories
        finally:
            self._lock.release()

    @contextmanager
    def held_still(self) -> Iterator[Histories]:
        """What is there now; whatever this thread reads within the block is as it was then, whatever others do.

        Raises:
            ReleasesUnusable: it cannot be read.
        """
        self._still.histories = self.fresh()
        try:
            yield self._still.histories
        finally:
            del self._still.histories

    def fresh(self) -> Histories:
        """The same as they are now.

        Raises:
            ReleasesUnusable: they cannot be read.
        """
        with self._lock:
            return self._look()

    def last(self, slot: str) -> str | None:
        """What a slot points to.

        Raises:
            SlotInvalid: the last change of the slot is none.
        """
        lines = self.numbered(slot)
        if not lines:
            return None
        number = max(lines)
        return self._parsed(slot, number, lines[number]).release

    def changes(self, slot: str) -> list[Change]:
        """The changes of a slot, oldest first.

        Raises:
            SlotInvalid: one of them is none.
        """
        return [self._parsed(slot, number, line) for number, line in self.numbered(slot).items()]

    def append(self, slot: str, number: int, change: Change) -> bool:
        """Make one change, unless somebody else has made one with this number.

        Raises:
            ReleasesUnreachable: nobody knows whether the change was made.
        """
        name = _name(slot, number)
        content = f"{change}\n{uuid4().hex}\n".encode()  # the second line tells ours from another's
        try:
            self._objects.create(name, content)
        except FileExistsError:
            # An answer that was lost on its way lets fsspec ask twice, and the second one meets the first.
            return self._objects.read([name]).get(name) == content
        except ReleasesUnreachable as error:
            raise ReleasesUnreachable(
                f"{error}; whether slot {slot!r} points to {change.release} now is not known: irgan releases --history {slot}"
            ) from error
        return True

    def undo(self, slot: str, number: int) -> None:
        """Take a change back that must not stand."""
        self._objects.delete(_name(slot, number))

    def _look(self) -> Histories:
        try:
            listed = {name: found.tag for name, found in self._objects.list("history").items() if _NUMBERED.fullmatch(name)}
            unseen = [name for name, tag in listed.items() if self._seen.get(name, ("",))[0] != tag]
            contents = self._objects.read(unseen)
        except ReleasesUnusable as error:
            if self._error is None and self._max_age:  # once, not at every try
                logger.warning("what the slots point to cannot be seen, the last known releases go on answering: %s", error)
            self._error, self._looked = error, monotonic()
            raise
        new = {name: (listed[name], content.decode("utf-8", "replace").split("\n")[0]) for name, content in contents.items()}
        self._seen = {name: line for name, line in (self._seen | new).items() if name in listed}
        histories: dict[str, dict[int, str]] = {}
        for name in sorted(self._seen):
            slot, number = name.removeprefix("history/").split("/")
            histories.setdefault(slot, {})[int(number)] = self._seen[name][1]
        if histories != self._histories:
            self._cache.remember(histories)
        if self._error is not None and self._max_age:
            logger.info("%s can be read again", self._objects.url)
        self._histories, self._error, self._looked = histories, None, monotonic()
        return histories

    def _parsed(self, slot: str, number: int, line: str) -> Change:
        try:
            change = Change.parse(line)
            if RELEASE.fullmatch(change.release):
                return change
        except ValueError:
            pass
        raise SlotInvalid(
            f"{self._objects.url}/{_name(slot, number)} holds {line[:200]!r}; expected TIME ACTION NAME/VERSION WHO; delete it"
        )


def _name(slot: str, number: int) -> str:
    return f"history/{slot}/{number:08}"
