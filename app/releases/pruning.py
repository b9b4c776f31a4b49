"""Deleting old releases, and never one that somebody needs."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from app.bundle import Manifest
from app.releases.files import set_aside
from app.releases.history import previous
from app.releases.kept import KeptReleases
from app.releases.remote import RemoteReleases
from app.releases.remote.deleting import delete, mark
from app.releases.store import ReleaseStore

_LEFTOVERS = ("bundles/*/.*.tmp", "slots/.*.tmp", "history/.*.tmp")


def prune(
    store: KeptReleases, keep: int, *, in_use: AbstractContextManager[Collection[str]] | None = None, dry_run: bool = False
) -> list[Manifest]:
    """Delete old releases, but none that a slot points to or would roll back to; services that hold one in memory go on.

    Each is renamed first, so that none is ever half there, and what a killed process did not delete the next one does.

    Args:
        store: where the releases are.
        keep: so many of each name stay, those made last.
        in_use: entered while it is decided what goes: releases that stay whatever their age.
        dry_run: only say what would go.

    Returns:
        The manifests of what went.

    Raises:
        SlotInvalid: a slot's files hold something else, so that nobody can say what it needs; nothing was deleted.
        ReleasesBusy: another process is changing something, for longer than this one waits.
        OSError: the folder cannot be written.
    """
    if isinstance(store, ReleaseStore) and not store.folder.is_dir():
        return []
    if dry_run:
        with in_use or nullcontext(()) as used:
            return _old(store, keep, used)
    if isinstance(store, ReleaseStore):
        return _pruned_folder(store, keep, in_use or nullcontext(()))
    assert isinstance(store, RemoteReleases)
    with store.locked():
        with in_use or nullcontext(()) as used:
            old = _old(store, keep, used)
            going = mark(store, [manifest.release for manifest in old], used)
        delete(store, going)
    return [manifest for manifest in old if manifest.release in going]


def _pruned_folder(store: ReleaseStore, keep: int, in_use: AbstractContextManager[Collection[str]]) -> list[Manifest]:
    with store.locked():
        with in_use as used:
            old = _old(store, keep, used)
            for manifest in old:
                set_aside(store.path(manifest.release))
        # Those of killed processes too: nobody is writing one, for the lock is ours.
        leftovers = [path for pattern in _LEFTOVERS for path in store.folder.glob(pattern)]
    for path in leftovers:
        _delete(path)
    return old


def _old(store: KeptReleases, keep: int, used: Collection[str]) -> list[Manifest]:
    slots = store.slots()
    needed = {*used, *slots.values(), *(previous(store.history(slot)) for slot in slots)}
    by_name: dict[str, list[Manifest]] = {}
    for manifest in store.published():
        by_name.setdefault(manifest.name, []).append(manifest)
    return [
        manifest
        for manifests in by_name.values()
        for manifest in manifests[: max(len(manifests) - keep, 0)]
        if manifest.release not in needed
    ]


def _delete(path: Path) -> None:
    """What cannot be deleted now, because a network's file system keeps open files for instance, is deleted next time."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
