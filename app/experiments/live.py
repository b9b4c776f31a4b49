"""Experiments in the running service: what runs, who sees what, and the releases that answer."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from app.experiments.definition import Surface
from app.experiments.exposed import Exposed
from app.experiments.kept import KeptExperiment
from app.experiments.plan import RunningExperiment, SurfacePlan
from app.releases import LiveRelease
from app.store import Database, ExperimentRecords, Impression, ImpressionLog, insert_release

logger = logging.getLogger(__name__)


class LiveExperiments:
    """Follows the experiments of a store.

    A request asks the plan of its surface, which looks nothing up but memory. All else happens beside the event loop, and where the store
    is away, what is known of it goes on. An experiment takes part once the releases of its variants are in memory, or cannot be loaded;
    however long that takes, the others are followed meanwhile.

    Args:
        database: where they are kept.
        lives: what answers the questions of each surface outside of experiments.
        impressions: the exposures of this process on their way to the store.

    Attributes:
        plans: who takes part in what, by surface; where nothing runs there is none.
        running: the experiments that run.
    """

    def __init__(self, database: Database, lives: Mapping[Surface, LiveRelease], impressions: ImpressionLog) -> None:
        self._database = database
        self._records = ExperimentRecords(database)
        self._lives = lives
        self._impressions = impressions
        self.plans: Mapping[Surface, SurfacePlan] = {}
        self.running: list[KeptExperiment] = []
        self._exposed: dict[str, Exposed] = {}
        self._last_change = 0
        self._noted: set[str] = set()
        self._complaints: dict[str, str] = {}
        self._ready: frozenset[_Needs] = frozenset()
        self._is_followed = False
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def follow(self) -> None:
        """Act on what has changed in the store, and load what that needs; what goes wrong is logged once and changes nothing."""
        self.follow_store()
        self.hold_releases()

    def follow_store(self) -> None:
        """Act on what has changed in the store, but for experiments whose releases are not in memory."""
        with self._lock:
            self._is_followed = self._tried("experiments cannot be followed", self._follow)

    def hold_releases(self) -> None:
        """Have in memory what variants need, and nothing else; then those who waited for it take part."""
        with self._loading:
            running = self.running
            if not self._tried("the releases of experiments cannot be held", lambda: self._hold(running)):
                return
            with self._lock:
                before, self._ready = self._ready, frozenset(map(_needs, running))
                if not self._ready <= before and not self._tried("experiments cannot be followed", self._plan):
                    self._ready = before  # they wait until the store can be read
            if self._is_followed:
                self._tried("the releases that answer cannot be noted", self._note_releases)

    async def watch(self, seconds: float) -> None:
        """Follow every so many seconds, beside the event loop; ends when cancelled."""
        holding: asyncio.Task[None] | None = None
        try:
            while True:
                await asyncio.sleep(seconds)
                await asyncio.to_thread(self.follow_store)
                if holding is None or holding.done():
                    holding = asyncio.create_task(asyncio.to_thread(self.hold_releases))
        finally:
            if holding is not None:
                await asyncio.wait([holding])

    def _follow(self) -> None:
        last_change = self._records.last_change()
        is_new = last_change != self._last_change
        if is_new:
            is_other_store = last_change < self._last_change  # such as a backup: what is known of it may never have been
            changed = self._records.changed_since(0 if is_other_store else self._last_change)
            running = {} if is_other_store else {one.name: one for one in self.running}
            for record in changed:
                running.pop(record.name, None)
                one = KeptExperiment(record)
                if record.state == "running" and self._is_understood(one):
                    running[one.name] = one
            self.running = [running[name] for name in sorted(running)]
            self._exposed = {} if is_other_store else {name: self._exposed[name] for name in running if name in self._exposed}
        if is_new or any(exposed.is_settling for exposed in self._exposed.values()):
            self._plan()
            self._last_change = last_change
        for plan in self.plans.values():
            for name, experiment in plan.experiments.items():
                self._exposed[name].let_late_ones_stay(experiment, self._records)

    def _plan(self) -> None:
        with self._impressions.watching() as shown:
            plans = self._planned()
            _keep(plans, shown)  # while it was made, the plan before went on exposing units
            self.plans = plans
            _keep(plans, shown)

    def _is_understood(self, one: KeptExperiment) -> bool:
        def read() -> None:
            assert one.definition and one.allocation is not None

        return self._tried(f"experiment {one.name!r} cannot be understood", read)

    def _planned(self) -> dict[Surface, SurfacePlan]:
        ready = [one for one in self.running if _needs(one) in self._ready]
        for one in ready:
            self._exposed[one.name] = Exposed.under(one, self._exposed.get(one.name), self._records)
        if any(self._exposed[one.name].is_settling for one in ready):
            self._impressions.flush()  # this process's own exposures count too
        by_surface: dict[Surface, list[RunningExperiment]] = {}
        for one in ready:
            running = RunningExperiment(one)
            self._exposed[one.name].let_stay(running, self._records)
            by_surface.setdefault(one.definition.surface, []).append(running)
        return {surface: SurfacePlan(experiments) for surface, experiments in by_surface.items()}

    def _hold(self, running: Sequence[KeptExperiment]) -> None:
        """Have what variants need before anybody is assigned to them."""
        wanted: dict[int, set[str]] = {id(live): set() for live in self._lives.values()}
        for one in running:
            assert one.allocation is not None
            wanted[id(self._lives[one.definition.surface])].update(one.allocation.releases.values())
        for live in {id(live): live for live in self._lives.values()}.values():
            live.hold(sorted(wanted[id(live)]))

    def _note_releases(self) -> None:
        """Tell the store which releases answer, for reports that outlive their bundles; none is made for this alone."""
        answering = {live.current.name: live.current for live in self._lives.values() if live.current is not None}
        for one in self.running:
            for name in one.allocation.releases.values() if one.allocation is not None else ():
                if (release := self._lives[one.definition.surface].find(name)) is not None:
                    answering[name] = release
        new = [release for name, release in answering.items() if name not in self._noted]
        if not new or not self._database.is_there:
            return
        with self._database.begin() as connection:
            for release in new:
                manifest = release.manifest
                insert_release(connection, release.name, release.ranker, manifest.created, manifest.metrics)
        self._noted.update(release.name for release in new)

    def _tried(self, complaint: str, work: Callable[[], None]) -> bool:
        try:
            work()
        except Exception as error:  # whatever is wrong, the watch goes on
            reason = f"{type(error).__name__}: {error}"
            if self._complaints.get(complaint) != reason:  # once, not at every try
                logger.error("%s: %s", complaint, reason)
            self._complaints[complaint] = reason
            return False
        self._complaints.pop(complaint, None)
        return True


_Needs = tuple[str, frozenset[str]]
"""An experiment and the releases of its variants."""


def _needs(one: KeptExperiment) -> _Needs:
    assert one.allocation is not None
    return one.name, frozenset(one.allocation.releases.values())


def _keep(plans: Mapping[Surface, SurfacePlan], shown: Sequence[Impression]) -> None:
    """Let units keep what earlier plans have shown them."""
    for plan in plans.values():
        for running in plan.experiments.values():
            earlier = (
                (one.unit, one.variant, one.propensity, one.revision)
                for one in shown
                if one.experiment == running.name
                and not one.is_override
                and one.unit is not None
                and one.variant is not None
                and one.propensity is not None
                and one.revision is not None
                and one.revision < running.revision
            )
            running.keep(running.moved(earlier))
