"""Fetching the releases that are used on this machine."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from app.bundle import MANIFEST, SEAL, BundleError, BundleNotFound, check_files, read_manifest
from app.releases.errors import ReleaseError, ReleasesUnusable
from app.releases.history import previous
from app.releases.kept import T
from app.releases.remote.cache import Cache
from app.releases.remote.manifests import is_whole
from app.releases.remote.objects import Found, Objects
from app.releases.remote.slots import RemoteSlots

logger = logging.getLogger(__name__)

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))


class Copies:
    """Verified copies of an object store's releases.

    Args:
        objects: the store.
        slots: what the store's slots point to.
        cache: where the copies are.
    """

    def __init__(self, objects: Objects, slots: RemoteSlots, cache: Cache) -> None:
        self._objects = objects
        self._slots = slots
        self._cache = cache
        self._held: dict[str, frozenset[str]] = {}

    def files(self, release: str) -> dict[str, Found]:
        """The objects of a release by their names in its folder; empty where there is nothing.

        Raises:
            ReleasesUnusable: the store does not answer.
        """
        folder = f"bundles/{release}"
        return {name.removeprefix(f"{folder}/"): found for name, found in self._objects.list(folder).items()}

    def get(self, release: str, *, anew: bool = False) -> tuple[Path, bool]:
        """The copy of a release, and whether it was fetched just now; where the store does not answer, the one there is.

        Raises:
            BundleNotFound: there is no such release.
            BundleError: what was fetched is damaged.
            ReleasesUnusable: there is no copy, or none that may be used, and the store does not answer.
            OSError: the copy cannot be written; a full disk names the folder, once old copies are deleted and that was not enough.
        """
        path = self._cache.path(release)
        try:
            self._slots.check_reachable()
            found = self.files(release)
        except ReleasesUnusable:
            if anew or not path.is_dir():
                raise
            return path, False
        if not is_whole(found):
            raise BundleNotFound(f"there is no release {release} in {self._objects.url}")
        try:
            is_new = self._copy(release, found, anew=anew)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._evict(but=release)
            try:
                is_new = self._copy(release, found, anew=anew)
            except OSError as again:
                raise OSError(again.errno, again.strerror, str(self._cache.folder)) from again
        if is_new:
            self._evict(but=release)
        return path, is_new

    def loaded(self, release: str, load: Callable[[Path], T]) -> T:
        """What a function makes of a copy; a damaged one is fetched anew.

        Raises:
            BundleError: as `load`, of what was fetched just now.
        """
        path, is_new = self.get(release)
        try:
            return load(path)
        except BundleError as error:
            if is_new:
                raise
            logger.warning("the copy of %s on this machine is damaged and fetched anew: %s", release, error)
        return load(self.get(release, anew=True)[0])

    def hold(self, holder: str, releases: Collection[str]) -> None:
        """Keep the copies of these releases for somebody, in place of those before."""
        self._held[holder] = frozenset(releases)

    def needed(self) -> set[str]:
        """What slots point to, and would roll back to.

        Raises:
            SlotInvalid: a slot's history holds something else.
            ReleasesUnusable: nobody can say.
        """
        histories = [self._slots.changes(slot) for slot in self._slots.all()]
        return {release for changes in histories for release in (changes[-1].release, previous(changes)) if release}

    def _copy(self, release: str, found: Mapping[str, Found], *, anew: bool) -> bool:
        tags = {name: one.tag for name, one in found.items()}
        with self._cache.locked(release):
            if not anew and self._cache.copied(release) == tags:
                self._cache.used(release)
                return False
            with self._cache.replaced(release, tags) as folder:
                self._fetch(release, found, folder)
        return True

    def _fetch(self, release: str, found: Collection[str], folder: Path) -> None:
        def fetch(name: str) -> None:
            try:
                self._objects.fetch(f"bundles/{release}/{name}", folder / name)
            except FileNotFoundError as error:
                raise BundleNotFound(f"{release} was deleted from {self._objects.url} in the meantime") from error

        for name in (MANIFEST, SEAL):
            if name in found:
                fetch(name)
        for entry in read_manifest(folder).files:
            if entry.path in found and Path(entry.path).name == entry.path:
                fetch(entry.path)
        check_files(folder)

    def _evict(self, *, but: str) -> None:
        try:
            needed = self.needed()
        except ReleaseError:
            return  # another time
        self._cache.evict({but, *needed, *(release for held in self._held.values() for release in held)})
