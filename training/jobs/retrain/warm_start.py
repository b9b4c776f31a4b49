"""Which weights a ranker begins with: those of the run whose release is live, where they may be used.

What may be used has learned nothing later than what is learned from now. So what is judged begins with weights that have not seen the test part,
and what a release says of when it learned holds for the weights it began with too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.bundle import read_manifest, sha256_of
from app.releases import KeptReleases
from training.data import Split
from training.errors import DataError
from training.jobs.retrain.config import Ranker
from training.jobs.retrain.folder import RunFolder
from training.jobs.retrain.live import SETTINGS
from training.jobs.retrain.steps import Result, Steps
from training.warm import Weights, fingerprint_of

_log = logging.getLogger(__name__)

NOT_ASKED, NOT_APPLICABLE = "no", "not applicable"


@dataclass(frozen=True, slots=True)
class Source:
    """What a training begins with.

    Attributes:
        told: where it is from, in words, or why there is none.
        weights: None to begin with nothing.
    """

    told: str
    weights: Weights | None = None


def weights_folder(run: RunFolder, part: str, name: str) -> Path:
    """Where a run keeps what a ranker's training left."""
    return run.path / "weights" / part / name


def find_source(ranker: Ranker, live: Result, store: KeptReleases, runs: list[RunFolder]) -> Result:
    """The weights behind the live release; JSON values only.

    Args:
        ranker: that may begin with them.
        live: see `live_release`.
        store: with that release.
        runs: all there are.

    Returns:
        `release`; `why` there is nothing to begin with, or None; `weights`: part → folder and fingerprint, for `candidates` and `refit`.
    """
    found: Result = {"release": live["release"], "why": None, "weights": {}}
    try:
        found["weights"] = _weights(ranker, live, store, runs)
    except _Unusable as why:
        found["why"] = str(why)
    return found


class _Unusable(Exception):
    """Why there is nothing to begin with."""


def _weights(ranker: Ranker, live: Result, store: KeptReleases, runs: list[RunFolder]) -> dict[str, Any]:
    release = live["release"]
    if release is None:
        raise _Unusable("nothing is live")
    if live["ranker"] != ranker.kind:
        raise _Unusable(f"{release} is of {live['ranker']}")
    manifest_file = store.path(release) / "manifest.json"
    told = read_manifest(manifest_file.parent).training.get("retraining")
    told = told if isinstance(told, dict) else {}
    run = next((one for one in runs if one.name == told.get("run")), None)
    steps = None if run is None else Steps(run.path / "steps")
    made = None if steps is None else steps.result("release")
    if run is None or steps is None or made is None or made["manifest"] != sha256_of(manifest_file):
        raise _Unusable(f"{release} was not made by a run in this folder")
    settings = ranker.config().model_dump(mode="json")
    before = told.get(SETTINGS, settings)
    if others := sorted(key for key in settings.keys() | before.keys() if settings.get(key) != before.get(key)):
        raise _Unusable(f"{release} was made under another {', '.join(others)}")
    gate = steps.result("gate")
    assert gate is not None
    parts = {part: weights_folder(run, part, gate["chosen"]) for part in ("candidates", "refit")}
    found = {
        part: [str(folder.relative_to(run.path.parent)), mark]
        for part, folder in parts.items()
        if (mark := fingerprint_of(folder)) is not None
    }
    if not found:
        raise _Unusable(f"{run.name}, which made {release}, kept no weights")
    return found


def source_of(found: Result, part: str, split: Split, runs: Path) -> Source:
    """What a training begins with.

    Args:
        found: see `find_source`.
        part: `candidates`, or `refit`, which begins with what was refitted then, if anything was.
        split: what is learned from now.
        runs: the folder of runs.
    """
    why = found["why"]
    kept = found["weights"].get(part) or found["weights"].get("candidates")
    weights = None
    if why is None and kept is None:
        why = f"of {found['release']} only the refitted weights were kept"
    if why is None:
        try:
            weights = Weights.load(runs / kept[0])
        except DataError as error:
            why = str(error)
        if why is None and (weights is None or fingerprint_of(runs / kept[0]) != kept[1]):
            weights, why = None, f"the weights of {found['release']} are gone"
    assert split.train.times is not None
    if weights is not None and weights.until > split.train.times.max():
        weights, why = None, f"the weights of {found['release']} have learned from later events than are learned from now"
    if weights is None:
        return Source(f"no: {why}")
    return Source(str(found["release"]), weights)
