"""Rankers that torch trains, on a CUDA device where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.contract.test_rankers import CASES
from tests.training.conftest import make_interactions
from training.loop import Run
from training.registry import ranker


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.resumable])
def test_a_ranker_trains_on_cuda_and_its_vectors_come_back(name: str) -> None:
    """What learns in epochs; the model that is handed over holds NumPy arrays, wherever it was trained, and scores are finite."""
    data = make_interactions()
    spec = ranker(name)
    trained = spec.recipe()(data, spec.config()(**CASES[name].settings), Run(device=torch.device("cuda")))
    users = np.arange(data.num_users)
    assert np.isfinite(trained.model.scores(data.histories(), users)).all()
