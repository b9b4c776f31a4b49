"""Rankers that torch trains, on a CUDA device where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.conftest import make_interactions
from training.loop import Run
from training.registry import ranker

_SMALL = {
    "bpr": {"num_epochs": 2, "embedding_size": 4},
    "irgan": {"num_pretraining_epochs": 2, "num_rounds": 2},
    "irgan-history": {"num_epochs": 4, "num_members": 2, "hidden_size": 8, "warmup_epochs": 1, "linear_rank": 4},
}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("name", list(_SMALL))
def test_a_ranker_trains_on_cuda_and_its_vectors_come_back(name: str) -> None:
    """The model that is handed over holds NumPy arrays, wherever it was trained, and scores are finite."""
    data = make_interactions()
    spec = ranker(name)
    trained = spec.recipe()(data, spec.config()(**_SMALL[name]), Run(device=torch.device("cuda")))
    users = np.arange(data.num_users)
    assert np.isfinite(trained.model.scores(data.histories(), users)).all()
