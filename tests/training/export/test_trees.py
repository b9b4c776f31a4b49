"""Trees as a graph: LightGBM's own scores.

Shapes: N candidates, F features.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.judged import make_judged
from training.errors import DataError
from training.export import export_trees

lightgbm = pytest.importorskip("lightgbm", reason="the extra train brings LightGBM")


def booster(*, num_trees: int = 20, **settings: object) -> object:
    judged = make_judged()
    given = {"objective": "lambdarank", "num_leaves": 6, "min_data_in_leaf": 5, "verbose": -1, "use_missing": False}
    data = lightgbm.Dataset(judged.features_NF.astype(float), judged.grades, group=np.diff(judged.offsets))
    return lightgbm.train(given | settings, data, num_trees)


def test_scores_are_lightgbms_on_data_it_has_never_seen() -> None:
    """To the last bits, in double precision; and with fewer trees than there are, those of the first ones."""
    trained = booster()
    features_NF = make_judged(seed=5).features_NF
    for num_trees in (20, 7):
        ranker = export_trees(trained, num_features=6, num_trees=num_trees)
        expected_N = trained.predict(features_NF.astype(float), num_iteration=num_trees)
        np.testing.assert_allclose(ranker.scores(features_NF), expected_N, rtol=0, atol=1e-14)


def test_a_feature_on_a_threshold_goes_to_the_left() -> None:
    """One split at a threshold that lies halfway between two values; both values, and the threshold as near as single precision comes."""
    data = lightgbm.Dataset(np.array([[0.1], [0.3]] * 20), [0, 1] * 20, group=[2] * 20)
    settings = {"objective": "lambdarank", "min_data_in_leaf": 1, "min_data_in_bin": 1, "verbose": -1}
    trained = lightgbm.train(settings, data, 1)
    threshold = trained.dump_model()["tree_info"][0]["tree_structure"]["threshold"]
    ranker = export_trees(trained, num_features=1, num_trees=1)
    near_N1 = np.array([[0.1], [threshold], [np.nextafter(np.float32(threshold), np.float32(1))], [0.3]], dtype=np.float32)
    scores_N = ranker.scores(near_N1)
    np.testing.assert_array_equal(scores_N, trained.predict(near_N1.astype(float)))
    assert scores_N[0] < scores_N[3]


def test_trees_without_a_split_are_no_ranker() -> None:
    with pytest.raises(DataError, match="no tree found a split"):
        export_trees(booster(min_data_in_leaf=10_000), num_features=6, num_trees=1)


def test_a_wrong_graph_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check at export compares with a booster of other trees."""
    trained, other = booster(), booster(learning_rate=0.5)
    monkeypatch.setattr(trained, "predict", other.predict)
    with pytest.raises(RuntimeError, match="exported trees differ"):
        export_trees(trained, num_features=6, num_trees=20)
