"""Who was exposed before the allocation in force, and goes on seeing what they saw: read from the store once, then only what is new."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from app.experiments.assignment import Allocation
from app.experiments.kept import KeptExperiment
from app.experiments.plan import Part, RunningExperiment
from app.experiments.spans import Spans, minus, union
from app.store import ExperimentRecords

_SETTLING_SECONDS = 5.0
"""So long after an allocation has changed, services that do not know of it yet may still expose units by the one before."""
_LATE_SECONDS = 5.0
"""How often to look for exposures that came later still: of a service that could not write for a while."""


class Exposed:
    """The units of one running experiment that keep a variant from before, as far as the store knows of them.

    Args:
        revision: of the allocation in force.
        variants: that have given positions away since they first had them; units that have seen others see the same now.
    """

    def __init__(self, revision: int, variants: list[str]) -> None:
        self._revision = revision
        self._variants = variants
        self._parts: dict[str, Part] = {}
        self._since: int | None = None
        self._settled_at = monotonic() + _SETTLING_SECONDS
        self._look_again_at = self._settled_at + _LATE_SECONDS

    @classmethod
    def under(cls, one: KeptExperiment, known: Exposed | None, records: ExperimentRecords) -> Exposed:
        """What is known already, where the variants' positions are as they were then; else nothing yet.

        Args:
            one: the experiment, running.
            known: what was known of it before.
            records: where allocations are kept.
        """
        if known is not None and known._revision == one.allocated_in:
            return known
        assert one.allocation is not None
        now = one.allocation.variants
        kept = {revision: content for revision, content in records.allocations(one.name).items() if revision < one.allocated_in}
        earlier = {revision: Allocation.from_json(content).variants for revision, content in kept.items()}
        if known is not None and all(then == now for revision, then in earlier.items() if revision >= known._revision):
            known._revision = one.allocated_in
            return known
        return cls(one.allocated_in, _givers(now, list(earlier.values())))

    @property
    def is_settling(self) -> bool:
        """Whether the store has, or may get, exposures that are not known yet."""
        return bool(self._variants) and (self._since is None or monotonic() < self._settled_at)

    def let_stay(self, running: RunningExperiment, records: ExperimentRecords) -> None:
        """Read what may be new, and have an experiment keep all that is known.

        Args:
            running: the experiment, with the allocation in force.
            records: where exposures are kept.

        Raises:
            StoreUnusable: they cannot be read.
        """
        if self.is_settling:
            self._parts |= self._moved(running, records)
        running.keep(self._parts)

    def let_late_ones_stay(self, running: RunningExperiment, records: ExperimentRecords) -> None:
        """Now and then have an experiment that runs keep whoever another process was late to write down.

        Args:
            running: the experiment, as it assigns units.
            records: where exposures are kept.

        Raises:
            StoreUnusable: they cannot be read.
        """
        if self._variants and monotonic() >= self._look_again_at:
            self._look_again_at = monotonic() + _LATE_SECONDS
            late = {unit: part for unit, part in self._moved(running, records).items() if unit not in self._parts}
            self._parts |= late
            running.keep(late)

    def _moved(self, running: RunningExperiment, records: ExperimentRecords) -> dict[str, Part]:
        wanted = records.exposures(running.name, variants=self._variants, before=self._revision, since=self._since)
        with wanted as (last, exposures):
            moved = running.moved(exposures)
        self._since = last
        return moved


def _givers(now: Mapping[str, Spans], earlier: list[Mapping[str, Spans]]) -> list[str]:
    """Variants that do not have all positions any more that they have ever had."""
    return [
        variant for variant, spans in now.items() if minus(union(*(variants.get(variant, ()) for variants in earlier)), spans)
    ]
