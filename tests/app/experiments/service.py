"""Releases and definitions that tests of running experiments share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.bundle import write_bundle
from app.experiments.definition import Experiment, Surface
from app.experiments.lifecycle import Experiments
from app.experiments.live import LiveExperiments
from app.experiments.plan import Assigned
from app.releases import LiveRelease, ReleaseStore
from app.store import Database, Impression, ImpressionLog, Writer
from app.store.tables import moment
from tests.conftest import make_draft


def publish(folder: Path, *, versions: tuple[str, ...] = ("v1", "v2"), slot: str = "champion") -> ReleaseStore:
    """Recommenders `sample/VERSION` that rank differently; the first stays in the slot, the others in slots of their versions' names."""
    store = ReleaseStore(folder / "releases")
    for seed, version in enumerate(versions):
        bundle = write_bundle(make_draft(num_items=60, num_users=12, seed=seed, version=version), folder / "drafts")
        store.publish(bundle, slot if seed == 0 else version)
    return store


def definition(name: str = "test", **given: Any) -> Experiment:
    """Half the units see v1, half v2."""
    variants = [{"name": "control", "release": "champion"}, {"name": "treatment", "release": "sample/v2"}]
    return Experiment.model_validate({"name": name, "variants": variants, **given})


class Service:
    """What one process of the service has of experiments; it follows the store when told."""

    def __init__(self, url: str, releases: ReleaseStore, *, impressions: ImpressionLog | None = None) -> None:
        self.database = Database(url)
        self.live = LiveRelease(releases, "champion")
        self.live.follow()
        self.writer = Writer(self.database, linger=0.0)
        self.impressions = impressions or ImpressionLog(self.writer)
        surfaces: tuple[Surface, ...] = ("recommendations", "similar", "search", "rerank")
        self.running = LiveExperiments(self.database, dict.fromkeys(surfaces, self.live), self.impressions)
        self.experiments = Experiments(self.database, releases)
        self._num_answers = 0

    def assign(
        self, surface: Surface, user: str | None, session: str | None = None, override: str | None = None
    ) -> Assigned | None:
        """What whoever asks takes part in."""
        plan = self.running.plans.get(surface)
        return None if plan is None else plan.assign(user, session, override)

    def seen(self, unit: str, surface: Surface = "recommendations") -> tuple[str, str] | None:
        """Experiment and variant that a user sees, written down as an answer is."""
        assigned = self.assign(surface, unit)
        if assigned is None:
            return None
        self._num_answers += 1
        part = assigned.part
        self.impressions.record(
            Impression(
                request_id=f"{id(self)}-{self._num_answers}",
                time=moment(self._num_answers),
                surface=surface,
                user=unit,
                session=None,
                experiment=part.experiment,
                unit=unit,
                variant=part.variant,
                propensity=part.propensity,
                is_override=assigned.is_override,
                revision=part.revision,
                release="sample/v1",
                milliseconds=1.0,
                items="[]",
            )
        )
        return part.experiment, part.variant

    def close(self) -> None:
        """As at the end of a process."""
        self.impressions.close()
        self.writer.close()
        self.database.close()
