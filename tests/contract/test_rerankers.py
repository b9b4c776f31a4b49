"""What every registered ranker of candidates must do, one suite for all.

Shapes: C candidates, F features.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.bundle import FeatureRanker, RerankBundle, SplitInfo, read_bundle
from tests.contract.common import check_settings, check_summary, interrupted_after, nothing_global_takes_part
from tests.training.texts import make_feature_split
from training.data import FeatureSplit
from training.errors import DataError, Interrupted
from training.evaluation.rerank import evaluate_reranker, evaluate_scores
from training.export import export_reranker
from training.jobs.rerank import without_test
from training.loop import Run
from training.ranker import TrainedReranker
from training.registry import RANKERS

RERANKERS = {name: spec for name, spec in RANKERS.items() if spec.kind == "rerank"}


@dataclass(frozen=True)
class Case:
    """What the suite has to know of a ranker with certain settings.

    Attributes:
        ranker: its name in the registry.
        settings: a size that learns within a second.
        resumable: whether it learns in epochs, between which it can be interrupted.
    """

    ranker: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    resumable: bool = True


_GAME = {"num_members": 2, "hidden_size": 16, "batch_size": 16, "num_epochs": 15, "num_rounds": 6, "weight_decay": 0.1}

CASES = {
    "irgan-ltr, point-wise": Case("irgan-ltr", _GAME),
    "irgan-ltr, pair-wise": Case("irgan-ltr", {**_GAME, "form": "pairwise"}),
    "irgan-ltr, discriminator": Case(
        "irgan-ltr", {**_GAME, "player": "discriminator", "reward": "sampled", "negatives": "sampled"}
    ),
    "irgan-ltr, no adversary": Case("irgan-ltr", {**_GAME, "adversary": "none"}),
    "lambdamart": Case("lambdamart", {"num_trees": 40, "min_leaf_size": 5, "learning_rate": 0.1}, resumable=False),
    "listnet": Case("listnet", {"batch_size": 16, "num_epochs": 15}),
    "ranknet": Case("ranknet", {"hidden_size": 16, "batch_size": 16, "num_epochs": 15}),
}

EVERY_CASE = pytest.mark.parametrize("case", CASES)


@cache
def split() -> FeatureSplit:
    """Grades by a noisy sum of features on scales of their own."""
    return make_feature_split()


def learn(case: str, data: FeatureSplit, run: Run | None = None) -> TrainedReranker:
    spec = RERANKERS[CASES[case].ranker]
    trained: TrainedReranker = spec.recipe()(data, spec.config()(**CASES[case].settings), run or Run(seed=3))
    return trained


@cache
def trained(case: str) -> TrainedReranker:
    return learn(case, without_test(split()))


def check_same(mine: FeatureRanker, theirs: FeatureRanker) -> None:
    """To the last bit."""
    for part in (split().train, split().test):
        np.testing.assert_array_equal(mine.scores(part.features_NF), theirs.scores(part.features_NF))


def test_every_ranker_of_candidates_has_a_case() -> None:
    """A new one is covered once it stands here with its settings."""
    assert {told.ranker for told in CASES.values()} == set(RERANKERS)


@EVERY_CASE
def test_a_recipe_is_given_data_settings_and_a_run_and_nothing_else(case: str) -> None:
    """Test data cannot be seen by a function that never gets them."""
    assert list(inspect.signature(RERANKERS[CASES[case].ranker].recipe()).parameters) == ["data", "config", "run"]


@EVERY_CASE
def test_it_ranks_better_than_chance_and_than_any_feature_alone(case: str) -> None:
    """On queries that it has not seen; the best single feature is what a person would sort by."""
    test = split().test
    found = evaluate_reranker(trained(case).model, test).means()["nDCG@5"]
    alone = [evaluate_scores(column, test).means()["nDCG@5"] for column in test.features_NF.T]
    assert found > max(alone) + 0.02


@EVERY_CASE
def test_the_seed_decides_and_nothing_global_takes_part(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained again it is the same to the last bit, whatever state global generators are in; they and the data stay as they were."""
    data, first = without_test(split()), trained(case)
    before = data.train.fingerprint()
    with nothing_global_takes_part(capsys):
        again = learn(case, data)
    check_same(again.model, first.model)
    assert data.train.fingerprint() == before


@EVERY_CASE
def test_test_queries_change_nothing(case: str) -> None:
    """A recipe that is given them by mistake learns the same."""
    check_same(learn(case, split()).model, trained(case).model)


