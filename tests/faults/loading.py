"""Loads one bundle a line of stdin, asks it questions, and says on stdout what came of it."""

from __future__ import annotations

import os
import resource
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from app.bundle import BundleError
from app.releases import RecommenderRelease, Release, RerankRelease, load_release
from app.retrieval import Query, SearchQuestion

MEMORY = 4 * 2**30
"""What loading may take, address space and all: a bundle of some kilobytes that wants more is refused like any other."""


def main() -> None:
    """Until stdin ends."""
    faiss.omp_set_num_threads(1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    told = os.fdopen(os.dup(1), "w", buffering=1, errors="backslashreplace")
    os.dup2(2, 1)  # libraries may print; what the other process reads is ours alone
    for line in sys.stdin:
        told.write(f"{_told(Path(line.strip()))}\n")


def _told(path: Path) -> str:
    try:
        release = load_release(path)
    except BundleError as error:
        return f"refused {type(error).__name__} {' '.join(str(error).split())[:300]}"
    except Exception as error:
        return f"failed {type(error).__name__} {' '.join(str(error).split())[:300]}"
    try:
        return f"answers {_asked(release)}"
    except Exception as error:  # as a request would find it: a problem of that request
        return f"unanswered {type(error).__name__} {' '.join(str(error).split())[:300]}"


def _asked(release: Release) -> int:
    """Questions of each kind, more of them than loading asks."""
    scores: list[Sequence[float] | np.ndarray] = []
    if release.engine is not None:
        for mode in release.engine.modes:
            for text in ("ice water", "Item 3", "Comedy", ""):
                found = release.engine.search(SearchQuestion(text or "x", mode=mode, k=20))
                assert len(set(found.rows)) == len(found.rows)
                scores.append(found.scores)
    if isinstance(release, RecommenderRelease):
        ids, users = release.bundle.items.ids, release.bundle.users.ids
        queries = [
            *(Query(user=user, k=20) for user in users[:50]),
            *(
                Query(history=[(item, float("nan")) for item in ids[start : start + 5]], k=50)
                for start in range(0, len(ids), 40)
            ),
            Query(k=len(ids)),
        ]
        for query in queries:
            ranking = release.recommender.recommend(query)
            assert len(np.unique(ranking.rows)) == len(ranking.rows)
            scores.append(ranking.scores)
        scores += [release.similar.similar(item, k=10).scores for item in ids[::20]]
    if isinstance(release, RerankRelease):
        scores.append(release.model.scores(np.ones((100, release.model.num_features), dtype=np.float32)))
    assert all(np.isfinite(some).all() for some in scores)
    return len(scores)
