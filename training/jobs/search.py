"""From a collection to a bundle that searches it: train, test once, export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.bundle import Mode, SearchModel
from training.config import RankerConfig
from training.data import Judgements, TextSplit
from training.evaluation.search import SearchEvaluation, evaluate_modes, joined
from training.export import export_search
from training.jobs.folds import ITSELF, learn_folds
from training.jobs.outcome import Outcome, check_place
from training.loop import Run
from training.registry import RankerSpec


@dataclass(frozen=True, slots=True)
class SearchFigures:
    """What was measured of a search ranker, over the queries of all folds.

    Attributes:
        usual: in the mode that each fold's own ranker answers in where nobody says otherwise.
        modes: in every mode.
        folds: `usual` of each fold; empty where there are none.
    """

    usual: SearchEvaluation
    modes: Mapping[Mode, SearchEvaluation]
    folds: tuple[SearchEvaluation, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """`metrics` of `irgan train --json`; nothing where no test query has a relevant document."""
        if not len(self.usual.query_rows):
            return {}
        told: dict[str, Any] = {
            **self.usual.figures(),
            "modes": {mode: evaluation.figures() for mode, evaluation in self.modes.items()},
        }
        if self.folds:
            told["folds"] = [evaluation.means() for evaluation in self.folds]
        return told


@dataclass(frozen=True, slots=True)
class SearchOutcome(Outcome):
    """What came of training a search ranker.

    Attributes:
        figures: query by query, of the ranker; None where nothing is judged.
        variant_figures: the same of its variants.
    """

    figures: SearchFigures | None = None
    variant_figures: Mapping[str, SearchFigures] = field(default_factory=dict)


def train_search(
    spec: RankerSpec,
    splits: Sequence[TextSplit],
    config: RankerConfig,
    run: Run,
    *,
    bundles: Path,
    name: str | None = None,
) -> SearchOutcome:
    """Train on the training judgements, measure on the test queries in every mode, and write a bundle.

    Where there are folds, every one is learned and measured, and the bundle's ranker then learns from all judgements.

    Args:
        spec: which ranker.
        splits: one, or all folds of one collection; the recipe gets `without_test()`.
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
        given=TextSplit.without_test,
        fingerprint=lambda split: split.collection.fingerprint(split.train),
        measure=_measure,
    )
    figures = {which: _figures(parts, is_folds=len(splits) > 1) for which, parts in learned.measured.items()}

    told = learned.described(spec, whole, config, run)

    def export(model: SearchModel, which: str) -> Path:
        return export_search(
            model,
            whole.collection,
            whole.train,
            root=bundles,
            name=name if which == ITSELF else f"{name}-{which}",
            metrics=figures[which].as_json() if which in figures else {},
            **told,
        )

    bundle = export(learned.trained.model, ITSELF)
    variants = {variant: export(model, variant) for variant, model in learned.trained.variants.items()}
    return SearchOutcome(
        spec.name,
        run.seed,
        learned.seconds,
        bundle,
        figures[ITSELF].as_json(),
        variants,
        learned.total_seconds,
        figures[ITSELF] if len(figures[ITSELF].usual.query_rows) else None,
        {variant: found for variant, found in figures.items() if variant != ITSELF and len(found.usual.query_rows)},
    )


def together(split: TextSplit) -> TextSplit:
    """A fold with its test part learned from as well, and nothing to measure on."""
    candidates = None
    if split.train_candidates is not None and split.test_candidates is not None:
        candidates = _joined(split.train_candidates, split.test_candidates)
    return replace(
        split,
        parameters={key: value for key, value in split.parameters.items() if key != "fold"},
        train=_joined(split.train, split.test),
        test=Judgements.none(),
        train_candidates=candidates,
        test_candidates=None,
    )


def _joined(one: Judgements, other: Judgements) -> Judgements:
    """In an order that does not depend on which fold it was."""
    query_rows, document_rows, grades = (
        np.concatenate([getattr(one, column), getattr(other, column)]) for column in ("query_rows", "document_rows", "grades")
    )
    return Judgements(query_rows, document_rows, grades).where(np.lexsort((document_rows, query_rows)))


def _measure(model: SearchModel, split: TextSplit) -> tuple[Mode, dict[Mode, SearchEvaluation]]:
    return model.mode, evaluate_modes(model, split)


def _figures(parts: Sequence[tuple[Mode, dict[Mode, SearchEvaluation]]], *, is_folds: bool) -> SearchFigures:
    usual = [found[mode] for mode, found in parts]
    modes = {mode: joined([found[mode] for _, found in parts]) for mode in parts[0][1]}
    return SearchFigures(joined(usual), modes, tuple(usual) if is_folds else ())
