"""The whole path, by the commands that a person types: ratings, training, bundle, release, answers over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.bundle import Bundle, Histories, read_bundle
from tests.e2e.demo import get, irgan, service

_QUICK = ("--set", "num_members=2", "--set", "num_epochs=3", "--set", "validation_fraction=0")
_QUICK_RATINGS = ("--set", "num_members=1", "--set", "num_epochs=2", "--set", "exposure_epochs=2", "--set", "validate_every=2")
_FEW_USERS = ("1", "196", "405", "943")


def _train(ranker: str, folder: Path, *settings: str) -> Bundle:
    answer = irgan(
        *("train", ranker, "--data", "movielens-100k", "--split", "paper", "--seed", "1", "--json"),
        *("--bundles", str(folder / "bundles"), "--run-dir", str(folder / "run" / ranker), *settings),
        quiet=True,
    )
    return read_bundle(Path(json.loads(answer)["bundle"]))


def _own_ranking(bundle: Bundle, history: Histories, users: np.ndarray | None, k: int) -> list[str]:
    scores_I = bundle.model.scores(history, users)[0]
    scores_I[history.items] = -np.inf
    return [bundle.items.id(row) for row in np.argsort(-scores_I, kind="stable")[:k]]


def _ids(answer: dict[str, Any]) -> list[str]:
    return [item["id"] for item in answer["items"]]


@pytest.mark.data
@pytest.mark.parametrize(
    ("ranker", "settings"), [("irgan-history", _QUICK), ("ease", ("--set", "signal=all")), ("cf-nade", _QUICK_RATINGS)]
)
def test_what_http_answers_is_the_rankers_own_full_ranking(
    ranker: str, settings: tuple[str, ...], data_dir: Path, tmp_path: Path
) -> None:
    """Top-k through FAISS, a rescorer if there is one, filters and JSON equals a sort of all scores, for known users and a new one."""
    bundle = _train(ranker, tmp_path, *settings)
    releases = str(tmp_path / "releases")
    irgan("publish", str(bundle.path), "--releases", releases, quiet=True)
    with service(releases) as address:
        for user in _FEW_USERS:
            row = np.array([bundle.users.row(user)])
            wanted = _own_ranking(bundle, bundle.seen.take(row), row, 50)
            answer = get(f"{address}/v1/recommendations/{user}?k=50")
            assert _ids(answer) == wanted
            assert answer["ranker"] == ranker
        history = Histories.of([[bundle.items.row(item) for item in ("1", "50", "172")]], [[5.0, 4.0, 2.0]])
        asked = {"history": [{"item": "1", "rating": 5}, {"item": "50", "rating": 4}, {"item": "172", "rating": 2}], "k": 50}
        answer = get(f"{address}/v1/recommendations", asked)
        assert _ids(answer) == _own_ranking(bundle, history, None, 50)
        assert all(item["title"] for item in answer["items"])
        similar = get(f"{address}/v1/items/50/similar?k=5")
        assert len(similar["items"]) == 5
        assert "50" not in _ids(similar)
