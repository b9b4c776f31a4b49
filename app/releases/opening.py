"""Releases, wherever they are kept."""

from __future__ import annotations

from pathlib import Path

from app.place import Place
from app.releases.kept import KeptReleases
from app.releases.remote import RemoteReleases, default_cache
from app.releases.store import ReleaseStore


def open_releases(
    place: Place, *, cache: Path | None = None, patience: float | None = None, max_age: float = 0.0
) -> KeptReleases:
    """Releases in a folder, or at the address of an object store.

    Args:
        place: which one.
        cache: of an object store, the folder of copies; by default IRGAN_RELEASES_CACHE, or a folder in the user's own cache.
        patience: seconds that a change waits for another process's; None waits until that is done.
        max_age: of an object store, seconds for which what was read of the slots counts. A service allows some, and goes on with the last known
            ones where the store does not answer; at 0 everything is read anew, and an error says that it cannot.

    Raises:
        ReleasesUnusable: there is something else at that path, or it is no such address.
        ExtraMissing: what reaches the store is not installed.
    """
    if isinstance(place, Path):
        return ReleaseStore(place, patience=patience)
    return RemoteReleases(place, cache or default_cache(), patience=patience, max_age=max_age)
