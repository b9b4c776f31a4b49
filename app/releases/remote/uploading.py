"""Copying a bundle into an object store: every object is created where there is none, the manifest last of all."""

from __future__ import annotations

import logging
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory

from app.bundle import MANIFEST, SEAL, Manifest, seal
from app.releases.errors import ReleaseConflict
from app.releases.remote.objects import Objects

logger = logging.getLogger(__name__)


def upload(objects: Objects, folder: str, bundle: Path, manifest: Manifest, *, mends: bool) -> None:
    """Copy a bundle in; what an upload before this one left, because it was killed, stays where it is the same.

    Args:
        objects: the store.
        folder: where the bundle goes.
        bundle: its folder here, verified.
        manifest: of the bundle.
        mends: a damaged release is there; what differs is replaced.

    Raises:
        ReleaseConflict: another content is there under this name.
    """
    for entry in manifest.files:
        _put(objects, f"{folder}/{entry.path}", bundle / entry.path, manifest.release, mends=mends)
    with TemporaryDirectory() as name:
        sealed = bundle / SEAL
        if not sealed.is_file():  # written before there were any
            (Path(name) / MANIFEST).write_bytes((bundle / MANIFEST).read_bytes())
            seal(Path(name))
            sealed = Path(name) / SEAL
        _put(objects, f"{folder}/{SEAL}", sealed, manifest.release, mends=mends)
    _put(objects, f"{folder}/{MANIFEST}", bundle / MANIFEST, manifest.release, mends=mends)


def conflict(release: str, place: Path | str) -> ReleaseConflict:
    """What is said where a release cannot be published since its name is taken."""
    return ReleaseConflict(
        f"another bundle was published as {release} (in {place}); a release never changes, so give this one another version"
    )


def _put(objects: Objects, name: str, path: Path, release: str, *, mends: bool) -> None:
    try:
        objects.create(name, path)
    except FileExistsError as error:
        if _is_same(objects, name, path):
            return
        if not mends:
            raise ReleaseConflict(
                f"{objects.url}/{name} is there with another content, though {release} is not published: another upload under this name is at "
                "work, or was left unfinished; give this one another version, or let irgan releases prune delete the other after a day"
            ) from error
        logger.warning("%s/%s is damaged and replaced", objects.url, name)
        objects.replace(name, path)


def _is_same(objects: Objects, name: str, path: Path) -> bool:
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        try:
            objects.fetch(name, copy)
        except FileNotFoundError:
            return False
        with copy.open("rb") as theirs, path.open("rb") as ours:
            return file_digest(theirs, "sha256").digest() == file_digest(ours, "sha256").digest()
