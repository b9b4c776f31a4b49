"""Releases that are held in memory beside the one that a slot points to, for as long as somebody needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from time import monotonic, perf_counter

import faiss

from app.bundle import ContentInvalid
from app.releases.kept import KeptReleases
from app.releases.release import Release, load_release
from app.telemetry import span

logger = logging.getLogger(__name__)

TRY_AGAIN_SECONDS = 30.0
"""A release that could not be loaded is tried again so much later: its folder may have been mended, or memory be free again."""


class ReleasePool:
    """Verified releases by their names.

    Whoever asks takes a release once and keeps to it, so one that is let go ends with its last request.

    Args:
        store: where the releases are.

    Attributes:
        num_refusals: releases that could not be loaded.
        num_loads: releases that were read, by whoever asked for it.
        load_seconds: that this took, all together.
    """

    def __init__(self, store: KeptReleases) -> None:
        self._store = store
        self._releases: dict[str, Release] = {}
        self._try_again: dict[str, float] = {}
        self.num_refusals = self.num_loads = 0
        self.load_seconds = 0.0

    def get(self, name: str) -> Release | None:
        """One that is held."""
        return self._releases.get(name)

    def put(self, release: Release) -> None:
        """Hold one."""
        self._releases = {**self._releases, release.name: release}

    def load(self, name: str) -> Release | None:
        """One from its folder; None, and a line in the log, where it cannot be loaded, or could not a moment ago."""
        if monotonic() < self._try_again.get(name, 0.0):
            return None
        faiss.omp_set_num_threads(1)  # counts for the calling thread
        try:
            release = self.read(name)
        except Exception as error:  # whatever is wrong with it, others answer
            if name not in self._try_again:  # once, not at every try
                logger.error("release %s cannot be loaded: %s: %s", name, type(error).__name__, error)
                self.num_refusals += 1
            self._try_again[name] = monotonic() + TRY_AGAIN_SECONDS
            return None
        self._try_again.pop(name, None)
        logger.info("release %s is ready to answer beside others", name)
        return release

    def read(self, name: str) -> Release:
        """One from its folder, without holding it.

        Raises:
            BundleError: it cannot be served, or calls itself otherwise.
        """
        started = perf_counter()
        with span("release load", release=name):
            release = verified(self._store, name)
        self.num_loads += 1
        self.load_seconds += perf_counter() - started
        return release

    def keep(self, names: Collection[str]) -> None:
        """Let all others go."""
        for name in set(self._releases) - set(names):
            logger.info("release %s is no longer needed", name)
        self._releases = {name: release for name, release in self._releases.items() if name in names}
        self._try_again = {name: time for name, time in self._try_again.items() if name in names}

    def change(self, change: Callable[[Release], Release]) -> None:
        """Put others in the place of all; one that cannot be changed is let go, and loaded again if it is needed."""
        changed: dict[str, Release] = {}
        for name, release in self._releases.items():
            try:
                changed[name] = change(release)
            except Exception as error:  # the changes were made for another release, and must not fail for this one
                logger.error("release %s cannot follow what has changed: %s: %s", name, type(error).__name__, error)
                self._try_again[name] = monotonic() + TRY_AGAIN_SECONDS
        self._releases = changed


def verified(store: KeptReleases, name: str) -> Release:
    """The release of that name, loaded.

    Raises:
        BundleError: it cannot be served, or calls itself otherwise.
    """
    loaded = store.loaded(name, load_release)
    if loaded.name != name:
        raise ContentInvalid(f"the bundle at {store.path(name)} calls itself {loaded.name}")
    return loaded
