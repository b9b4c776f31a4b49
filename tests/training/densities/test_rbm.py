"""The density of a binary RBM: what it learns, how its figure is computed, and that it can be interrupted.

Shapes: N rows, D dimensions.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.data.binary import BinaryData
from training.densities.rbm import Config, RBMDensity, fit
from training.errors import Interrupted
from training.loop import Run
from training.models.rbm import BernoulliRBM
from training.objectives.annealed_importance import exact_log_partition

SMALL: dict[str, Any] = {
    "hidden_size": 6,
    "num_epochs": 60,
    "batch_size": 50,
    "learning_rate": 0.2,
    "weight_decay": 0.0,
    "num_annealing_steps": 500,
    "validate_every": 10,
}


def patterns(num_rows: int, seed: int) -> np.ndarray:
    """Two patterns of eight units, each unit wrong with a chance of 0.1."""
    rng = np.random.default_rng(seed)
    clean_ND = np.array([[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]])[rng.integers(0, 2, num_rows)]
    return (clean_ND ^ (rng.random(clean_ND.shape) < 0.1)).astype(np.uint8)


@pytest.fixture(scope="module")
def data() -> BinaryData:
    return BinaryData("patterns", patterns(200, 0), patterns(100, 1), patterns(0, 2))


def states() -> torch.Tensor:
    return ((torch.arange(2**8)[:, None] >> torch.arange(8)) & 1).float()


def learned(data: BinaryData, run: Run | None = None, **settings: Any) -> RBMDensity:
    return fit(data, Config(**(SMALL | settings)), run or Run(seed=1))


def test_it_learns_what_units_have_to_do_with_each_other(data: BinaryData) -> None:
    """Unseen rows against independent units (8 bits, 5.5 nats) and the truth, whose entropy is 8 · 0.325 + log 2 = 3.29 nats."""
    density = learned(data, num_epochs=150, batch_size=20)
    estimate = density.log_likelihood(torch.from_numpy(patterns(1000, 3)).float())
    assert estimate.kind == "exact"
    assert estimate.low == estimate.value == estimate.high
    assert -3.6 < estimate.value < -3.2


def test_its_probabilities_sum_to_one(data: BinaryData) -> None:
    """Over all 256 rows, each asked for alone."""
    density = learned(data, num_epochs=10)
    total = sum(math.exp(density.log_likelihood(row_D[None]).value) for row_D in states())
    assert total == pytest.approx(1.0, abs=1e-5)


def test_beyond_enumeration_the_interval_holds_the_exact_likelihood() -> None:
    """16 units on both sides are annealed; the exact log Z, by summing 2^16 states, lies within."""
    rng = np.random.default_rng(5)
    rows_ND = np.repeat(rng.integers(0, 2, size=(300, 8)), 2, axis=1).astype(np.uint8)  # twins
    data = BinaryData("twins", rows_ND[:200], rows_ND[200:], rows_ND[:0])
    density = learned(data, hidden_size=16, num_epochs=30, num_annealing_steps=3000)
    valid_ND = torch.from_numpy(data.valid_ND).float()
    estimate = density.log_likelihood(valid_ND)
    assert estimate.kind == "ais"
    parameters = density.model.weights_HD, density.model.visible_bias_D, density.model.hidden_bias_H
    with torch.no_grad():
        exact = -float(density.model.free_energy(valid_ND).mean()) - exact_log_partition(*parameters).value
    assert estimate.low < exact < estimate.high
    assert estimate.high - estimate.low < 0.5


def test_validation_chooses_the_epoch(data: BinaryData) -> None:
    """The figure on the validation rows is the best that was seen on the way."""
    run = Run(seed=1)
    density = learned(data, run)
    seen = [value for _, value in run.curves["fit/valid_log_likelihood"]]
    found = density.log_likelihood(torch.from_numpy(data.valid_ND).float()).value
    assert found == pytest.approx(max(seen))
    assert set(run.curves) == {"fit/valid_log_likelihood", "fit/pseudo_likelihood", "fit/reconstruction_error"}


@pytest.mark.parametrize("chains", ["data", "persistent"])
def test_resumed_it_is_the_same_to_the_last_bit(data: BinaryData, chains: str, tmp_path: Path) -> None:
    """Interrupted in the third epoch of looks; chains, running mean and random numbers go on where they were."""
    settings = {"num_epochs": 20, "validate_every": 4, "chains": chains}
    whole = learned(data, Run(seed=1, folder=tmp_path / "whole"), **settings)

    class Once(Run):
        def scalar(self, name: str, value: float, step: int) -> None:
            super().scalar(name, value, step)
            if step == 11:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        learned(data, Once(seed=1, folder=tmp_path / "cut"), **settings)
    resumed = learned(data, Run(seed=1, folder=tmp_path / "cut", resume=True), **settings)
    for mine, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert resumed.log_partition == whole.log_partition


def test_samples_are_rows_of_the_model() -> None:
    """An RBM that couples its two units: they agree in 3/4 of the rows, as enumeration says."""
    model = BernoulliRBM(
        num_visible=2,
        num_hidden=1,
        init_std=0.0,
        visible_bias_D=torch.tensor([-2.0, -2.0]),
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        model.weights_HD.fill_(4.0)
        model.hidden_bias_H.fill_(-4.0)
        probs_V = torch.softmax(-model.free_energy(torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])), 0)
    parameters = model.weights_HD, model.visible_bias_D, model.hidden_bias_H
    density = RBMDensity(model, exact_log_partition(*parameters), torch.zeros(2))
    rows_ND = density.sample(4000, torch.Generator().manual_seed(1))
    assert rows_ND.unique().tolist() == [0.0, 1.0]
    agree = float((rows_ND[:, 0] == rows_ND[:, 1]).float().mean())
    assert agree == pytest.approx(float(probs_V[0] + probs_V[3]), abs=0.03)
