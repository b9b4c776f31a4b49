"""The folder of releases.

    bundles/NAME/VERSION/     every published bundle, never changed
    slots/SLOT                what answers: one line, NAME/VERSION
    history/SLOT              what answered and since when, one line a change
    .lock                     held by the one process that changes something

Readers need no lock and no right to write: whatever they find was put in place whole, by a rename.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from app.bundle import SEAL, AnyManifest, BundleError, Manifest, new_folder, read_bundle, read_manifest, seal, write_file
from app.releases.errors import ReleaseConflict, ReleasesUnusable, SlotInvalid
from app.releases.files import locked, replacing_folder
from app.releases.history import Action, Change, effective, this_account
from app.releases.kept import RELEASE, SLOT, KeptReleases, T, check_slot, in_order

logger = logging.getLogger(__name__)

_MANIFEST = "manifest.json"


class ReleaseStore(KeptReleases):
    """Releases in a folder of this machine.

    Args:
        folder: made by the first publication; until then it need not exist.
        patience: seconds that a change waits for another process's; None waits until that is done.

    Raises:
        ReleasesUnusable: there is something else at that path.
    """

    def __init__(self, folder: Path, *, patience: float | None = None) -> None:
        if folder.exists() and not folder.is_dir():
            raise ReleasesUnusable(f"{folder} is no folder; give a folder for releases (option --releases or IRGAN_RELEASES)")
        self.folder = self.place = folder
        self._patience = patience

    def path(self, release: str) -> Path:
        """The folder of a published bundle."""
        return self.folder / "bundles" / release

    def loaded(self, release: str, load: Callable[[Path], T]) -> T:
        """What a function makes of a published bundle's folder."""
        return load(self.path(release))

    def manifest(self, release: str) -> AnyManifest:
        """What a published bundle says of itself.

        Raises:
            BundleError: there is none, or it cannot be understood.
        """
        return read_manifest(self.path(release))

    def pointer(self, slot: str) -> Path:
        """The file that says what a slot points to.

        Raises:
            SlotInvalid: no slot can have this name.
        """
        return self.folder / "slots" / check_slot(slot)

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
        if not RELEASE.fullmatch(release):
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
        names = sorted(path.name for path in folder.iterdir() if SLOT.fullmatch(path.name)) if folder.is_dir() else []
        return {name: release for name in names if (release := self.current(name)) is not None}

    def published(self) -> list[Manifest]:
        """The manifests of all kept releases, by name and then in the order they were made; unreadable ones are logged and left out."""
        manifests = []
        for path in self.folder.glob("bundles/*/*"):
            release = f"{path.parent.name}/{path.name}"
            if not RELEASE.fullmatch(release):
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
        return in_order(manifests)

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

    def locked(self) -> AbstractContextManager[None]:
        """Keep all other processes from changing anything here while a block runs.

        Raises:
            ReleasesBusy: another one is changing something, for longer than this one waits.
            OSError: the folder cannot be written.
        """
        return locked(self.folder, self._patience)

    def _is_kept(self, release: str) -> bool:
        return self.path(release).is_dir()

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

    def _point(self, slot: str, action: Action, choose: Callable[[], str], by: str | None) -> str:
        """Write the change down, then move the pointer: until that one rename nothing has happened."""
        release = choose()
        try:
            now = self.current(slot)
        except SlotInvalid:
            now = None  # a damaged pointer is cured by writing it anew
        if now == release:
            return release
        who = this_account() if by is None else by
        changes = [*effective(self._written(slot), now), Change.now(action, release, who)]
        write_file(self._history(slot), "".join(f"{change}\n" for change in changes).encode())
        write_file(self.pointer(slot), f"{release}\n".encode())
        return release

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
        return self.folder / "history" / check_slot(slot)