@EVERY_CASE
def test_interrupted_and_resumed_it_is_the_same_to_the_last_bit(case: str, tmp_path: Path) -> None:
    """Ctrl-C comes in an early epoch, and in a late one of the resumed run."""
    data = without_test(split())
    whole = learn(case, data, run := Run(seed=3, folder=tmp_path / "whole"))
    points = sum(map(len, run.curves.values()))
    assert CASES[case].resumable == bool(points)
    folder = tmp_path / "interrupted"
    for share in (0.3, 0.9) if points else ():
        with interrupted_after(share * points), pytest.raises(Interrupted):
            learn(case, data, Run(seed=3, folder=folder, resume=True))
    resumed = learn(case, data, run_again := Run(seed=3, folder=folder, resume=True))
    assert run_again.curves == run.curves
    assert resumed.summary == whole.summary
    check_same(resumed.model, whole.model)
    for variant, model in whole.variants.items():
        check_same(resumed.variants[variant], model)


@EVERY_CASE
def test_a_candidate_s_score_is_finite_and_its_own(case: str) -> None:
    """Alone as in company, twice the same, far outside of what training had; no candidate gives no score."""
    model = trained(case).model
    features_CF = split().test.features_NF[:6].copy()
    features_CF[3] = features_CF[1]
    features_CF[4] = 1e6
    features_CF[5] = -1e6
    scores_C = model.scores(features_CF)
    assert scores_C.dtype == np.float64
    assert np.isfinite(scores_C).all()
    assert scores_C[3] == scores_C[1]
    alone_C = np.concatenate([model.scores(features_CF[row : row + 1]) for row in range(6)])
    np.testing.assert_allclose(alone_C, scores_C, rtol=1e-5, atol=1e-6)
    assert model.num_features == 6
    assert model.scores(np.zeros((0, 6), dtype=np.float32)).shape == (0,)


@EVERY_CASE
def test_it_learns_without_a_validation_part(case: str) -> None:
    """An empty one is no reason for a traceback."""
    nothing = np.zeros(0, dtype=np.int64)
    model = learn(case, replace(without_test(split()), valid=split().valid.take(nothing))).model
    assert np.isfinite(model.scores(split().test.features_NF)).all()


@EVERY_CASE
def test_grades_that_are_all_zero_are_refused(case: str) -> None:
    """Nothing can be learned from them: one message."""
    train = split().train
    with pytest.raises(DataError, match=r"order to learn|tell the training candidates apart"):
        learn(case, replace(without_test(split()), train=replace(train, grades=np.zeros_like(train.grades))))


def export(case: str, root: Path) -> Path:
    spec = RERANKERS[CASES[case].ranker]
    return export_reranker(
        trained(case).model,
        split().train,
        data_name=split().dataset,
        split=SplitInfo(name=split().name, parameters=split().parameters),
        root=root,
        name=spec.name,
        ranker=spec.name,
        paper=spec.paper,
        seed=3,
        config=CASES[case].settings,
        metrics={},
        training=trained(case).summary,
    )


@EVERY_CASE
def test_a_bundle_ranks_as_the_ranker_does(case: str, tmp_path: Path) -> None:
    """The same scores to the last bit."""
    bundle = read_bundle(export(case, tmp_path))
    assert isinstance(bundle, RerankBundle)
    check_same(bundle.model, trained(case).model)
    assert bundle.manifest.ranker == CASES[case].ranker


@EVERY_CASE
def test_a_bundle_ranks_without_torch_and_without_training(case: str, tmp_path: Path) -> None:
    """In a process of its own that has nothing but the service's half."""
    path, features_CF = export(case, tmp_path), split().test.features_NF[:5]
    program = (
        "import json, sys; from pathlib import Path; import numpy as np; from app.bundle import read_bundle; "
        "model = read_bundle(Path(sys.argv[1])).model; scores = model.scores(np.array(json.loads(sys.argv[2]), dtype=np.float32)); "
        "heavy = {'torch', 'training', 'lightgbm'} & {name.partition('.')[0] for name in sys.modules}; "
        "print(json.dumps([scores.tolist(), sorted(heavy)]))"
    )
    asked = json.dumps(features_CF.tolist())
    ended = subprocess.run([sys.executable, "-c", program, str(path), asked], capture_output=True, text=True, check=True)
    scores, heavy = json.loads(ended.stdout)
    np.testing.assert_allclose(scores, trained(case).model.scores(features_CF), rtol=1e-6)
    assert heavy == []


@EVERY_CASE
def test_variants_of_a_ranker_rank_as_it_does(case: str) -> None:
    """The other models of a run are whole rankers."""
    for model in trained(case).variants.values():
        assert model.num_features == 6
        assert np.isfinite(model.scores(split().test.features_NF)).all()


@pytest.mark.parametrize("name", RERANKERS)
def test_settings_are_closed_frozen_and_described(name: str) -> None:
    """See `check_settings`."""
    check_settings(RERANKERS[name].config())


@EVERY_CASE
def test_what_a_run_tells_of_itself_is_json(case: str) -> None:
    """See `check_summary`."""
    check_summary(trained(case).summary)
