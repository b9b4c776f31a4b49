"""Releases in an object store.

    bundles/NAME/VERSION/     every published bundle; `manifest.json` comes last, and without it there is no release
    history/SLOT/00000017     what the slot points to since its 17th change, one line; the last one counts
    .exclusive                shows whether the store creates an object only where there is none

There are no locks and no renames: every object is created where there is none, or else somebody was quicker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from app.bundle import MANIFEST, AnyManifest, BundleError, Manifest, read_bundle
from app.releases.errors import ReleasesBusy, ReleasesUnusable, SlotInvalid, UnknownRelease
from app.releases.history import Action, Change, this_account
from app.releases.kept import KeptReleases, T, check_slot, in_order
from app.releases.remote.cache import Cache
from app.releases.remote.copies import Copies
from app.releases.remote.manifests import GOING, RemoteManifests, is_whole
from app.releases.remote.objects import Objects
from app.releases.remote.slots import RemoteSlots
from app.releases.remote.uploading import conflict, upload

logger = logging.getLogger(__name__)

_EXCLUSIVE = ".exclusive"
_PATIENCE_SECONDS = 30.0
_AGAIN_SECONDS = 0.05


class RemoteReleases(KeptReleases):
    """Releases at an address, with copies on this machine of those that are used here.

    Args:
        url: such as `s3://bucket/prefix`.
        cache: the folder of copies.
        patience: seconds for which a change is tried again while others are quicker.
        max_age: seconds for which what was read of the slots counts; 0 reads anew each time, and fails where the store does not answer.

    Raises:
        ReleasesUnusable: it is no such address, or the folder of copies cannot be written.
        ExtraMissing: what reaches it is not installed.
    """

    def __init__(self, url: str, cache: Path, *, patience: float | None = None, max_age: float = 0.0) -> None:
        self.objects = Objects(url)
        self.place = self.objects.url
        self.cache = Cache(cache, self.objects.url)
        self._slots = RemoteSlots(self.objects, self.cache, max_age)
        self.copies = Copies(self.objects, self._slots, self.cache)
        self._manifests = RemoteManifests(self.objects)
        self._patience = _PATIENCE_SECONDS if patience is None else patience
        self._max_age = max_age
        self._listed: tuple[float, list[Manifest]] | None = None
        self._listing = threading.Lock()
        self._creates = False

    @property
    def is_unreachable(self) -> bool:
        """Whether the last look at the slots failed."""
        return self._slots.is_unreachable

    def path(self, release: str) -> Path:
        """The copy of a published bundle on this machine, fetched where there is none.

        Raises:
            BundleNotFound: there is no such release.
            BundleError: what was fetched is damaged.
            ReleasesUnusable: there is no copy, and the store does not answer.
        """
        return self.copies.get(release)[0]

    def loaded(self, release: str, load: Callable[[Path], T]) -> T:
        """What a function makes of a bundle's copy; a damaged copy is fetched anew."""
        return self.copies.loaded(release, load)

    def manifest(self, release: str) -> AnyManifest:
        """What a published bundle says of itself.

        Raises:
            BundleError: there is none, or it cannot be understood.
            ReleasesUnusable: the store does not answer.
        """
        return self._manifests.one(release)

    def current(self, slot: str) -> str | None:
        """What a slot points to, NAME/VERSION, or None where nothing was published in it.

        Raises:
            SlotInvalid: no slot can have this name, or its last change holds something else.
            ReleasesUnusable: nobody can say.
        """
        return self._slots.last(slot)

    def slots(self) -> dict[str, str]:
        """What each slot points to, in the order of their names.

        Raises:
            SlotInvalid: the last change of one holds something else.
            ReleasesUnusable: nobody can say.
        """
        return {slot: release for slot in self._slots.all() if (release := self.current(slot)) is not None}

    def history(self, slot: str) -> list[Change]:
        """The changes of a slot, oldest first.

        Raises:
            SlotInvalid: no slot can have this name, or a change holds something else.
            ReleasesUnusable: nobody can say.
        """
        return self._slots.changes(slot)

    def published(self) -> list[Manifest]:
        """The manifests of all kept releases, by name and then in the order they were made; unreadable ones are logged and left out.

        Where the store does not answer, those that were last seen, or else those of the copies on this machine.
        """
        if self._listed is not None and monotonic() - self._listed[0] < self._max_age:
            return self._listed[1]
        with self._listing:
            try:
                self._slots.check_reachable()
                manifests = self._manifests.all()
            except ReleasesUnusable:
                if not self._max_age:
                    raise
                return in_order(self.cache.manifests()) if self._listed is None else self._listed[1]
            self._listed = monotonic(), manifests
            return manifests

    def hold(self, holder: str, releases: Collection[str]) -> None:
        """Keep the copies of these releases for somebody, in place of those before."""
        self.copies.hold(holder, releases)

    def promote(self, source: str, slot: str, *, by: str | None = None) -> str:
        """As `KeptReleases.promote`; besides, ReleasesUnusable where the store does not answer, ReleasesReadOnly where it refuses."""
        check_slot(slot)
        self._slots.fresh()
        return super().promote(source, slot, by=by)

    def rollback(self, slot: str, *, to: str | None = None, by: str | None = None) -> str:
        """As `KeptReleases.rollback`; besides, as in `promote`."""
        check_slot(slot)
        self._slots.fresh()
        return super().rollback(slot, to=to, by=by)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody is kept out; whoever was quicker is noticed. What was done is seen here at once."""
        self.check_creates()
        try:
            yield
        finally:
            self._listed = None

    def check_creates(self) -> None:
        """Make sure that the store creates an object only where there is none: without that, two at once would undo each other.

        Raises:
            ReleasesUnusable: it replaces what is there.
        """
        for _ in range(0 if self._creates else 2):
            try:
                self.objects.create(_EXCLUSIVE, b"irgan\n")
            except FileExistsError:
                self._creates = True
                return
        if not self._creates:
            raise ReleasesUnusable(
                f"{self.place} replaces objects that it was asked to create only where there are none (If-None-Match), so two who change "
                "something at once would undo each other; give a store that knows this, or a folder; no slot has changed"
            )

    def fresh_needed(self) -> set[str]:
        """What slots point to now, and would roll back to.

        Raises:
            SlotInvalid: a slot's history holds something else.
            ReleasesUnusable: nobody can say.
        """
        self._slots.fresh()
        return self.copies.needed()

    def _is_kept(self, release: str) -> bool:
        return is_whole(self.copies.files(release))

    def _bring_in(self, bundle: Path, manifest: Manifest) -> None:
        release = manifest.release
        found = self.copies.files(release)
        if GOING in found:
            raise ReleasesBusy(
                f"{release} is being deleted from {self.place}; irgan releases prune ends that; no slot has changed"
            )
        is_there = MANIFEST in found and self._is_same(manifest)
        if is_there:
            try:
                self.copies.get(release, anew=True)
                return
            except BundleError as error:
                logger.warning("a damaged release is replaced: %s", error)
        upload(self.objects, f"bundles/{release}", bundle, manifest, mends=MANIFEST in found)
        # What is published is what was verified, not what it was copied from.
        read_bundle(self.copies.get(release, anew=True)[0])

    def _is_same(self, manifest: Manifest) -> bool:
        """Whether the same bundle was published; False where nobody can read which one was."""
        try:
            found = self.manifest(manifest.release)
        except BundleError as error:
            logger.warning("a damaged release is replaced: %s", error)
            return False
        if found != manifest:
            raise conflict(manifest.release, self.place)
        return True

    def _point(self, slot: str, action: Action, choose: Callable[[], str], by: str | None) -> str:
        """Choose, and make the next change; whoever was not the one to make it looks and chooses again."""
        until = monotonic() + self._patience
        while True:
            with self._slots.held_still() as histories:
                number = max(histories.get(slot, {0: ""}))
                release = choose()
                with suppress(SlotInvalid):  # cured by the next change
                    if self._slots.last(slot) == release:
                        return release
            change = Change.now(action, release, this_account() if by is None else by)
            if self._slots.append(slot, number + 1, change):
                self._check_stands(slot, number + 1, release)
                return release
            if monotonic() > until:
                raise ReleasesBusy(f"others are changing slot {slot!r} of {self.place}; it has not changed by this; try again")
            sleep(_AGAIN_SECONDS)

    def _check_stands(self, slot: str, number: int, release: str) -> None:
        """Whoever deletes a release says so first and then looks at the slots; so either they see this change, or this sees them."""
        try:
            if not self._is_kept(release):
                self._slots.undo(slot, number)
                raise UnknownRelease(f"{release} was deleted from {self.place} in the meantime; no slot has changed")
            self._slots.fresh()
        except ReleasesUnusable as error:  # the change is made all the same
            logger.warning("%s", error)
