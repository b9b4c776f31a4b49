"""Rankers of one run: which are trained, their training, and the bundle that is published of one of them."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from app.bundle import Histories, RecommenderManifest, new_folder, read_bundle, read_manifest, sha256_of, write_manifest
from app.bundle.manifest import FileEntry
from app.bundle.recommender import write_seen
from app.bundle.writing import SEEN
from training.config import RankerConfig
from training.data import Dataset, Split
from training.jobs.retrain.config import CF_NADE, Ranker, RetrainConfig
from training.jobs.retrain.folder import RunFolder
from training.jobs.retrain.steps import Result
from training.jobs.retrain.warm_start import NOT_APPLICABLE, NOT_ASKED, Source, weights_folder
from training.jobs.train import train_ranker
from training.loop import Run
from training.warm import DoesNotFit, WarmStart, Weights

_log = logging.getLogger(__name__)

_MANIFEST = "manifest.json"


def rankers_of(config: RetrainConfig, *, has_ratings: bool) -> list[Ranker]:
    """Those that the configuration names, and CF-NADE where there are ratings and nobody said otherwise."""
    named = list(config.rankers)
    if not has_ratings or not config.run.cf_nade or any(ranker.kind == CF_NADE for ranker in named):
        return named
    _log.info("there are ratings, so %s is trained as well, with its defaults (run.cf_nade = false leaves it out)", CF_NADE)
    return [*named, Ranker(name=CF_NADE)]


def train_candidate(
    ranker: Ranker,
    split: Split,
    run: RunFolder,
    *,
    part: str,
    device: torch.device,
    checkpoint_every: int,
    source: Source | None = None,
) -> Result:
    """Train one ranker on a split's training part; goes on from checkpoints where an earlier process left some.

    Args:
        ranker: which.
        split: its test part is not looked at.
        run: whose folder is used.
        part: the folder in it for bundles and checkpoints.
        device: where.
        checkpoint_every: epochs.
        source: what it begins with; None where a warm start was not asked for, and then its weights are not kept either.

    Returns:
        Where the `bundle` is, the hash of its manifest, and what became of its `warm_start`.
    """
    root = run.path / part / "bundles"
    nothing = split.test.where(split.test.user_rows < 0)

    def train(config: RankerConfig, weights: Weights | None) -> tuple[Path, WarmStart]:
        shutil.rmtree(root / ranker.name, ignore_errors=True)  # written, but not noted, before a process was killed
        start = WarmStart(split.train, weights)
        outcome = train_ranker(
            ranker.spec,
            replace(split, test=nothing),
            config,
            Run(
                seed=ranker.seed,
                device=device,
                folder=run.path / part / "training" / (ranker.name if weights is None else f"{ranker.name}.warm"),
                checkpoint_every=checkpoint_every,
                resume=True,
                warm_start=None if source is None else start,
            ),
            bundles=root,
            name=ranker.name,
            stamp=run.stamp,
        )
        return outcome.bundle, start

    told = NOT_ASKED if source is None else source.told
    weights = None if source is None else source.weights
    try:
        bundle, start = train(ranker.config() if weights is None else ranker.warm_config(), weights)
        if weights is not None:
            told += f", {start.carried}"
    except DoesNotFit as why:
        _log.warning("%s begins with nothing, not with %s: %s", ranker.name, told, why)
        bundle, start = train(ranker.config(), None)
        told = f"no: the weights of {told} do not fit: {why}"
    if source is not None and start.left.networks:
        start.left.save(weights_folder(run, part, ranker.name))
    elif source is not None:
        told = NOT_APPLICABLE
    _log.info("%s: warm start: %s", ranker.name, told)
    return {"bundle": str(bundle.relative_to(run.path)), "manifest": sha256_of(bundle / _MANIFEST), "warm_start": told}


def everything(dataset: Dataset) -> Split:
    """The data with nothing set apart."""
    data = dataset.interactions
    return Split(dataset.name, "none", {}, data, data.where(data.user_rows < 0), dataset.item_table)


def make_release(
    candidate: Path, target: Path, *, seen: Histories, metrics: dict[str, Any], retraining: dict[str, Any]
) -> Result:
    """The bundle that is published: a candidate that knows all that people have had, and whose manifest says what was measured.

    Args:
        candidate: its folder.
        target: the folder to make; what an earlier process left there is replaced.
        seen: of all events, those of the test part too; else people would be shown what they had just before it was made.
        metrics: see `Manifest`.
        retraining: what the manifest says of the run, under `training.retraining`.
    """
    shutil.rmtree(target, ignore_errors=True)
    manifest = read_manifest(candidate)
    assert isinstance(manifest, RecommenderManifest)
    with new_folder(target) as folder:
        for entry in manifest.files:
            if entry.path != SEEN:
                shutil.copyfile(candidate / entry.path, folder / entry.path)
        write_seen(seen, folder)
        written = FileEntry(path=SEEN, size=(folder / SEEN).stat().st_size, sha256=sha256_of(folder / SEEN))
        full = manifest.model_copy(
            update={
                "metrics": metrics,
                "training": {**manifest.training, "retraining": retraining},
                "files": [written if entry.path == SEEN else entry for entry in manifest.files],
            }
        )
        write_manifest(folder, full.model_dump_json(indent=2) + "\n")
        read_bundle(folder)
    return {"release": manifest.release, "manifest": sha256_of(target / _MANIFEST)}
