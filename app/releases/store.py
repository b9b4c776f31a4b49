"""The folder of releases.

    bundles/NAME/VERSION/     every published bundle, never changed
    slots/SLOT                what answers: one line, NAME/VERSION
    history/SLOT              what answered and since when, one line a change
    .lock                     held by the one process that changes something

Readers need no lock and no right to write: whatever they find was put in place whole, by a rename.
"""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.bundle import BundleError, Manifest, new_folder, read_bundle, read_manifest, write_file
from app.releases.errors import NothingToRollBack, ReleaseConflict, ReleasesUnusable, SlotInvalid
from app.releases.history import Action, Change, effective, previous

logger = logging.getLogger(__name__)

_NAME = r"[a-z0-9][a-z0-9._-]{0,99}"
_SLOT = re.compile(_NAME)
_RELEASE = re.compile(f"{_NAME}/{_NAME}")
_MANIFEST = "manifest.json"


class ReleaseStore:
    """Published bundles and the slots that point to them.

    Args:
        folder: made by the first publication; until then it need not exist.

    Raises:
        ReleasesUnusable: there is something else at that path.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise ReleasesUnusable(f"{folder} is no folder; give a folder for releases (option --releases or IRGAN_RELEASES)")
        self.folder = folder

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
            raise SlotInvalid(f"{pointer} holds {release!r}; expected one line NAME/VERSION; publish to the slot again")
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
        """The manifests of all published bundles, by name and then in the order they were made; unreadable ones are logged and left out."""
        manifests = []
        for path in self.folder.glob("bundles/*/*"):
            if not _RELEASE.fullmatch(f"{path.parent.name}/{path.name}"):
                continue  # half a copy, or somebody's notes
            try:
                manifests.append(read_manifest(path))
            except BundleError as error:
                logger.warning("left out of the list of releases: %s", error)
        return sorted(manifests, key=lambda manifest: (manifest.name, manifest.created, manifest.version))

    def history(self, slot: str) -> list[Change]:
        """The changes of a slot, oldest first.

        Raises:
            SlotInvalid: no slot can have this name, or its history holds lines that are no changes.
        """
        return effective(self._written(slot), self.current(slot))

    def publish(self, bundle: Path, slot: str) -> str:
        """Verify a bundle, copy it in and point the slot to it; whatever fails leaves every slot as it was.

        Args:
            bundle: its folder; it is not changed. One that is published already is not copied again.
            slot: made if it is new.

        Returns:
            The release, NAME/VERSION.

        Raises:
            BundleError: the bundle cannot be served.
            ReleaseConflict: another bundle was published under its name and version.
            SlotInvalid: no slot can have this name.
            OSError: the disk is full, or the folder cannot be written.
        """
        _slot_name(slot)
        manifest = read_bundle(bundle).manifest
        release = f"{manifest.name}/{manifest.version}"
        with self._locked():
            self._bring_in(bundle, manifest, release)
            self._point(slot, "publish", release)
        return release

    def rollback(self, slot: str) -> str:
        """Point a slot to the release that it pointed to before; again, and it walks further back.

        Returns:
            The release that it points to now, NAME/VERSION.

        Raises:
            NothingToRollBack: there is none.
            BundleError: that release can no longer be served.
            SlotInvalid: no slot can have this name, or its files hold something else.
            OSError: the folder cannot be written.
        """
        if self.current(slot) is None:
            raise NothingToRollBack(f"nothing was published in slot {slot!r} of {self.folder}; {self._what_there_is()}")
        with self._locked():
            release = previous(self.history(slot))
            if release is None:
                raise NothingToRollBack(f"slot {slot!r} had no release before {self.current(slot)}; it stays")
            read_bundle(self.path(release))
            self._point(slot, "rollback", release)
        return release

    def _bring_in(self, bundle: Path, manifest: Manifest, release: str) -> None:
        target = self.path(release)
        if target.exists():
            if read_bundle(target).manifest != manifest:
                raise ReleaseConflict(
                    f"another bundle was published as {release} (in {target}); a release never changes, so give this one another version"
                )
            return
        for abandoned in target.parent.glob(f".{target.name}.*.tmp"):  # by a process that was killed: the lock is ours
            shutil.rmtree(abandoned, ignore_errors=True)
        with new_folder(target) as folder:
            for name in (_MANIFEST, *(entry.path for entry in manifest.files)):
                shutil.copyfile(bundle / name, folder / name)
            read_bundle(folder)  # what is published is what was verified, not what it was copied from

    def _point(self, slot: str, action: Action, release: str) -> None:
        """Write the change down, then move the pointer: until that one rename nothing has happened."""
        try:
            now = self.current(slot)
        except SlotInvalid:
            now = None  # a damaged pointer is cured by writing it anew
        if now == release:
            return
        changes = [*effective(self._written(slot), now), Change.now(action, release)]
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
                    f"{path}:{number} holds {line!r}; expected TIME ACTION NAME/VERSION; mend or remove it"
                ) from error
        return written

    def _history(self, slot: str) -> Path:
        return self.folder / "history" / _slot_name(slot)

    def _what_there_is(self) -> str:
        slots = ", ".join(self.slots())
        return f"the slots are {slots}" if slots else "it has no slots yet"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait until no other process changes anything here; the lock ends with the process, however it ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _slot_name(slot: str) -> str:
    if not _SLOT.fullmatch(slot):
        raise SlotInvalid(
            f"{slot!r} cannot be the name of a slot; expected lower case letters, digits, dots, dashes and underscores, such as champion"
        )
    return slot
