"""Bandits in the running service: every so often one of the processes gives the better variants more units.

Shapes: N units.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from app.experiments.bandit import Arm, Assigned, allocate, arm
from app.experiments.kept import KeptExperiment
from app.experiments.lifecycle import Experiments
from app.experiments.outcomes import read_outcomes
from app.store import Database, ExperimentRecords

logger = logging.getLogger(__name__)


class Reallocations:
    """Reallocates bandits when they are due.

    Every process does it; which of those that find one due at the same time is heard, the store says: weights are written if nobody has
    changed the experiment since they were computed.

    Args:
        database: where experiments and what came of them are kept.
        experiments: that can be changed.
        running: those that run, as they are known.
        rng: draws from posteriors.
    """

    def __init__(
        self,
        database: Database,
        experiments: Experiments,
        running: Callable[[], Sequence[KeptExperiment]],
        rng: np.random.Generator,
    ) -> None:
        self._database = database
        self._records = ExperimentRecords(database)
        self._experiments = experiments
        self._running = running
        self._rng = rng
        self._complaints: dict[str, str] = {}

    def follow(self) -> list[str]:
        """Reallocate those that are due; what goes wrong is logged once and tried again.

        Returns:
            The names of those that this process has reallocated.
        """
        return [one.name for one in self._running() if one.definition.kind == "bandit" and self._tried(one)]

    async def watch(self, seconds: float) -> None:
        """Look every so many seconds, beside the event loop; ends when cancelled."""
        while True:
            await asyncio.sleep(seconds)
            if self._running():
                await asyncio.to_thread(self.follow)

    def _tried(self, one: KeptExperiment) -> bool:
        try:
            done = self._is_due(one) and self._reallocate(one.name)
        except Exception as error:  # whatever is wrong, its shares stay as they are, and the others' follow
            reason = f"{type(error).__name__}: {error}"
            if reason != self._complaints.get(one.name):
                logger.error("bandit %s cannot be reallocated: %s", one.name, reason)
            self._complaints[one.name] = reason
            return False
        self._complaints.pop(one.name, None)
        return done

    def _is_due(self, one: KeptExperiment) -> bool:
        allocated = self._records.allocated_at(one.name)
        return allocated is not None and datetime.now(UTC) - allocated >= timedelta(minutes=one.definition.bandit.minutes)

    def _reallocate(self, name: str) -> bool:
        one = self._experiments.get(name)
        if one.state != "running" or not self._is_due(one):  # another process has done it since this one looked
            return False
        weights = weights_of(self._database, one, self._rng)
        done = self._experiments.reallocate(name, weights, revision=one.record.revision)
        if done:
            logger.info("bandit %s: %s", name, ", ".join(f"{variant} {share:.2%}" for variant, share in weights.items()))
        return done


def weights_of(database: Database, one: KeptExperiment, rng: np.random.Generator) -> dict[str, float]:
    """The shares that a bandit's variants are to have, by what came of them so far.

    Args:
        database: where that is kept.
        one: the bandit.
        rng: draws from posteriors.

    Raises:
        StoreUnusable: it cannot be read.
    """
    definition = one.definition
    outcomes = read_outcomes(database, one.record, before=timedelta(0))
    measured = next(outcomes.measured(definition.primary, [outcomes.end]))
    units = outcomes.units
    arms = []
    for row in range(len(definition.variants)):
        own_N = measured.is_in_N & (units.variant_N == row)
        lower_N = None if measured.denominator_N is None else measured.denominator_N[own_N]
        if lower_N is not None and not lower_N.any():
            arms.append(Arm(0.0, 0.0, 0.0))  # nothing to divide by yet
            continue
        assigned = Assigned(
            numerator_N=measured.numerator_N[own_N], propensity_N=units.propensity_N[own_N], denominator_N=lower_N
        )
        arms.append(arm(assigned))
    shares_V = allocate(
        arms,
        rng,
        floor=definition.bandit.floor,
        model="binary" if definition.primary.is_binary else "mean",
        higher_is_better=definition.primary.better == "higher",
    )
    return {variant.name: share for variant, share in zip(definition.variants, shares_V.tolist(), strict=True)}
