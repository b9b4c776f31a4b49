"""What the releases of an object store say of themselves, read once each."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from app.bundle import MANIFEST, SEAL, AnyManifest, BundleError, BundleNotFound, Manifest, parse_manifest
from app.releases.kept import RELEASE, in_order
from app.releases.remote.objects import Objects

logger = logging.getLogger(__name__)

GOING = ".going"
"""An object in a release's folder that says that it is being deleted."""


def is_whole(files: Collection[str]) -> bool:
    """Whether the objects of a release make one: all were written, and nobody is deleting them."""
    return MANIFEST in files and GOING not in files


class RemoteManifests:
    """The manifests of an object store's releases.

    Args:
        objects: the store.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._seen: dict[str, tuple[str, Manifest | None]] = {}
        """By release, the tags of what was read, and what it said; None where that cannot be understood."""

    def one(self, release: str) -> AnyManifest:
        """Of one release.

        Raises:
            BundleError: there is none, or it cannot be understood.
            ReleasesUnusable: the store does not answer.
        """
        folder = f"bundles/{release}/"
        contents = self._objects.read(f"{folder}{name}" for name in (MANIFEST, SEAL, GOING))
        if not is_whole({name.removeprefix(folder) for name in contents}):
            raise BundleNotFound(f"there is no release {release} in {self._objects.url}")
        return self._parsed(release, contents)

    def all(self) -> list[Manifest]:
        """Of all releases, by name and then in the order they were made; unreadable ones are logged and left out.

        Raises:
            ReleasesUnusable: the store does not answer.
        """
        releases: dict[str, dict[str, str]] = {}
        for name, found in self._objects.list("bundles").items():
            release, _, file = name.removeprefix("bundles/").rpartition("/")
            if RELEASE.fullmatch(release):
                releases.setdefault(release, {})[file] = found.tag
        tags = {release: f"{files[MANIFEST]} {files.get(SEAL)}" for release, files in releases.items() if is_whole(files)}
        unseen = [release for release, tag in tags.items() if self._seen.get(release, ("",))[0] != tag]
        contents = self._objects.read(f"bundles/{release}/{name}" for release in unseen for name in (MANIFEST, SEAL))
        for release in unseen:
            if f"bundles/{release}/{MANIFEST}" in contents:
                self._seen[release] = tags[release], self._understood(release, contents)
        found_ones = (self._seen[release][1] for release in tags if release in self._seen)
        return in_order(manifest for manifest in found_ones if manifest is not None)

    def _understood(self, release: str, contents: Mapping[str, bytes]) -> Manifest | None:
        try:
            manifest = self._parsed(release, contents)
        except BundleError as error:
            logger.warning("left out of the list of releases: %s", error)
            return None
        if manifest.release != release:
            where = f"{self._objects.url}/bundles/{release}"
            logger.warning("left out of the list of releases: the bundle at %s calls itself %s", where, manifest.release)
            return None
        return manifest

    def _parsed(self, release: str, contents: Mapping[str, bytes]) -> AnyManifest:
        folder = f"bundles/{release}"
        return parse_manifest(
            contents[f"{folder}/{MANIFEST}"], contents.get(f"{folder}/{SEAL}"), f"{self._objects.url}/{folder}"
        )
