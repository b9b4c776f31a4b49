"""From candidates with features to a bundle that ranks them: train, test once, export.

Shapes: N candidates, Q queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.bundle import FeatureRanker
from training.config import RankerConfig
from training.data import FeatureSplit, JudgedFeatures
from training.evaluation.rerank import RerankEvaluation, evaluate_reranker, joined_rerank
from training.export import export_reranker
from training.jobs.folds import ITSELF, learn_folds
from training.jobs.outcome import Outcome, check_place
from training.loop import Run
from training.registry import RankerSpec


@dataclass(frozen=True, slots=True)
class RerankFigures:
    """What was measured of a ranker of candidates, over the queries of all folds.

    Attributes:
        whole: of all queries.
        folds: of each fold; empty where there are none.
    """

    whole: RerankEvaluation
    folds: tuple[RerankEvaluation, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """`metrics` of `irgan train --json`; nothing where there is no test query."""
        if not self.whole.query_ids:
            return {}
        told: dict[str, Any] = {"test": self.whole.means()}
        if self.folds:
            told["folds"] = [evaluation.means() for evaluation in self.folds]
        return told


@dataclass(frozen=True, slots=True)
class RerankOutcome(Outcome):
    """What came of training a ranker of candidates.

    Attributes:
        figures: query by query, of the ranker; None where there is no test part.
        variant_figures: the same of its variants.
    """

    figures: RerankFigures | None = None
    variant_figures: Mapping[str, RerankFigures] = field(default_factory=dict)


def train_reranker(
    spec: RankerSpec,
    splits: Sequence[FeatureSplit],
    config: RankerConfig,
    run: Run,
    *,
    bundles: Path,
    name: str | None = None,
) -> RerankOutcome:
    """Train on the training queries, measure on the test queries, and write a bundle.

    Where there are folds, every one is learned and measured. The bundle's ranker then learns from all queries but those of the first
    fold's validation part, on which it chooses.

    Args:
        spec: which ranker.
        splits: one, or all folds of one data set; the recipe gets no test query.
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
    check_place(bundles, name)
    whole = splits[0] if len(splits) == 1 else together(splits[0])
    learned = learn_folds(
        spec,
        splits,
        whole,
        config,
        run,
        given=without_test,
        fingerprint=lambda split: split.train.fingerprint(),
        measure=lambda model, split: evaluate_reranker(model, split.test),
    )
    figures = {
        which: RerankFigures(joined_rerank(parts), tuple(parts) if len(splits) > 1 else ())
        for which, parts in learned.measured.items()
    }

    told = learned.described(spec, whole, config, run)

    def export(model: FeatureRanker, which: str) -> Path:
        return export_reranker(
            model,
            whole.train,
            data_name=whole.dataset,
            root=bundles,
            name=name if which == ITSELF else f"{name}-{which}",
            metrics=figures[which].as_json() if which in figures else {},
            **told,
        )

    bundle = export(learned.trained.model, ITSELF)
    variants = {variant: export(model, variant) for variant, model in learned.trained.variants.items()}
    return RerankOutcome(
        spec.name,
        run.seed,
        learned.seconds,
        bundle,
        figures[ITSELF].as_json(),
        variants,
        learned.total_seconds,
        figures[ITSELF] if figures[ITSELF].whole.query_ids else None,
        {variant: found for variant, found in figures.items() if variant != ITSELF and found.whole.query_ids},
    )


def without_test(split: FeatureSplit) -> FeatureSplit:
    """The split as a recipe gets it: its test part is empty."""
    return replace(split, test=split.test.take(np.zeros(0, dtype=np.int64)))


def together(split: FeatureSplit) -> FeatureSplit:
    """A fold with its test part learned from as well, and nothing to measure on."""
    parameters = {key: value for key, value in split.parameters.items() if key in {"folds", "seed"}}
    return replace(without_test(split), parameters=parameters, train=JudgedFeatures.together([split.train, split.test]))
