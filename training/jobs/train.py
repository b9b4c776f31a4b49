"""From a split to a bundle: train, test once, export."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.bundle import VectorModel
from app.bundle.manifest import Name
from training.config import RankerConfig
from training.data import Split
from training.errors import ConfigError
from training.evaluation import PROTOCOLS, evaluate
from training.export import export_bundle
from training.jobs.run_folder import run_folder
from training.loop import Run
from training.ranker import TrainedRanker
from training.registry import RankerSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a training.

    Attributes:
        ranker: its name in the registry.
        seed: as given.
        seconds: of the training alone, selection on validation included.
        bundle: the folder written.
        metrics: protocol → metric → value on the test part.
        variants: the bundles of other models of the same run, by name.
    """

    ranker: str
    seed: int
    seconds: float
    bundle: Path
    metrics: dict[str, dict[str, float]]
    variants: dict[str, Path]

    def as_json(self) -> dict[str, Any]:
        """What `irgan train --json` prints."""
        return {
            "ranker": self.ranker,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "bundle": str(self.bundle),
            "metrics": self.metrics,
            "variants": {name: str(path) for name, path in self.variants.items()},
        }


def train_ranker(
    spec: RankerSpec, split: Split, config: RankerConfig, run: Run, *, bundles: Path, name: str | None = None
) -> Outcome:
    """Train on the split's training part, measure on its test part under every protocol, and write a bundle.

    Args:
        spec: which ranker.
        split: data; the recipe gets the training part only.
        config: its hyper-parameters.
        run: where and how; its `folder` is locked meanwhile.
        bundles: the folder that gets `NAME/VERSION`.
        name: NAME; the ranker's by default. Variants are called `NAME-VARIANT`.

    Raises:
        ConfigError: NAME cannot be a bundle's name, or `bundles` is no folder; said before anything is trained.
        Interrupted: Ctrl-C; a checkpoint was kept where `run` has a folder.
        OSError: the bundle cannot be written; nothing of it is left behind.
    """
    name = spec.name if name is None else name
    _check_place(bundles, name)
    values = config.model_dump(mode="json")
    with _own_folder(spec, split, values, run):
        started = time.perf_counter()
        trained = spec.recipe()(split.train, config, run)
        seconds = time.perf_counter() - started
        run.write_curves()
        _log.info("%s learned in %.1f s", spec.name, seconds)

        def export(model: VectorModel, name: str) -> tuple[Path, dict[str, dict[str, float]]]:
            metrics: dict[str, dict[str, float]] = {p: evaluate(model, split, p).means for p in PROTOCOLS}
            path = export_bundle(
                model,
                split,
                root=bundles,
                name=name,
                ranker=spec.name,
                paper=spec.paper,
                seed=run.seed,
                config=values,
                bias_folded=trained.bias_folded,
                metrics=metrics,
                training=_told(trained, run, seconds),
            )
            return path, metrics

        bundle, metrics = export(trained.model, name)
        variants = {variant: export(model, f"{name}-{variant}")[0] for variant, model in trained.variants.items()}
    return Outcome(spec.name, run.seed, seconds, bundle, metrics, variants)


def _check_place(bundles: Path, name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise ConfigError(
            f"--name {name!r} cannot name a bundle; expected at most 100 of a–z, 0–9, dot, dash and underscore, "
            "with a letter or a digit first"
        ) from error
    if bundles.exists() and not bundles.is_dir():
        raise ConfigError(f"--bundles {bundles} is no folder; choose another")


def _own_folder(spec: RankerSpec, split: Split, values: dict[str, Any], run: Run) -> AbstractContextManager[object]:
    if run.folder is None:
        return nullcontext()
    identity = {
        "ranker": spec.name,
        "config": values,
        "data": split.train.fingerprint(),
        "split": split.name,
        "seed": run.seed,
        "device": str(run.device),
    }
    return run_folder(run.folder, identity, resume=run.resume)


def _told(trained: TrainedRanker, run: Run, seconds: float) -> dict[str, Any]:
    curves = {name: [list(point) for point in points] for name, points in run.curves.items()}
    return {**trained.summary, "seconds": round(seconds, 3), "device": str(run.device), "curves": curves}
