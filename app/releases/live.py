"""The release that answers, following its slot."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from time import monotonic, time

import faiss

from app.errors import NoRelease
from app.releases.kept import KeptReleases, check_slot
from app.releases.pool import TRY_AGAIN_SECONDS, ReleasePool
from app.releases.release import Release
from app.retrieval import Document
from app.store import ItemChanges
from app.telemetry import span

logger = logging.getLogger(__name__)


class LiveRelease:
    """Holds the release of a slot in memory and swaps it when the slot points elsewhere.

    A request takes `current` once and keeps to it, so a swap is one assignment, and the old release goes with its last request.

    Args:
        store: where the releases are.
        slot: what to follow.
        changes: of the slot's items, made since its bundles were; None where nothing can change.

    Attributes:
        current: what answers now; None until something was loaded.
        num_swaps: releases that went live here, the first one included.
        since: when `current` went live here, Unix time.
        num_refusals: releases that could not be loaded, for the slot or beside it.
        num_loads: releases that were read, for the slot or beside it.
        load_seconds: that this took, all together.
    """

    def __init__(self, store: KeptReleases, slot: str, changes: ItemChanges | None = None) -> None:
        self.store = store
        self.slot = check_slot(slot)
        self.current: Release | None = None
        self.num_swaps = 0
        self.since = 0.0
        self.num_refusals = 0
        self._refused: str | None = None
        self._try_again = 0.0
        self._pool = ReleasePool(store)
        self._wanted: Collection[str] = ()
        self._changes = changes
        self._changed: dict[str, Document | None] = {}
        self._last_change = 0
        self._answered_change = 0
        self._complaint = ""
        self._lock = threading.RLock()

    @property
    def num_loads(self) -> int:
        """See the class."""
        return self._pool.num_loads

    @property
    def load_seconds(self) -> float:
        """See the class."""
        return self._pool.load_seconds

    @property
    def is_refused(self) -> bool:
        """Whether the slot points to something that cannot be loaded, so that something else answers, or nothing."""
        return self._refused is not None

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

    def find(self, name: str) -> Release | None:
        """A release by its name: the one that answers in the slot, or one that is held beside it."""
        current = self.current
        return current if current is not None and current.name == name else self._pool.get(name)

    def hold(self, names: Collection[str]) -> None:
        """Have these releases ready beside what answers in the slot, and no others; what cannot be loaded is logged and left out."""
        self.store.hold(self.slot, names)
        with self._lock:
            self._wanted = names
            self._pool.keep([name for name in names if self.current is None or name != self.current.name])
        refused = self._pool.num_refusals
        loaded = [release for name in names if self.find(name) is None and (release := self._pool.load(name)) is not None]
        self.num_refusals += self._pool.num_refusals - refused
        with self._lock:
            for release in loaded:
                self._pool.put(release)
            if loaded:
                self._pool.change(self._changed_as)

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
            with span("release swap", slot=self.slot, release=wanted):
                loaded = self._pool.get(wanted) or self._pool.read(wanted)
                with self._lock:
                    if self.current is not None and self.current.name in self._wanted:
                        self._pool.put(self.current)
                    self.current, self._refused = self._changed_as(loaded), None
        except Exception as error:  # whatever is wrong with it, the one before goes on answering
            self._refuse(wanted, error)
            return
        self.num_swaps += 1
        self.since = time()
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
            if self._answered_change != self._last_change:
                if self.current is not None:
                    self.current = self._changed_as(self.current)
                self._pool.change(self._changed_as)
                self._answered_change = self._last_change

    def _read_changes(self) -> None:
        for change in [] if self._changes is None else self._changes.since(self.slot, self._last_change):
            self._changed[change.item] = None if change.content is None else Document(**change.content)
            self._last_change = change.number

    def _changed_as(self, release: Release) -> Release:
        """A release with all that is known to have changed of its items."""
        if release.engine is None or not self._changed:
            return release
        faiss.omp_set_num_threads(1)
        return replace(release, engine=release.engine.with_changes(self._changed))

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
        # A thread of its own: a release can take long to fetch, and others need the threads that everybody shares.
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"slot-{self.slot}")
        try:
            while True:
                await asyncio.sleep(seconds)
                await asyncio.get_running_loop().run_in_executor(thread, self.follow)
        finally:
            await asyncio.to_thread(thread.shutdown)

    def _refuse(self, wanted: str, error: Exception) -> None:
        if wanted != self._refused:  # once, not at every try
            still = "nothing answers" if self.current is None else f"{self.current.name} goes on answering"
            reason = f"{type(error).__name__}: {error}"
            logger.error("slot %s: %s cannot be loaded, %s: %s", self.slot, wanted, still, reason)
            self.num_refusals += 1
        self._refused, self._try_again = wanted, monotonic() + TRY_AGAIN_SECONDS
