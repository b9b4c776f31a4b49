"""Training and measuring rankers of search and of candidates seed after seed.

Shapes: Q queries.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.bench.trained import say
from training.config import parse_config
from training.data import FeatureSplit, TextSplit
from training.evaluation import compare_rankers
from training.evaluation.search import SearchEvaluation, group_means, query_groups
from training.jobs.rerank import RerankFigures, train_reranker
from training.jobs.search import SearchFigures, train_search
from training.loop import Run
from training.registry import ranker as registered

Groups = Mapping[str, np.ndarray]


@dataclass(slots=True)
class Row:
    """A ranker over seeds.

    Attributes:
        values: of each seed, metric → value of each query.
        is_unseen: of each query; all false where there is nothing to have seen.
        seconds: of each training.
    """

    is_unseen: np.ndarray
    values: list[Mapping[str, np.ndarray]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def cells(self, metrics: Sequence[str], group: str = "test") -> list[str]:
        """Mean ± sd over seeds of each metric's mean over a group of queries."""
        is_in_Q = query_groups(self.is_unseen)[group]
        cells = []
        for metric in metrics:
            means = np.array([group_means(values, is_in_Q)[metric] for values in self.values])
            cells.append(f"{means.mean():.4f}" + (f" ± {means.std(ddof=1):.4f}" if len(means) > 1 else ""))
        return cells

    def per_query(self, metric: str, group: str = "test") -> np.ndarray:
        """Each query's mean over seeds."""
        means: np.ndarray = np.mean([values[metric] for values in self.values], axis=0)
        return means[query_groups(self.is_unseen)[group]]

    @property
    def time(self) -> str:
        """Seconds of a training."""
        return f"{np.mean(self.seconds):.1f}" if self.seconds else "—"


def search_rows(
    shown: str,
    ranker: str,
    splits: Sequence[TextSplit],
    *,
    settings: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    variants: Mapping[str, str] | None = None,
) -> dict[str, Row]:
    """Train, and measure every mode of the ranker and of the variants that are worth a row, by what to call them."""
    spec = registered(ranker)
    config = parse_config(spec.config(), assignments=list(settings))
    rows: dict[str, Row] = {}

    def add(name: str, evaluation: SearchEvaluation, seconds: float) -> None:
        row = rows.setdefault(name, Row(evaluation.is_unseen))
        row.values.append(evaluation.per_query)
        row.seconds.append(seconds)

    def add_modes(name: str, figures: SearchFigures, seconds: float) -> None:
        add(name, figures.usual, seconds)
        for mode, evaluation in figures.modes.items():
            add(f"{name}, {mode}", evaluation, seconds)

    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            outcome = train_search(spec, splits, config, Run(seed=seed, progress=True), bundles=Path(folder))
        assert outcome.figures is not None
        add_modes(shown, outcome.figures, outcome.seconds)
        for variant, called in (variants or {}).items():
            # A variant that is missing is the ranker itself: validation chose it.
            add_modes(f"{shown}, {called}", outcome.variant_figures.get(variant, outcome.figures), outcome.seconds)
        say(f"{shown}, seed {seed}: {outcome.seconds:.1f} s, nDCG@10 {outcome.figures.usual.means()['nDCG@10']:.4f}")
    return rows


def rerank_rows(
    shown: str,
    ranker: str,
    splits: Sequence[FeatureSplit],
    *,
    settings: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    variants: Mapping[str, str] | None = None,
) -> dict[str, Row]:
    """The same for a ranker of candidates."""
    spec = registered(ranker)
    config = parse_config(spec.config(), assignments=list(settings))
    rows: dict[str, Row] = {}

    def add(name: str, figures: RerankFigures, seconds: float) -> None:
        whole = figures.whole
        row = rows.setdefault(name, Row(np.zeros(len(whole.query_ids), dtype=bool)))
        row.values.append(whole.per_query)
        row.seconds.append(seconds)

    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            outcome = train_reranker(spec, splits, config, Run(seed=seed, progress=True), bundles=Path(folder))
        assert outcome.figures is not None
        add(shown, outcome.figures, outcome.seconds)
        for variant, called in (variants or {}).items():
            add(f"{shown}, {called}", outcome.variant_figures[variant], outcome.seconds)
        say(f"{shown}, seed {seed}: {outcome.seconds:.1f} s, AP {outcome.figures.whole.means()['AP']:.4f}")
    return rows


def sentences(
    rows: Mapping[str, Row], pairs: Sequence[tuple[str, str]], metrics: Sequence[str], group: str = "test"
) -> list[str]:
    """A sentence for each pair and metric, over the queries of a group, each query's mean over seeds."""
    told = []
    for first, second in pairs:
        values = {name: {metric: rows[name].per_query(metric, group) for metric in metrics} for name in (first, second)}
        told += [f"- {one.sentence}" for one in compare_rankers(values, metrics, baseline=second, unit="queries")]
    return told
