"""Training and measuring rankers seed after seed, and tables of what came out.

Shapes: U users.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from training.config import parse_config
from training.data import Split
from training.evaluation import PROTOCOLS, Evaluation, Protocol, evaluate
from training.loop import Run
from training.ranker import TrainedRanker
from training.registry import RankerSpec
from training.registry import ranker as registered

SEEDS = range(5)
METRICS = ("P@3", "P@5", "P@10", "nDCG@3", "nDCG@5", "nDCG@10", "AP", "RR")
FEW_METRICS = ("P@5", "R@20", "nDCG@10", "AP", "RR", "coverage@10")

_VARIANTS = {"committee": "committee alone", "pretrained": "pre-training alone", "discriminator": "its discriminator"}
"""Other models of a training that get a row."""


class Trained:
    """A ranker's evaluations over seeds, protocol by protocol, and the seconds of each training."""

    def __init__(self) -> None:
        self.evaluations: dict[Protocol, list[Evaluation]] = {protocol: [] for protocol in PROTOCOLS}
        self.seconds: list[float] = []

    def row(self, protocol: Protocol, metrics: Sequence[str]) -> list[str]:
        """Mean ± sd over seeds of each metric, and the seconds."""
        cells = []
        for metric in metrics:
            values = np.array([evaluation.means[metric] for evaluation in self.evaluations[protocol]])
            cells.append(f"{values.mean():.4f}" + (f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""))
        return [*cells, f"{np.mean(self.seconds):.1f}"]

    def per_user(self, protocol: Protocol, metric: str) -> np.ndarray:
        """Each user's mean over seeds."""
        means: np.ndarray = np.mean([e.per_user[metric] for e in self.evaluations[protocol]], axis=0)
        return means


def train(
    shown: str,
    ranker: str,
    split: Split,
    settings: Sequence[str],
    seeds: Sequence[int],
    *,
    on_first: Callable[[RankerSpec, TrainedRanker], object] | None = None,
) -> dict[str, Trained]:
    """Train and evaluate, seed after seed: the ranker, and the other models of the same trainings that are worth a row.

    Args:
        shown: the row's name.
        ranker: as in the registry.
        split: the data.
        settings: assignments beside the defaults.
        seeds: one training each.
        on_first: given what the first seed's training made.
    """
    spec = registered(ranker)
    config = parse_config(spec.config(), assignments=list(settings))
    found = {shown: Trained()}
    for seed in seeds:
        started = time.perf_counter()
        trained = spec.recipe()(split.train, config, Run(seed=seed, progress=True))
        seconds = time.perf_counter() - started
        others = {f"{shown}, {_VARIANTS[name]}": model for name, model in trained.variants.items() if name in _VARIANTS}
        for name, model in {shown: trained.model, **others}.items():
            row = found.setdefault(name, Trained())
            row.seconds.append(seconds)
            for protocol in PROTOCOLS:
                row.evaluations[protocol].append(evaluate(model, split, protocol))
            say(f"{name}, seed {seed}: {seconds:.1f} s, {_short(row.evaluations['paper'][-1])}")
        if on_first is not None and seed == seeds[0]:
            on_first(spec, trained)
        gc.collect()
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def _short(evaluation: Evaluation) -> str:
    means: dict[str, Any] = evaluation.means
    return f"nDCG@10 {means['nDCG@10']:.4f}, AP {means['AP']:.4f}"


def say(line: str) -> None:
    """Tell whoever waits."""
    print(line, file=sys.stderr, flush=True)
