"""Deleting releases of an object store, where nobody can be kept out meanwhile.

Whoever deletes marks a release first and then looks whether a slot needs it; whoever lets a slot point to one looks afterwards whether it is
marked. So either of the two sees the other, and a slot never stays with a release that goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from app.bundle import MANIFEST
from app.releases.kept import RELEASE
from app.releases.remote.manifests import GOING
from app.releases.remote.objects import Found
from app.releases.remote.store import RemoteReleases

_UNFINISHED = timedelta(days=1)
"""An upload that nothing was added to for so long was left by a process that was killed."""
_DECIDED = timedelta(minutes=1)
"""Whoever marks a release looks at the slots at once; a mark that is older was left by a process that was killed."""


def mark(store: RemoteReleases, releases: Iterable[str], used: Collection[str]) -> list[str]:
    """Say of releases that they are being deleted, and of those that somebody else said it of and did not end.

    Args:
        store: where they are.
        releases: what is to go.
        used: what stays, besides what slots need.

    Returns:
        Those that go; the others are as they were.
    """
    objects, now = store.objects, datetime.now(UTC)
    found = {release: files[GOING] for release, files in _by_release(objects.list("bundles")).items() if GOING in files}
    # Only who set a mark may take it back: who moved a slot may have seen it, and counts on its staying.
    ours = {release for release, mark in found.items() if _is_older(mark, now, _DECIDED)}
    for release in set(releases) - found.keys():
        with suppress(FileExistsError):
            objects.create(f"bundles/{release}/{GOING}", b"")
            ours.add(release)
    needed = {*used, *store.fresh_needed()}
    going = sorted({*releases, *found})
    for release in going:
        if release in needed and release in ours:
            objects.delete(f"bundles/{release}/{GOING}")
    return [release for release in going if release not in needed]


def delete(store: RemoteReleases, releases: Iterable[str]) -> None:
    """Delete marked releases, and what uploads left that were not finished: first what makes it a release, the mark last."""
    objects = store.objects
    for release in releases:
        files = store.copies.files(release)
        for name in sorted(files, key=lambda name: (name != MANIFEST, name == GOING)):
            objects.delete(f"bundles/{release}/{name}")
    now = datetime.now(UTC)
    for release, files in _by_release(objects.list("bundles")).items():
        if MANIFEST not in files and GOING not in files and all(_is_older(found, now, _UNFINISHED) for found in files.values()):
            for name in files:
                objects.delete(f"bundles/{release}/{name}")


def _by_release(objects: dict[str, Found]) -> dict[str, dict[str, Found]]:
    releases: dict[str, dict[str, Found]] = {}
    for name, found in objects.items():
        release, _, file = name.removeprefix("bundles/").rpartition("/")
        if RELEASE.fullmatch(release):
            releases.setdefault(release, {})[file] = found
    return releases


def _is_older(found: Found, now: datetime, age: timedelta) -> bool:
    return found.modified is not None and now - found.modified > age
