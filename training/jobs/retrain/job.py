"""One retraining from beginning to end: snapshot, validate, train, judge, decide, release, publish, record.

Every step's result is kept, so a process that is killed is followed by one that goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import torch

from app.bundle.writing import libraries
from app.releases import KeptReleases, ReleaseError, open_releases
from training.data import Dataset, Split, make_split
from training.errors import ConfigError, DataError, Interrupted
from training.jobs.retrain.candidates import everything, make_release, rankers_of, train_candidate
from training.jobs.retrain.checks import check
from training.jobs.retrain.config import Ranker, RetrainConfig
from training.jobs.retrain.folder import RunFolder, RunsFolder, now
from training.jobs.retrain.gate import decide
from training.jobs.retrain.judge import judge
from training.jobs.retrain.live import LEARNED_UNTIL, SETTINGS, live_release, twin_of
from training.jobs.retrain.outcome import Decision, RetrainOutcome
from training.jobs.retrain.places import Places
from training.jobs.retrain.profile import profile_of
from training.jobs.retrain.snapshot import read_snapshot, take_snapshot
from training.jobs.retrain.steps import Result, Steps, identity_of
from training.jobs.retrain.warm_start import find_source, source_of
from training.loop import choose_device

_log = logging.getLogger(__name__)


class _End(Exception):
    """The run is over before its last step."""

    def __init__(self, decision: Decision, why: str) -> None:
        super().__init__(why)
        self.decision: Decision = decision


def retrain(config: RetrainConfig, places: Places, *, accept_change: bool = False) -> RetrainOutcome:
    """Run once, or go on with the run that was left unfinished.

    Args:
        config: what to do.
        places: where releases and events are.
        accept_change: data that changed more than the limits allow are accepted this time.

    Raises:
        AnotherRun: one is at work already.
        InputError: what the configuration names cannot be used.
        BundleError: the live release cannot be read.
        OSError: the disk is full, say; started again, the run goes on.
        Interrupted: Ctrl-C; likewise.
    """
    device = choose_device(config.run.device)
    runs = RunsFolder(config.run.folder)
    releases = open_releases(places.releases)
    with runs.locked():
        run = _begun(runs, config, places, device)
        try:
            outcome = _Job(config, places, releases, runs, run, device, accept_change).finish()
        except (KeyboardInterrupt, Interrupted) as error:
            raise Interrupted(f"run {run.name} was interrupted; started again, it goes on") from error
        try:
            runs.prune(config.run.keep, in_use=lambda: set(releases.slots().values()))
        except (OSError, ReleaseError) as error:  # what was decided stands; the next night tidies up
            _log.warning("what old runs left stays for now: %s", error)
    return outcome


def _begun(runs: RunsFolder, config: RetrainConfig, places: Places, device: torch.device) -> RunFolder:
    """The unfinished run where it may be gone on with, or else a new one."""
    found = [str(places.releases), places.store, str(device)]
    identity = identity_of([config.model_dump(mode="json"), found])
    for run in runs.runs():
        if run.record is not None:
            continue
        stale = _stale(run, identity, config)
        if stale is None:
            run.tidy()
            _log.info("run %s goes on", run.name)
            return run
        run.finish({"run": run.name, "started": run.started.isoformat(), "decision": "abandoned", "why": stale})
        _log.info("run %s is abandoned: %s", run.name, stale)
    run = runs.begin(identity)
    _log.info("run %s begins", run.name)
    return run


def _stale(run: RunFolder, identity: str, config: RetrainConfig) -> str | None:
    """Why an unfinished run is not gone on with."""
    if run.config != identity:
        return "it was begun under another configuration, with other releases or another store, or on another device"
    if run.libraries != libraries():
        return "it was begun with other versions of libraries"
    begun_ago = now() - run.started
    if begun_ago > timedelta(hours=config.run.give_up_hours) and Steps(run.path / "steps").result("release") is None:
        return f"it was begun {begun_ago / timedelta(hours=1):.0f} hours ago and has not come to publishing (run.give_up_hours)"
    return None


@dataclass(slots=True)
class _Job:
    config: RetrainConfig
    places: Places
    releases: KeptReleases
    runs: RunsFolder
    run: RunFolder
    device: torch.device
    accept_change: bool

    def finish(self) -> RetrainOutcome:
        """Every step that is left."""
        steps = Steps(self.run.path / "steps")
        told: dict[str, Any] = {}
        failed: ConfigError | None = None
        try:
            self._all(steps, told)
            decision: Decision = "published"
            why = told["gate"]["why"]
        except _End as end:
            decision, why = end.decision, str(end)
        except DataError as error:
            decision, why = "refused", str(error)
        except ConfigError as error:
            decision, why, failed = "failed", str(error), error
        record = {
            "run": self.run.name,
            "started": self.run.started.isoformat(),
            "finished": datetime.now(UTC).isoformat(),
            "decision": decision,
            "why": why,
            "config": self.config.shown(),
            **told,
            "seconds": steps.seconds,
            "device": str(self.device),
            "libraries": self.run.libraries,
            "commit": self.run.commit,
        }
        self.run.finish(record)
        if failed is not None:
            raise failed
        return RetrainOutcome(record)

    def _all(self, steps: Steps, told: dict[str, Any]) -> None:
        config, run = self.config, self.run
        snapshot = steps.take("snapshot", config.data.model_dump(mode="json"), self._snapshot)
        told["snapshot"] = snapshot
        dataset, split = self._data(snapshot)
        profile = steps.take(
            "profile", snapshot["events"], lambda: profile_of(dataset, has_item_table=snapshot["items"] is not None)
        )
        last = self._last_profile()
        found = steps.take(
            "validate",
            [snapshot["events"], last and last[0], self.accept_change],
            lambda: self._validate(profile, last and last[1]),
        )
        told["data"] = {**{key: value for key, value in profile.items() if key != "popularity"}, **found}
        if not found["passed"]:
            wrong = [*found["problems"], *found["changes"]]
            raise _End("refused", "\n".join(["the data are not trained on:", *(f"  {problem}" for problem in wrong)]))

        rankers = rankers_of(config, has_ratings=snapshot["has_ratings"])

        def note_the_live() -> Result:
            return steps.take(
                "live", config.gate.model_dump(mode="json"), lambda: live_release(self.releases, split, config.gate)
            )

        # Late, so that what was promoted meanwhile is what is compared with; early where rankers begin with it.
        warm = [ranker for ranker in rankers if ranker.warm_start is not None]
        if warm:
            live = note_the_live()
            sources = steps.take(
                "warm-start",
                [live, [ranker.model_dump(mode="json") for ranker in warm]],
                lambda: {ranker.name: find_source(ranker, live, self.releases, self.runs.runs()) for ranker in warm},
            )
        else:
            sources = {}
        candidates = {
            ranker.name: steps.take(f"train-{ranker.name}", *self._training(ranker, split, sources)) for ranker in rankers
        }
        told["warm_start"] = {name: trained["warm_start"] for name, trained in candidates.items()}
        live = note_the_live()
        twin = twin_of(live)
        if twin is not None:
            live |= steps.take("train-the-live", *self._training(twin, split, {}, "live"))
        judged = steps.take(
            "judge", [candidates, live, config.gate.model_dump(mode="json")], lambda: self._judge(candidates, live, split)
        )
        told["judged"] = judged
        gate = steps.take("gate", judged, lambda: decide(judged, config.gate, config.publish))
        told["gate"] = gate
        if gate["chosen"] is None:
            raise _End("rejected", gate["why"])

        chosen = next(ranker for ranker in rankers if ranker.name == gate["chosen"])
        source = candidates[chosen.name]
        if config.publish.refit:
            whole = everything(dataset)
            source = steps.take(f"refit-{chosen.name}", *self._training(chosen, whole, sources, "refit"))
        release = steps.take(
            "release",
            [source, gate["chosen"]],
            lambda: self._release(chosen, source, judged, gate=gate, dataset=dataset, split=split),
        )
        published = steps.take("publish", [release, gate["slots"]], lambda: self._publish(release, gate["slots"]))
        told["release"] = {**release, **published, "refit": config.publish.refit, "folder": str(self.places.releases)}
        _log.info("run %s: %s is published in %s", run.name, release["release"], ", ".join(gate["slots"]))

    def _snapshot(self) -> Result:
        return take_snapshot(self.config.data, self.run.path / "snapshot", store=self.places.store)

    def _data(self, snapshot: Result) -> tuple[Dataset, Split]:
        dataset = read_snapshot(self.config.data, self.run.path / "snapshot", snapshot)
        return dataset, make_split(dataset, "time", fraction=self.config.split.test_fraction)

    def _last_profile(self) -> tuple[str, Result] | None:
        """Of the last finished run whose data were accepted."""
        for run in reversed(self.runs.runs()):
            record = run.record
            profile = Steps(run.path / "steps").result("profile")
            if record is not None and profile is not None and record.get("data", {}).get("passed"):
                return run.name, profile
        return None

    def _validate(self, profile: Result, last: Result | None) -> Result:
        found = check(profile, last, self.config.validation)
        return {
            "problems": found.problems,
            "changes": found.changes,
            "drift": found.drift,
            "passed": not found.problems and (self.accept_change or not found.changes),
        }

    def _training(
        self, ranker: Ranker, split: Split, sources: Result, part: str = "candidates"
    ) -> tuple[Any, Callable[[], Result]]:
        """What a training depends on, and the training."""
        found = sources.get(ranker.name)
        inputs = [
            ranker.kind, ranker.name, ranker.seed, ranker.config().model_dump(mode="json"), split.train.fingerprint(), str(self.device),
            *([] if found is None else [ranker.warm_config().model_dump(mode="json"), found]),
        ]  # fmt: skip

        def train() -> Result:
            return train_candidate(
                ranker,
                split,
                self.run,
                part=part,
                device=self.device,
                checkpoint_every=self.config.run.checkpoint_every,
                source=None if found is None else source_of(found, part, split, self.runs.path),
            )

        return inputs, train

    def _judge(self, candidates: dict[str, Result], live: Result, split: Split) -> Result:
        paths = {name: self.run.path / told["bundle"] for name, told in candidates.items()}
        against = None if live["release"] is None else self.releases.path(live["release"])
        if live["twin"] is not None:
            against = self.run.path / live["bundle"]
        return judge(paths, live, against, split, self.config.gate)

    def _release(
        self, chosen: Ranker, source: Result, judged: Result, *, gate: Result, dataset: Dataset, split: Split
    ) -> Result:
        learned = dataset.interactions if self.config.publish.refit else split.train
        assert learned.times is not None
        compared = judged["comparisons"].get(gate["chosen"])
        measured = judged["candidates"][gate["chosen"]]["metrics"]
        retraining = {
            "run": self.run.name,
            LEARNED_UNTIL: int(learned.times.max()),
            "refit": self.config.publish.refit,
            "warm_start": source["warm_start"],
            **({} if chosen.warm_start is None else {SETTINGS: chosen.config().model_dump(mode="json")}),
            # Times of answers are left out: a release is a function of data, configuration and the moment the run began.
            "compared": None
            if compared is None
            else {key: compared[key] for key in ("metric", "difference", "interval", "level")},
            **({"measured_before_refit": measured} if self.config.publish.refit else {}),
        }
        return make_release(
            self.run.path / source["bundle"],
            self.run.path / "release",
            seen=dataset.interactions.histories(),
            metrics={} if self.config.publish.refit else measured,
            retraining=retraining,
        )

    def _publish(self, release: Result, slots: list[str]) -> Result:
        done = {}
        for slot in slots:
            # Somebody may have gone back from it since a process was killed here: what was published is not published again.
            if not any(change.release == release["release"] for change in self.releases.history(slot)):
                self.releases.publish(self.run.path / "release", slot)
            done[slot] = release["release"]
        return {"slots": done}
