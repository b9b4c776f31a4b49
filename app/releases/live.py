"""The release that answers, following its slot."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from time import monotonic

import faiss

from app.bundle import ContentInvalid
from app.errors import NoRelease
from app.releases.release import Release, load_release
from app.releases.store import ReleaseStore
from app.retrieval import Document
from app.store import ItemChanges

logger = logging.getLogger(__name__)

_TRY_AGAIN_SECONDS = 30.0
"""A release that could not be loaded is tried again so much later: its folder may have been mended, or memory be free again."""


class LiveRelease:
    """Holds the release of a slot in memory and swaps it when the slot points elsewhere.

    A request takes `current` once and keeps to it, so a swap is one assignment, and the old release goes with its last request.

    Args:
        store: the folder of releases.
        slot: what to follow.
        changes: of the slot's items, made since its bundles were; None where nothing can change.

    Attributes:
        current: what answers now; None until something was loaded.
        num_swaps: releases that went live here, the first one included.
        num_refusals: releases that could not be loaded.
    """

    def __init__(self, store: ReleaseStore, slot: str, changes: ItemChanges | None = None) -> None:
        store.pointer(slot)
        self.store = store
        self.slot = slot
        self.current: Release | None = None
        self.num_swaps = 0
        self.num_refusals = 0
        self._refused: str | None = None
        self._try_again = 0.0
        self._changes = changes
        self._changed: dict[str, Document | None] = {}
        self._last_change = 0
        self._answered_change = 0
        self._complaint = ""
        self._lock = threading.RLock()

    def release(self) -> Release:
        """What answers.

        Raises:
            NoRelease: nothing is published yet, or nothing that can be loaded.
        """
        if self.current is None:
            if self._refused is None:
                raise NoRelease(
                    f"nothing is published in slot {self.slot!r} yet; publish a bundle: irgan publish BUNDLE --slot {self.slot}"
                )
            raise NoRelease(
                f"what slot {self.slot!r} points to cannot be loaded, the service's log says why; publish another bundle"
            )
        return self.current

    def refresh(self) -> None:
        """Load what the slot points to if that is something new; what cannot be loaded is logged and changes nothing."""
        wanted = "its pointer"
        try:
            release = self.store.current(self.slot)
            if release is None or (self.current is not None and release == self.current.name):
                self._refused = None
                return
            wanted = release
            if wanted == self._refused and monotonic() < self._try_again:
                return
            faiss.omp_set_num_threads(1)  # counts for the calling thread
            loaded = load_release(self.store.path(wanted))
            if loaded.name != wanted:
                raise ContentInvalid(f"the bundle at {self.store.path(wanted)} calls itself {loaded.name}")
            with self._lock:
                self.current, self._refused = self._with_changes(loaded), None
        except Exception as error:  # whatever is wrong with it, the one before goes on answering
            self._refuse(wanted, error)
            return
        self.num_swaps += 1
        logger.info("release %s answers in slot %s", wanted, self.slot)

    def change(self, changes: Mapping[str, Document | None]) -> None:
        """Add, update or delete items, durably; what answers knows of it when this returns.

        Args:
            changes: by id, the item as it is now, or None for a deleted one.

        Raises:
            StoreUnusable: they cannot be written; nothing has changed.
        """
        assert self._changes is not None
        contents = {item: None if document is None else asdict(document) for item, document in changes.items()}
        self._changes.write(self.slot, contents)
        self.follow_changes()

    def follow_changes(self) -> None:
        """Let what answers know of the changes that it does not know of yet, whoever made them.

        Raises:
            StoreUnusable: they cannot be read.
        """
        with self._lock:
            self._read_changes()
            if self._answered_change != self._last_change and self.current is not None:
                self.current = self._with_changes(self.current)

    def _read_changes(self) -> None:
        for change in [] if self._changes is None else self._changes.since(self.slot, self._last_change):
            self._changed[change.item] = None if change.content is None else Document(**change.content)
            self._last_change = change.number

    def _with_changes(self, release: Release) -> Release:
        if release.engine is not None and self._changed:
            faiss.omp_set_num_threads(1)
            release = replace(release, engine=release.engine.with_changes(self._changed))
        self._answered_change = self._last_change
        return release

    def follow(self) -> None:
        """Load what is new in the slot and what has changed of its items; what goes wrong is logged and changes nothing."""
        self.refresh()
        try:
            self.follow_changes()
            self._complaint = ""
        except Exception as error:  # whatever is wrong with them, the watch goes on
            reason = f"{type(error).__name__}: {error}"
            if reason != self._complaint:  # once, not at every try
                logger.error("slot %s: what has changed of its items cannot be answered: %s", self.slot, reason)
            self._complaint = reason

    async def watch(self, seconds: float) -> None:
        """Look for a new release and for changed items every so many seconds, beside the event loop; ends when cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.follow)

    def _refuse(self, wanted: str, error: Exception) -> None:
        if wanted != self._refused:  # once, not at every try
            still = "nothing answers" if self.current is None else f"{self.current.name} goes on answering"
            reason = f"{type(error).__name__}: {error}"
            logger.error("slot %s: %s cannot be loaded, %s: %s", self.slot, wanted, still, reason)
            self.num_refusals += 1
        self._refused, self._try_again = wanted, monotonic() + _TRY_AGAIN_SECONDS
