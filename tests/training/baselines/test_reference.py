"""Baselines on MovieLens 100K, the paper's split and protocol, against figures that were measured with other code."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from training.data import Split, load_dataset, make_split
from training.evaluation import evaluate
from training.loop import Run
from training.registry import RANKERS

METRICS = ("P@3", "P@5", "P@10", "nDCG@3", "nDCG@5", "nDCG@10", "AP", "RR")

POPULARITY = (0.2624, 0.2338, 0.2050, 0.2793, 0.2568, 0.2403, 0.1516, 0.4657)
IALS = (0.4576, 0.4171, 0.3513, 0.4795, 0.4520, 0.4198, 0.2747, 0.6745)
EASE = (0.4598, 0.4180, 0.3572, 0.4858, 0.4575, 0.4292, 0.2842, 0.6821)
EASE_WITH_LOW = (0.5285, 0.4737, 0.3993, 0.5508, 0.5152, 0.4799, 0.3284, 0.7239)


@cache
def split() -> Split:
    return make_split(load_dataset("movielens-100k"), "paper")


def figures(ranker: str, *, seeds: int = 1, **settings: object) -> list[float]:
    """Means over users with a test positive, and over seeds."""
    spec = RANKERS[ranker]
    means = [
        evaluate(spec.recipe()(split().train, spec.config()(**settings), Run(seed=seed)).model, split(), "paper").means
        for seed in range(seeds)
    ]
    return [float(np.mean([mean[metric] for mean in means])) for metric in METRICS]


@pytest.mark.data
@pytest.mark.parametrize(
    ("ranker", "settings", "seeds", "reference"),
    [
        ("popularity", {}, 1, POPULARITY),
        ("ials", {}, 5, IALS),
        ("ease", {}, 1, EASE),
        ("ease", {"signal": "all"}, 1, EASE_WITH_LOW),
    ],
    ids=["popularity", "ials", "ease", "ease with low ratings"],
)
def test_the_figures_are_within_half_a_point_of_the_reference(
    ranker: str, settings: dict[str, object], seeds: int, reference: tuple[float, ...], data_dir: object
) -> None:
    """Every metric within 0.005: data, split, candidates, metrics and ranker are all as they were there."""
    assert figures(ranker, seeds=seeds, **settings) == pytest.approx(list(reference), abs=0.005)


@pytest.mark.data
def test_the_protocol_counts_456_users_and_all_items_that_exist(data_dir: object) -> None:
    """The official code speaks of 1,683 rows, of which the first stands for no item; here rows are items."""
    spec = RANKERS["popularity"]
    evaluation = evaluate(spec.recipe()(split().train, spec.config()(), Run()).model, split(), "paper")
    assert len(evaluation.user_rows) == 456
    assert split().train.num_items == 1682
