"""Copies of an object store's releases on this machine, shared by its processes.

bundles/NAME/VERSION/     whole copies, put in place by a rename; `.objects` says of which objects
bundles/NAME/.lock        held by the one process that fetches or deletes a version
slots.json                what the slots pointed to when that was last seen
url                       of which address this is, for people
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from time import time

from app.bundle import BundleError, Manifest, new_folder, read_manifest, write_file
from app.releases.errors import ReleasesBusy, ReleasesUnusable
from app.releases.files import locked, replacing_folder, set_aside

logger = logging.getLogger(__name__)

_OBJECTS = ".objects"
_UNUSED_SECONDS = 3600.0
"""A copy that no slot needs stays so long after it was last looked at: another process may have fetched it to let a slot point to it."""

Histories = Mapping[str, Mapping[int, str]]
"""By slot, the lines of its history by their numbers."""


def default_cache() -> Path:
    """IRGAN_RELEASES_CACHE, or a folder in the user's own cache.

    Raises:
        ReleasesUnusable: the user has none, as some of containers, who are mere numbers.
    """
    named = os.environ.get("IRGAN_RELEASES_CACHE")
    if named:
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "irgan" / "releases"
    except RuntimeError as error:
        raise ReleasesUnusable(
            "copies of releases have no place, for this user has no home; name a folder that can be written: IRGAN_RELEASES_CACHE"
        ) from error


class Cache:
    """Copies of bundles, and what was last seen of the slots.

    Args:
        folder: of the copies of all addresses; made if it is not there.
        url: the address that this is for.

    Raises:
        ReleasesUnusable: the folder cannot be written.
    """

    def __init__(self, folder: Path, url: str) -> None:
        # The same address can be another bucket on another server.
        servers = [os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "FSSPEC_S3_ENDPOINT_URL")]
        name = hashlib.sha256("\n".join([url, *servers]).encode()).hexdigest()[:20]
        self.folder = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)  # what is in here is loaded
            if not (self.folder / "url").exists():
                write_file(self.folder / "url", f"{url}\n".encode())
        except OSError as error:
            raise ReleasesUnusable(
                f"copies of releases cannot be kept in {folder} ({error.strerror or error}); name a folder that can be written: "
                "IRGAN_RELEASES_CACHE"
            ) from error

    def path(self, release: str) -> Path:
        """Where the copy of a release is, if there is one."""
        return self.folder / "bundles" / release

    def locked(self, release: str) -> AbstractContextManager[None]:
        """Keep all other processes from fetching or deleting this release's copy while a block runs."""
        return locked(self.path(release).parent, None)

    def copied(self, release: str) -> Mapping[str, str] | None:
        """The tags of the objects that the copy of a release was made of; None where there is no copy."""
        try:
            content = (self.path(release) / _OBJECTS).read_bytes()
            return {str(name): str(tag) for name, tag in json.loads(content).items()}
        except (OSError, ValueError, AttributeError):
            return None

    def used(self, release: str) -> None:
        """Remember that somebody needs this copy now."""
        os.utime(self.path(release))

    @contextmanager
    def replaced(self, release: str, objects: Mapping[str, str]) -> Iterator[Path]:
        """A folder to fill with a copy, in the place of the one there is once the block ends well; under the lock.

        Args:
            release: NAME/VERSION.
            objects: the tags of what is copied.
        """
        target = self.path(release)
        for abandoned in target.parent.glob(f".{target.name}.*.tmp"):  # by a process that was killed: the lock is ours
            shutil.rmtree(abandoned, ignore_errors=True)
        with replacing_folder(target), new_folder(target) as folder:
            yield folder
            (folder / _OBJECTS).write_text(json.dumps(objects), encoding="utf-8")

    def releases(self) -> list[str]:
        """All that there are copies of."""
        return sorted(
            f"{path.parent.name}/{path.name}" for path in self.folder.glob("bundles/*/*") if not path.name.startswith(".")
        )

    def manifests(self) -> Iterator[Manifest]:
        """Of all copies that can be read."""
        for release in self.releases():
            with suppress(BundleError):
                yield read_manifest(self.path(release))

    def evict(self, needed: Collection[str]) -> None:
        """Delete what killed processes left, and the copies of others that nobody has looked at for a while.

        What is open elsewhere stays until it is closed.
        """
        for name in sorted(self.folder.glob("bundles/*")):
            with suppress(ReleasesBusy), locked(name, 0.0):  # what is fetched or deleted there now is another time's
                for abandoned in name.glob(".*.tmp"):  # by a process that was killed: the lock is ours
                    shutil.rmtree(abandoned, ignore_errors=True)
                for path in sorted(name.glob("[!.]*")):
                    release = f"{name.name}/{path.name}"
                    if release not in needed and path.is_dir() and time() - path.stat().st_mtime >= _UNUSED_SECONDS:
                        shutil.rmtree(set_aside(path), ignore_errors=True)
                        logger.info("the copy of %s is no longer needed", release)

    def histories(self) -> dict[str, dict[int, str]] | None:
        """What the slots pointed to when that was last seen; None where it never was."""
        try:
            kept = json.loads((self.folder / "slots.json").read_bytes())
            return {slot: {int(number): str(line) for number, line in lines.items()} for slot, lines in kept.items()}
        except (OSError, ValueError, AttributeError):
            return None

    def remember(self, histories: Histories) -> None:
        """Keep what the slots point to, for a start while the store is away."""
        try:
            write_file(self.folder / "slots.json", json.dumps(histories).encode())
        except OSError as error:  # the slots are followed all the same
            logger.warning("what the slots point to cannot be kept in %s: %s", self.folder, error.strerror or error)
