"""NADE as a density: it learns what there is to learn, keeps its best look, and its ensembles are exact.

Shapes: N rows, D dimensions.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from training.data.binary import BinaryData
from training.densities.nade import Config, NadeDensity, fit
from training.loop import Run

D = 6
SETTINGS: dict[str, Any] = {
    "hidden_size": 16,
    "num_epochs": 30,
    "num_members": 2,
    "num_orders": 3,
    "batch_size": 30,
    "learning_rate": 2e-2,
}
FORMS = pytest.mark.parametrize(
    "form",
    [{}, {"order": "natural"}, {"form": "order-agnostic", "num_epochs": 60}, {"form": "order-agnostic", "num_layers": 2}],
)


def pairs(num_rows: int, seed: int) -> np.ndarray:
    """Three coins, each written down twice, the second time wrongly once in ten times."""
    rng = np.random.default_rng(seed)
    coins_N3 = rng.random((num_rows, 3)) < np.array([0.2, 0.5, 0.8])
    again_N3 = coins_N3 ^ (rng.random((num_rows, 3)) < 0.1)
    return np.concatenate([coins_N3, again_N3], axis=1).astype(np.uint8)


DATA = BinaryData("pairs", pairs(600, 0), pairs(200, 1), pairs(2000, 2))
TEST = torch.from_numpy(DATA.test_ND).float()


def log_prob_of_source() -> float:
    """Mean log probability of the test rows under the distribution that they were drawn from, nats."""
    coins_N3, again_N3 = DATA.test_ND[:, :3], DATA.test_ND[:, 3:]
    means_3 = np.array([0.2, 0.5, 0.8])
    coins = np.log(np.where(coins_N3 == 1, means_3, 1 - means_3)).sum(axis=1)
    return float((coins + np.log(np.where(coins_N3 == again_N3, 0.9, 0.1)).sum(axis=1)).mean())


def log_prob_of_means() -> float:
    """The same of independent entries with the training rows' means."""
    means_D = DATA.train_ND.mean(axis=0)
    return float(np.log(np.where(DATA.test_ND == 1, means_D, 1 - means_D)).sum(axis=1).mean())


@FORMS
def test_it_learns_the_dependences_that_are_there(form: dict[str, Any]) -> None:
    """Within a twentieth of a nat of the source itself on the same rows, and 0.7 nats better than the means."""
    estimate = fit(DATA.without_test(), Config(**(SETTINGS | form)), Run(seed=0)).log_likelihood(TEST)
    assert estimate.kind == "exact"
    assert estimate.low == estimate.value == estimate.high
    assert estimate.value == pytest.approx(log_prob_of_source(), abs=0.05)
    assert estimate.value > log_prob_of_means() + 0.7


@FORMS
def test_a_trained_ensemble_sums_to_one(form: dict[str, Any]) -> None:
    """Over all 2⁶ vectors, to 1e-5, as it comes from training."""
    density = fit(DATA, Config(**(SETTINGS | {"num_epochs": 5} | form)), Run(seed=1))
    everything_ND = torch.tensor(list(itertools.product([0.0, 1.0], repeat=D)))
    assert density.log_probs(everything_ND).double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_members_and_orders_make_the_components() -> None:
    """Fixed: an order for each member, another each, or the columns' own. Order-agnostic: each member in several orders."""

    def orders(**settings: Any) -> list[tuple[int, ...]]:
        density = fit(DATA, Config(**(SETTINGS | {"num_epochs": 1} | settings)), Run(seed=0))
        return [tuple(order_D.tolist()) for _, order_D in density.components]

    assert len(set(orders())) == 2
    assert orders(order="natural") == [tuple(range(D))] * 2
    assert len(set(orders(form="order-agnostic"))) == 6


def test_a_member_is_kept_as_it_was_at_its_best_look() -> None:
    """Learned far too fast it gets worse; what is given back has the highest value of the curve."""
    run = Run(seed=0)
    config = Config(hidden_size=64, num_members=1, learning_rate=0.1, weight_decay=0.0, num_epochs=30, patience=3)
    small = BinaryData("pairs", DATA.train_ND[:60], DATA.valid_ND, DATA.test_ND)
    density = fit(small, config, run)
    curve = [value for _, value in run.curves["member-0/valid_log_likelihood"]]
    assert max(curve) > curve[-1]
    assert len(curve) < 15, "patience ends it early"
    valid_ND = torch.from_numpy(DATA.valid_ND).float()
    assert density.log_likelihood(valid_ND).value == pytest.approx(max(curve), abs=1e-6)


def test_samples_have_the_means_and_the_pairs_of_the_source() -> None:
    """From all components; the same seed gives the same rows."""
    density = fit(DATA, Config(**SETTINGS), Run(seed=0))
    rows_ND = density.sample(4000, torch.Generator().manual_seed(0))
    assert set(rows_ND.unique().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(rows_ND[:, :3].mean(dim=0), [0.2, 0.5, 0.8], atol=0.06)
    np.testing.assert_allclose((rows_ND[:, :3] == rows_ND[:, 3:]).float().mean(dim=0), 0.9, atol=0.04)
    assert torch.equal(rows_ND, density.sample(4000, torch.Generator().manual_seed(0)))


def test_the_seed_decides() -> None:
    """The same figure to the last bit from the same seed, another from another."""
    config = Config(**(SETTINGS | {"num_epochs": 2}))
    first, again, other = (fit(DATA, config, Run(seed=seed)).log_likelihood(TEST).value for seed in (0, 0, 1))
    assert first == again != other


def test_a_mixture_is_never_worse_than_the_mean_of_its_components() -> None:
    """Jensen's inequality, row by row."""
    density = fit(DATA, Config(**(SETTINGS | {"num_epochs": 3})), Run(seed=0))
    alone = torch.stack([NadeDensity([component]).log_probs(TEST) for component in density.components])
    assert (density.log_probs(TEST) >= alone.mean(dim=0) - 1e-5).all()
