"""What came of a training, whatever it trained, and what all trainings do around a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.bundle.manifest import Name
from training.config import RankerConfig
from training.errors import ConfigError
from training.jobs.run_folder import run_folder
from training.loop import Run
from training.registry import RankerSpec


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a training.

    Attributes:
        ranker: its name in the registry.
        seed: as given.
        seconds: of the training alone, selection on validation included; where there are folds, the mean of their trainings.
        bundle: the folder written.
        metrics: of recommenders protocol → metric → value on the test part; of the others see `docs/evaluation.md`.
        variants: the bundles of other models of the same run, by name.
        total_seconds: of all trainings together, where there may be several.
    """

    ranker: str
    seed: int
    seconds: float
    bundle: Path
    metrics: dict[str, Any]
    variants: dict[str, Path]
    total_seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """What `irgan train --json` prints."""
        return {
            "ranker": self.ranker,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            **({} if self.total_seconds is None else {"total_seconds": round(self.total_seconds, 3)}),
            "bundle": str(self.bundle),
            "metrics": self.metrics,
            "variants": {name: str(path) for name, path in self.variants.items()},
        }


def check_place(bundles: Path, name: str) -> None:
    """Find out before any work whether a bundle can go there.

    Raises:
        ConfigError: no bundle can have this name, or `bundles` is no folder.
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise ConfigError(
            f"--name {name!r} cannot name a bundle; expected at most 100 of a–z, 0–9, dot, dash and underscore, "
            "with a letter or a digit first"
        ) from error
    if bundles.exists() and not bundles.is_dir():
        raise ConfigError(f"--bundles {bundles} is no folder; choose another")


def own_folder(
    spec: RankerSpec, config: RankerConfig, run: Run, *, fingerprint: str, split: str
) -> AbstractContextManager[object]:
    """The run's folder, taken for it alone and marked as its own; nothing where it has none.

    Args:
        spec: which ranker.
        config: its hyper-parameters.
        run: whose folder it is.
        fingerprint: of the training data.
        split: its name.
    """
    if run.folder is None:
        return nullcontext()
    identity = {
        "ranker": spec.name,
        "config": config.model_dump(mode="json"),
        "data": fingerprint,
        "split": split,
        "seed": run.seed,
        "device": str(run.device),
    }
    return run_folder(run.folder, identity, resume=run.resume)


def told(summary: Mapping[str, Any], run: Run, seconds: float | None) -> dict[str, Any]:
    """What the manifest keeps of a training: the recipe's summary, seconds (if they are to be told), device and curves."""
    curves = {name: [list(point) for point in points] for name, points in run.curves.items()}
    measured = {} if seconds is None else {"seconds": round(seconds, 3)}
    return {**summary, **measured, "device": str(run.device), "curves": curves}
