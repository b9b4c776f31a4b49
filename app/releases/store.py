"""The folder of releases.

    bundles/NAME/VERSION/     every published bundle, never changed
    slots/SLOT                what answers: one line, NAME/VERSION
    history/SLOT              what answered and since when, one line a change
    .lock                     held by the one process that changes something

Readers need no lock and no right to write: whatever they find was put in place whole, by a rename.
"""

from __future__ import annotations

import logging
import re
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from app.bundle import SEAL, BundleError, Manifest, new_folder, read_bundle, read_manifest, seal, write_file
from app.releases.errors import (
    NothingToRollBack,
    ReleaseConflict,
    ReleaseDamaged,
    ReleasesUnusable,
    SlotInvalid,
    UnknownRelease,
)
from app.releases.files import locked, replacing_folder
from app.releases.history import Action, Change, effective, previous, this_account

logger = logging.getLogger(__name__)

_NAME = r"[a-z0-9][a-z0-9._-]{0,99}"
_SLOT = re.compile(_NAME)
_RELEASE = re.compile(f"{_NAME}/{_NAME}")
_MANIFEST = "manifest.json"
_NAMED = 5
"""Releases that a message names."""


class ReleaseStore:
    """Published bundles and the slots that point to them.

    Args:
        folder: made by the first publication; until then it need not exist.
        patience: seconds that a change waits for another process's; None waits until that is done.

    Raises:
        ReleasesUnusable: there is something else at that path.
    """

    def __init__(self, folder: Path, *, patience: float | None = None) -> None:
        if folder.exists() and not folder.is_dir():
            raise ReleasesUnusable(f"{folder} is no folder; give a folder for releases (option --releases or IRGAN_RELEASES)")
        self.folder = folder
        self._patience = patience

    def path(self, release: str) -> Path:
        """The folder of a published bundle."""
        return self.folder / "bundles" / release

    def pointer(self, slot: str) -> Path:
        """The file that says what a slot points to.

        Raises:
            SlotInvalid: no slot can have this name.
        """
        return self.folder / "slots" / _slot_name(slot)

    def current(self, slot: str) -> str | None:
        """What a slot points to, NAME/VERSION, or None where nothing was published in it.

        Raises:
            SlotInvalid: no slot can have this name, or its pointer holds something else.
        """
        pointer = self.pointer(slot)
        try:
            with pointer.open("rb") as file:
                content = file.read(1024)
        except FileNotFoundError:
            return None
        release = content.decode("utf-8", "replace").strip()
        if not _RELEASE.fullmatch(release):
            raise SlotInvalid(
                f"{pointer} holds {release!r}; expected one line NAME/VERSION; publish or promote to the slot again"
            )
        return release

    def slots(self) -> dict[str, str]:
        """What each slot points to, in the order of their names.

        Raises:
            SlotInvalid: a pointer holds something else than a release.
        """
        folder = self.folder / "slots"
        names = sorted(path.name for path in folder.iterdir() if _SLOT.fullmatch(path.name)) if folder.is_dir() else []
        return {name: release for name in names if (release := self.current(name)) is not None}

    def published(self) -> list[Manifest]:
        """The manifests of all kept releases, by name and then in the order they were made; unreadable ones are logged and left out."""
        manifests = []
        for path in self.folder.glob("bundles/*/*"):
            release = f"{path.parent.name}/{path.name}"
            if not _RELEASE.fullmatch(release):
                continue  # half a copy, or somebody's notes
            try:
                manifest = read_manifest(path)
            except BundleError as error:
                logger.warning("left out of the list of releases: %s", error)
                continue
            if manifest.release == release:
                manifests.append(manifest)
            else:
                logger.warning("left out of the list of releases: the bundle at %s calls itself %s", path, manifest.release)
        return sorted(manifests, key=lambda manifest: (manifest.name, manifest.created, manifest.version))

    def history(self, slot: str) -> list[Change]:
        """The changes of a slot, oldest first.

        Raises:
            SlotInvalid: no slot can have this name, or its history holds lines that are no changes.
        """
        while True:
            pointer = self.current(slot)
            written = self._written(slot)
            if self.current(slot) == pointer:  # else it moved meanwhile, and the two do not belong together
                return effective(written, pointer)

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
            OSError: the disk is full, or the folder cannot be written.
        """
        _slot_name(slot)
        manifest = read_bundle(bundle).manifest
        release = manifest.release
        with self.locked():
            self._bring_in(bundle, manifest)
            self._point(slot, "publish", release, by)
        return release

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
            OSError: the folder cannot be written.
        """
        _slot_name(slot)
        self._check_known(source)
        with self.locked():
            release = self._check_known(source)
            self._verify(release)
            self._point(slot, "promote", release, by)
        return release

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
            OSError: the folder cannot be written.
        """
        if self.current(slot) is None:
            raise NothingToRollBack(f"nothing was published in slot {slot!r} of {self.folder}; {self._what_there_is()}")
        if to is not None:
            self._check_release(to)
        with self.locked():
            release = previous(self.history(slot)) if to is None else self._check_release(to)
            if release is None:
                raise NothingToRollBack(f"slot {slot!r} had no release before {self.current(slot)}; it stays")
            if not self.path(release).is_dir():
                raise NothingToRollBack(
                    f"{release}, to which slot {slot!r} would go back, is no longer kept; the slot stays; {self._kept()}"
                )
            self._verify(release)
            self._point(slot, "rollback", release, by)
        return release

    def locked(self) -> AbstractContextManager[None]:
        """Keep all other processes from changing anything here while a block runs.

        Raises:
            ReleasesBusy: another one is changing something, for longer than this one waits.
            OSError: the folder cannot be written.
        """
        return locked(self.folder, self._patience)

    def _check_known(self, source: str) -> str:
        if "/" in source:
            return self._check_release(source)
        release = self.current(source) if _SLOT.fullmatch(source) else None
        if release is None:
            raise UnknownRelease(
                f"nothing was published in slot {source!r} of {self.folder}; name a slot, or a release NAME/VERSION; {self._what_there_is()}"
            )
        return release

    def _check_release(self, release: str) -> str:
        if not _RELEASE.fullmatch(release) or not self.path(release).is_dir():
            raise UnknownRelease(f"there is no release {release!r} in {self.folder}; {self._kept()}")
        return release

    def _verify(self, release: str) -> None:
        try:
            found = read_bundle(self.path(release)).manifest.release
        except BundleError as error:
            raise ReleaseDamaged(f"{error}; no slot has changed") from error
        if found != release:
            raise ReleaseDamaged(f"the bundle at {self.path(release)} calls itself {found}; no slot has changed")

    def _bring_in(self, bundle: Path, manifest: Manifest) -> None:
        target = self.path(manifest.release)
        if target.exists() and self._is_whole(target, manifest):
            return
        for abandoned in target.parent.glob(f".{target.name}.*.tmp"):  # by a process that was killed: the lock is ours
            shutil.rmtree(abandoned, ignore_errors=True)
        with replacing_folder(target), new_folder(target) as folder:
            for name in (_MANIFEST, *(entry.path for entry in manifest.files)):
                shutil.copyfile(bundle / name, folder / name)
            if (bundle / SEAL).is_file():
                shutil.copyfile(bundle / SEAL, folder / SEAL)
            else:  # written before there were any
                seal(folder)
            read_bundle(folder)  # what is published is what was verified, not what it was copied from

    @staticmethod
    def _is_whole(target: Path, manifest: Manifest) -> bool:
        """Whether what is published under a release's name can be served; what cannot is replaced by what can."""
        try:
            found = read_manifest(target)
            if found != manifest:
                raise ReleaseConflict(
                    f"another bundle was published as {manifest.release} (in {target}); a release never changes, so give this one another version"
                )
            read_bundle(target)
        except BundleError as error:
            logger.warning("a damaged release is replaced: %s", error)
            return False
        return True

    def _point(self, slot: str, action: Action, release: str, by: str | None) -> None:
        """Write the change down, then move the pointer: until that one rename nothing has happened."""
        try:
            now = self.current(slot)
        except SlotInvalid:
            now = None  # a damaged pointer is cured by writing it anew
        if now == release:
            return
        who = this_account() if by is None else by
        changes = [*effective(self._written(slot), now), Change.now(action, release, who)]
        write_file(self._history(slot), "".join(f"{change}\n" for change in changes).encode())
        write_file(self.pointer(slot), f"{release}\n".encode())

    def _written(self, slot: str) -> list[Change]:
        path = self._history(slot)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        written = []
        for number, line in enumerate(lines, 1):
            try:
                written.append(Change.parse(line))
            except ValueError as error:
                raise SlotInvalid(
                    f"{path}:{number} holds {line!r}; expected TIME ACTION NAME/VERSION WHO; mend or remove it"
                ) from error
        return written

    def _history(self, slot: str) -> Path:
        return self.folder / "history" / _slot_name(slot)

    def _what_there_is(self) -> str:
        slots = ", ".join(self.slots())
        return f"the slots are {slots}" if slots else "it has no slots yet"

    def _kept(self) -> str:
        kept = sorted(self.published(), key=lambda manifest: manifest.created, reverse=True)
        if not kept:
            return "none are kept"
        more = f" and {len(kept) - _NAMED} more" if len(kept) > _NAMED else ""
        return f"kept are {', '.join(manifest.release for manifest in kept[:_NAMED])}{more}"


def _slot_name(slot: str) -> str:
    if not _SLOT.fullmatch(slot):
        raise SlotInvalid(
            f"{slot!r} cannot be the name of a slot; expected lower case letters, digits, dots, dashes and underscores, such as champion"
        )
    return slot
