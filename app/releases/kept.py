"""What can be done with releases, wherever they are kept: the rules and the messages."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from app.bundle import AnyManifest, BundleError, Manifest, read_bundle
from app.releases.errors import NothingToRollBack, ReleaseDamaged, SlotInvalid, UnknownRelease
from app.releases.history import Action, Change, previous

_NAME = r"[a-z0-9][a-z0-9._-]{0,99}"
SLOT = re.compile(_NAME)
RELEASE = re.compile(f"{_NAME}/{_NAME}")
_NAMED = 5
"""Releases that a message names."""

T = TypeVar("T")


class KeptReleases(ABC):
    """Published bundles and the slots that point to them.

    Attributes:
        place: where they are kept, for messages.
    """

    place: Path | str

    @abstractmethod
    def path(self, release: str) -> Path:
        """The folder of a published bundle on this machine; not verified.

        Raises:
            BundleNotFound: the place is another machine, and there is no such bundle.
            ReleasesUnusable: likewise, and it cannot be reached.
        """

    @abstractmethod
    def loaded(self, release: str, load: Callable[[Path], T]) -> T:
        """What a function makes of a published bundle's folder.

        Args:
            release: NAME/VERSION.
            load: verifies the folder and raises BundleError where it cannot be used.
        """

    @abstractmethod
    def manifest(self, release: str) -> AnyManifest:
        """What a published bundle says of itself.

        Raises:
            BundleError: there is none, or it cannot be understood.
        """

    @abstractmethod
    def current(self, slot: str) -> str | None:
        """What a slot points to, NAME/VERSION, or None where nothing was published in it.

        Raises:
            SlotInvalid: no slot can have this name, or what says so holds something else.
        """

    @abstractmethod
    def slots(self) -> dict[str, str]:
        """What each slot points to, in the order of their names.

        Raises:
            SlotInvalid: a pointer holds something else than a release.
        """

    @abstractmethod
    def published(self) -> list[Manifest]:
        """The manifests of all kept releases, by name and then in the order they were made; unreadable ones are logged and left out."""

    @abstractmethod
    def history(self, slot: str) -> list[Change]:
        """The changes of a slot, oldest first.

        Raises:
            SlotInvalid: no slot can have this name, or its history holds lines that are no changes.
        """

    @property
    def is_unreachable(self) -> bool:
        """Whether nobody could see what the slots point to when that was last looked for."""
        return False

    def hold(self, holder: str, releases: Collection[str]) -> None:  # noqa: B027 - most have nothing to do
        """Say that these releases are needed by somebody of this process, in place of those that were before."""

    def publish(self, bundle: Path, slot: str, *, by: str | None = None) -> str:
        """Verify a bundle, copy it in and point the slot to it; whatever fails leaves every slot as it was.

        Args:
            bundle: its folder; it is not changed. One that is published already is not copied again.
            slot: made if it is new.
            by: who does it, for the history; by default this process's account and host.

        Returns:
            The release, NAME/VERSION.

        Raises:
            BundleError: the bundle cannot be served.
            ReleaseConflict: another bundle was published under its name and version.
            ReleasesBusy: another process is changing something, for longer than this one waits.
            SlotInvalid: no slot can have this name.
            OSError: the disk is full, or the place cannot be written.
        """
        check_slot(slot)
        manifest = read_bundle(bundle).manifest
        with self.locked():
            self._bring_in(bundle, manifest)
            return self._point(slot, "publish", lambda: manifest.release, by)

    def promote(self, source: str, slot: str, *, by: str | None = None) -> str:
        """Verify a kept release and point a slot to it; whatever fails leaves every slot as it was.

        Args:
            source: a release NAME/VERSION, or a slot for the release that it points to.
            slot: made if it is new.
            by: who does it, as in `publish`.

        Returns:
            The release, NAME/VERSION.

        Raises:
            UnknownRelease: there is no such release, or nothing in that slot.
            ReleaseDamaged: it can no longer be served.
            ReleasesBusy: another process is changing something, for longer than this one waits.
            SlotInvalid: no slot can have this name, or its files hold something else.
            OSError: the place cannot be written.
        """
        check_slot(slot)
        self._check_known(source)

        def promoted() -> str:
            release = self._check_known(source)
            self._verify(release)
            return release

        with self.locked():
            return self._point(slot, "promote", promoted, by)

    def rollback(self, slot: str, *, to: str | None = None, by: str | None = None) -> str:
        """Point a slot to the release that it pointed to before; again, and it walks further back.

        Args:
            slot: the slot.
            to: another kept release, NAME/VERSION, in place of the one before.
            by: who does it, as in `publish`.

        Returns:
            The release that it points to now, NAME/VERSION.

        Raises:
            NothingToRollBack: there is none, or it is no longer kept.
            UnknownRelease: the named one is not kept.
            ReleaseDamaged: that release can no longer be served.
            ReleasesBusy: another process is changing something, for longer than this one waits.
            SlotInvalid: no slot can have this name, or its files hold something else.
            OSError: the place cannot be written.
        """
        if self.current(slot) is None:
            raise NothingToRollBack(f"nothing was published in slot {slot!r} of {self.place}; {self._what_there_is()}")
        if to is not None:
            self._check_release(to)

        def former() -> str:
            release = previous(self.history(slot)) if to is None else self._check_release(to)
            if release is None:
                raise NothingToRollBack(f"slot {slot!r} had no release before {self.current(slot)}; it stays")
            if not self._is_kept(release):
                raise NothingToRollBack(
                    f"{release}, to which slot {slot!r} would go back, is no longer kept; the slot stays; {self._kept()}"
                )
            self._verify(release)
            return release

        with self.locked():
            return self._point(slot, "rollback", former, by)

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """What stands around a change: no other process changes anything while a block runs, or this one notices.

        Raises:
            ReleasesBusy: another one is changing something, for longer than this one waits.
            OSError: the place cannot be written.
        """

    @abstractmethod
    def _bring_in(self, bundle: Path, manifest: Manifest) -> None:
        """Copy a verified bundle in and verify the copy; one that is there already and whole stays."""

    @abstractmethod
    def _point(self, slot: str, action: Action, choose: Callable[[], str], by: str | None) -> str:
        """Choose a release, verified, and let the slot point to it; nothing to do where it does."""

    @abstractmethod
    def _is_kept(self, release: str) -> bool:
        """Whether there is such a release, whole or not."""

    def _check_known(self, source: str) -> str:
        if "/" in source:
            return self._check_release(source)
        release = self.current(source) if SLOT.fullmatch(source) else None
        if release is None:
            raise UnknownRelease(
                f"nothing was published in slot {source!r} of {self.place}; name a slot, or a release NAME/VERSION; {self._what_there_is()}"
            )
        return release

    def _check_release(self, release: str) -> str:
        if not RELEASE.fullmatch(release) or not self._is_kept(release):
            raise UnknownRelease(f"there is no release {release!r} in {self.place}; {self._kept()}")
        return release

    def _verify(self, release: str) -> None:
        try:
            found = self.loaded(release, read_bundle).manifest.release
        except BundleError as error:
            raise ReleaseDamaged(f"{error}; no slot has changed") from error
        if found != release:
            raise ReleaseDamaged(f"the bundle at {self.path(release)} calls itself {found}; no slot has changed")

    def _what_there_is(self) -> str:
        slots = ", ".join(self.slots())
        return f"the slots are {slots}" if slots else "it has no slots yet"

    def _kept(self) -> str:
        kept = sorted(self.published(), key=lambda manifest: manifest.created, reverse=True)
        if not kept:
            return "none are kept"
        more = f" and {len(kept) - _NAMED} more" if len(kept) > _NAMED else ""
        return f"kept are {', '.join(manifest.release for manifest in kept[:_NAMED])}{more}"


def check_slot(slot: str) -> str:
    """The name of a slot.

    Raises:
        SlotInvalid: no slot can have it.
    """
    if not SLOT.fullmatch(slot):
        raise SlotInvalid(
            f"{slot!r} cannot be the name of a slot; expected lower case letters, digits, dots, dashes and underscores, such as champion"
        )
    return slot


def in_order(manifests: Iterable[Manifest]) -> list[Manifest]:
    """By name, then in the order they were made."""
    return sorted(manifests, key=lambda manifest: (manifest.name, manifest.created, manifest.version))
