"""Candidates and the live release on the same users: what each is worth, how it differs, and how quick it is.

Shapes: U users, I items, K the length of the lists.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.releases import RecommenderRelease, load_release
from app.retrieval import Query
from training.data import Split
from training.errors import ConfigError, DataError
from training.evaluation.evaluate import PROTOCOLS, Evaluation, Ranks, evaluate_together
from training.evaluation.significance import compare_rankers
from training.jobs.retrain.config import Gate
from training.jobs.retrain.live import Translated
from training.jobs.retrain.steps import Result

LIVE = "the live release"
_HEAD = 0.5
"""The most popular items are those that got this share of all likes of the training part."""
_LISTED = 10


def judge(candidates: Mapping[str, Path], live: Result, against: Path | None, split: Split, gate: Gate) -> Result:
    """Measure all candidates, and compare each with the live release.

    Args:
        candidates: bundles that learned from the split's training part, by name.
        live: see `live_release`.
        against: the bundle of the live release or of its twin, where there is one.
        split: by time.
        gate: metric, level and draws.

    Returns:
        `users` that were judged, and `newcomers` that were not; `candidates`: name → metrics and guardrail figures; `live`: likewise; `comparisons`: name → difference with its interval.

    Raises:
        BundleError: a bundle cannot be served.
        ConfigError: the live release is of other data altogether.
        DataError: fewer than two users have a liked item in the test part.
    """
    served = {name: _load(path) for name, path in candidates.items()}
    models: dict[str, Ranks] = {name: release.bundle.model for name, release in served.items()}
    if against is not None:
        served[LIVE] = _load(against)
        translated = Translated(served[LIVE].bundle, split.train.users, split.train.items)
        if not translated.knows_items:
            raise ConfigError(
                f"{live['release']} in slot {gate.against} holds none of the {split.train.num_items:,} items of these data, so there is nothing to compare; "
                "is it another product's? choose other releases, or another gate.against"
            )
        models[LIVE] = translated
    all_users = _num_users(split)
    split = without_newcomers(split)
    num_users = _num_users(split)
    if num_users < 2:
        raise DataError(
            f"{num_users} users with an event in the training part like an item of the test part; expected at least 2, to tell rankers "
            f"apart; {all_users - num_users} more are new in the test part; see split.test_fraction"
        )
    found = evaluate_together(models, split, PROTOCOLS).of
    decisive = found[gate.protocol]
    seconds = latencies(served, [split.train.users.id(row) for row in np.unique(split.train.user_rows).tolist()], gate)
    figures = {
        name: {
            "metrics": {p: {metric: _finite(value) for metric, value in found[p][name].means.items()} for p in PROTOCOLS},
            "popular": popular_share(decisive[name], split.train.popularity()),
            "latency_ms": round(1000.0 * seconds[name], 4),
        }
        for name in models
    }
    comparisons = {}
    if against is not None:
        # Any of the candidates may be published, so the chance of a mistake is shared out among them (Bonferroni).
        level = 1.0 - (1.0 - gate.level) / len(candidates)
        for one in compare_rankers(
            {name: evaluation.per_user for name, evaluation in decisive.items()},
            [gate.metric],
            baseline=LIVE,
            seed=gate.seed,
            num_resamples=gate.resamples,
            level=level,
        ):
            comparisons[one.ranker] = {**one.as_json(), "level": level}
    return {
        "users": num_users,
        "newcomers": all_users - num_users,
        "candidates": {name: figures[name] for name in candidates},
        "live": None if against is None else {**live, **figures[LIVE]},
        "comparisons": comparisons,
    }


def without_newcomers(split: Split) -> Split:
    """Without the test events of users who have no event before: no ranker knows anything of them, and the service gives them what is popular."""
    had_U = np.bincount(split.train.user_rows, minlength=split.train.num_users) > 0
    return replace(split, test=split.test.where(had_U[split.test.user_rows]))


def _num_users(split: Split) -> int:
    return len(np.unique(split.test.positives().user_rows))


def _load(path: Path) -> RecommenderRelease:
    release = load_release(path)
    assert isinstance(release, RecommenderRelease)
    return release


def popular_share(evaluation: Evaluation, popularity_I: np.ndarray) -> float:
    """Share of all first ten places that go to the most popular items: those that together got half of all likes in training."""
    order_I = np.argsort(-popularity_I, kind="stable")
    before_I = np.cumsum(popularity_I[order_I]) - popularity_I[order_I]
    is_head_I = np.zeros(len(popularity_I), dtype=bool)
    is_head_I[order_I[before_I < _HEAD * popularity_I.sum()]] = True
    listed = evaluation.top_UK[:, :_LISTED]
    return float(is_head_I[listed[listed >= 0]].mean())


def latencies(releases: Mapping[str, RecommenderRelease], users: Sequence[str], gate: Gate) -> dict[str, float]:
    """The median seconds of an answer in this process, for the same users; they take turns, so that what else the machine does strikes all."""
    rng = np.random.default_rng([gate.seed, 2])
    asked = [users[row] for row in rng.integers(0, len(users), gate.questions)]
    taken: dict[str, list[float]] = {name: [] for name in releases}
    for user in asked:
        query = Query(user=user, k=_LISTED)
        for name, release in releases.items():
            started = time.perf_counter()
            release.recommender.recommend(query)
            taken[name].append(time.perf_counter() - started)
    return {name: float(np.median(own)) for name, own in taken.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
