"""Training on one split, or on every fold and then on everything: what search and reranking have in common."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from app.bundle import SplitInfo
from training.config import RankerConfig
from training.jobs.outcome import own_folder, told
from training.loop import Run
from training.registry import RankerSpec

_log = logging.getLogger(__name__)


class _Split(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> dict[str, Any]: ...


Split = TypeVar("Split", bound=_Split)
Measured = TypeVar("Measured")

ITSELF = ""
"""The ranker itself, among its variants."""


@dataclass(frozen=True, slots=True)
class Learned(Generic[Measured]):
    """What came of the trainings.

    Attributes:
        trained: what goes into the bundle: a `TrainedSearch` or `TrainedReranker`.
        measured: `ITSELF` and the names of variants → what was measured of it in each fold, or once where there are none.
        seconds: of one training; the mean over folds where there are some.
        total_seconds: of all of them, the last one on everything included.
        told: what the manifest keeps of the training that made the bundle, and of the folds.
    """

    trained: Any
    measured: dict[str, list[Measured]]
    seconds: float
    total_seconds: float
    told: dict[str, Any]

    def described(self, spec: RankerSpec, split: _Split, config: RankerConfig, run: Run) -> dict[str, Any]:
        """What the manifests of all bundles of the training say, as `export_search` and `export_reranker` take it.

        Args:
            spec: which ranker.
            split: what the bundle's ranker learned from.
            config: its hyper-parameters.
            run: where and how.
        """
        return {
            "split": SplitInfo(name=split.name, parameters=split.parameters),
            "ranker": spec.name,
            "paper": spec.paper,
            "seed": run.seed,
            "config": config.model_dump(mode="json"),
            "training": self.told,
        }


def learn_folds(
    spec: RankerSpec,
    splits: Sequence[Split],
    whole: Split,
    config: RankerConfig,
    run: Run,
    *,
    given: Callable[[Split], Split],
    fingerprint: Callable[[Split], str],
    measure: Callable[[Any, Split], Measured],
) -> Learned[Measured]:
    """Learn from the one split there is; or from each fold, one after the other, and then from `whole`.

    With folds, each training has a folder of its own in the run's, `fold-0` … and `all`, and an equal share of the time budget.

    Args:
        spec: which ranker.
        splits: one, or the folds.
        whole: all judgements to learn from, nothing to measure on; the split itself where there is one.
        config: hyper-parameters.
        run: where and how.
        given: a split as the recipe may see it.
        fingerprint: of a split's training part.
        measure: a model on a split's test part.

    Raises:
        Interrupted: Ctrl-C; a checkpoint was kept where `run` has a folder.
    """
    measured: dict[str, list[Measured]] = {}
    lasted: list[float] = []
    summaries: list[dict[str, Any]] = []

    def learn(split: Split, own: Run, what: str) -> Any:
        started = time.perf_counter()
        trained = spec.recipe()(given(split), config, own)
        lasted.append(time.perf_counter() - started)
        own.write_curves()
        _log.info("%s%s learned in %.1f s", spec.name, what, lasted[-1])
        return trained

    def add(trained: Any, split: Split) -> None:
        for name, model in {ITSELF: trained.model, **trained.variants}.items():
            measured.setdefault(name, []).append(measure(model, split))

    with own_folder(spec, config, run, fingerprint=fingerprint(whole), split=whole.name):
        if len(splits) == 1:
            trained = learn(whole, run, "")
            add(trained, whole)
            return Learned(trained, measured, lasted[0], lasted[0], told(trained.summary, run, lasted[0]))
        share = 1.0 / (len(splits) + 1)
        for number, split in enumerate(splits):
            own = run.part(f"fold-{number}", share)
            with own_folder(spec, config, own, fingerprint=fingerprint(split), split=split.name):
                trained = learn(split, own, f", fold {number + 1} of {len(splits)},")
            add(trained, split)
            summaries.append({**trained.summary, "seconds": round(lasted[-1], 3)})
        own = run.part("all", share)
        with own_folder(spec, config, own, fingerprint=fingerprint(whole), split=whole.name):
            trained = learn(whole, own, ", all judgements,")
        return Learned(
            trained,
            {name: parts for name, parts in measured.items() if len(parts) == len(splits)},
            sum(lasted[:-1]) / len(splits),
            sum(lasted),
            {**told(trained.summary, own, lasted[-1]), "folds": summaries},
        )
