"""Errors of predicted ratings: over all test events, low ones included, against a computation event by event."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from app.bundle import LinearEncoder, VectorModel
from tests.conftest import make_rescorer
from tests.training.conftest import make_interactions
from training.data import Split
from training.evaluation import evaluate


def split() -> Split:
    """A quarter of the ratings is the test part; three users have nothing there."""
    data = make_interactions()
    is_test_N = (np.arange(len(data)) % 4 == 0) & (data.user_rows >= 3)
    return Split("made-up", "random", {}, data.where(~is_test_N), data.where(is_test_N), pd.DataFrame(index=range(40)))


def model(*, predicts: bool = True) -> VectorModel:
    vectors_ID = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    encoder = LinearEncoder(table_ID=vectors_ID, exponent=1.0)
    return VectorModel(vectors_ID, encoder, rescorer=make_rescorer(vectors_ID), predicts_ratings=predicts)


@pytest.mark.parametrize("cells", [8_000_000, 100])
def test_rmse_and_mae_are_those_of_every_single_event(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one batch and in batches of two users, under both protocols alike."""
    monkeypatch.setattr(sys.modules["training.evaluation.evaluate"], "_CELLS", cells)
    data, ranker = split(), model()
    histories = data.train.histories()
    errors = [
        ranker.ratings(histories.take(np.array([user])))[0, item] - rating
        for user, item, rating in zip(data.test.user_rows, data.test.item_rows, data.test.ratings, strict=True)
    ]
    for protocol in ("paper", "standard"):
        found = evaluate(ranker, data, protocol).means
        assert found["RMSE"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-9)
        assert found["MAE"] == pytest.approx(np.mean(np.abs(errors)), rel=1e-9)


def test_nothing_is_told_of_rankers_that_predict_none_or_data_that_have_none() -> None:
    data = split()
    assert "RMSE" not in evaluate(model(predicts=False), data).means
    clicks = replace(data, test=replace(data.test, ratings=None, positive_threshold=0.0))
    assert "RMSE" not in evaluate(model(), clicks).means
