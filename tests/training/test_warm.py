"""Warm starts: networks that go on with the weights of an earlier training, on data in which rows are others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from app.bundle import Vocabulary
from tests.contract.test_rankers import CASES, learn
from tests.training.conftest import make_interactions
from training.data import Interactions
from training.loop import Run
from training.models.history import HistoryCommittee
from training.models.matrix_factorization import MatrixFactorization
from training.ranker import TrainedRanker
from training.registry import RECOMMENDERS
from training.warm import DoesNotFit, WarmStart, Weights, axes_of

NETWORKS = [name for name, case in CASES.items() if case.resumable]
STILL = 1e-12
"""A learning rate at which nothing is learned."""


def settings(name: str, *, still: bool = False) -> dict[str, Any]:
    """Two epochs without choosing; `still`, at learning rates that leave weights where they are."""
    fields = RECOMMENDERS[name].config().model_fields
    values: Mapping[str, Any] = {
        "num_epochs": 2, "exposure_epochs": 2, "num_pretraining_epochs": 2, "num_rounds": 2, "validation_fraction": 0.0,
        "item_weight": 0.5, "linear_weight": 0.2, **({key: STILL for key in fields if "learning_rate" in key} if still else {}),
    }  # fmt: skip
    return {key: value for key, value in values.items() if key in fields}


def shuffled(data: Interactions) -> tuple[Interactions, np.ndarray, np.ndarray]:
    """The same events with rows in another order, and the new rows of users and items."""
    rng = np.random.default_rng(5)
    users, items = rng.permutation(data.num_users), rng.permutation(data.num_items)
    user_at, item_at = np.argsort(users), np.argsort(items)
    moved = replace(
        data,
        users=Vocabulary("user", [data.users.id(int(row)) for row in user_at]),
        items=Vocabulary("item", [data.items.id(int(row)) for row in item_at]),
        user_rows=users[data.user_rows],
        item_rows=items[data.item_rows],
    )
    return moved, users, items


def scores_of(trained: TrainedRanker, data: Interactions) -> np.ndarray:
    return trained.model.scores(data.histories(), np.arange(data.num_users))


class Begun(WarmStart):
    """Ends a training where it begins."""

    def begin(self, phase: str, stateful: Mapping[str, Any]) -> None:
        del phase
        self.networks = {name: thing for name, thing in stateful.items() if isinstance(thing, nn.Module)}
        raise KeyboardInterrupt


@pytest.mark.parametrize(("name", "other"), [*((name, {}) for name in NETWORKS), ("cf-nade", {"form": "item"})])
def test_networks_declare_every_axis_that_grows_with_items_or_users(name: str, other: dict[str, Any]) -> None:
    """Found from the shapes that data with more items, or with more users, give them."""
    shapes = []
    for counts in ({}, {"num_items": 43}, {"num_users": 67}):
        start = Begun(make_interactions(**counts))
        with pytest.raises(KeyboardInterrupt):
            learn(name, make_interactions(**counts), Run(warm_start=start), **settings(name), **other)
        shapes.append({(n, p): value.shape for n, network in start.networks.items() for p, value in network.named_parameters()})
    first, *others = shapes
    for kind, more in zip(("items", "users"), others, strict=True):
        grown = {key: (axis, kind) for key in first for axis in range(len(first[key])) if first[key][axis] != more[key][axis]}
        declared = {
            (n, p): (axis, of)
            for n, network in start.networks.items()
            for p, (axis, of) in axes_of(network).items()
            if of == kind and (n, p) in first
        }
        assert grown == declared


@pytest.mark.parametrize("name", ["bpr", "irgan"])
def test_a_network_goes_on_where_it_was_whatever_the_order_of_items_and_users(name: str) -> None:
    """Learning so slowly that nothing moves, it scores as before, item by item and user by user."""
    data = make_interactions()
    before = WarmStart(data)
    old = learn(name, data, Run(seed=3, warm_start=before), **settings(name))
    moved, users, items = shuffled(data)
    warm = WarmStart(moved, before.left)
    expected = np.empty((moved.num_users, moved.num_items))
    expected[np.ix_(users, items)] = scores_of(old, data)
    found = scores_of(learn(name, moved, Run(seed=4, warm_start=warm), **settings(name, still=True)), moved)
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert warm.carried == "40 of 40 items, 60 of 60 users"
    assert warm.left.networks.keys() == before.left.networks.keys()


def test_channels_of_a_history_are_carried_over_one_by_one() -> None:
    """A history encoder answers permuted histories, liked and low, with permuted scores."""
    data = make_interactions()

    def committee(data: Interactions, start: WarmStart, seed: int) -> HistoryCommittee:
        run = Run(seed=seed, warm_start=start)
        network = HistoryCommittee(
            num_items=data.num_items, num_channels=2, num_members=2, hidden_size=5, dropout=0.0,
            log_popularity_I=torch.zeros(data.num_items), generator=run.generator(),
        )  # fmt: skip
        with run.phase("fit", 0, network=network):
            pass
        return network

    before = WarmStart(data)
    old = committee(data, before, 0)
    moved, _, items = shuffled(data)
    new = committee(moved, WarmStart(moved, before.left), 1)
    at = torch.from_numpy(np.argsort(items))
    liked_BI, low_BI = torch.randint(2, (2, 7, data.num_items), generator=torch.Generator().manual_seed(0)).float()
    scores_MBI = new(torch.cat([liked_BI[:, at], low_BI[:, at]], dim=1))
    assert torch.allclose(scores_MBI, old(torch.cat([liked_BI, low_BI], dim=1))[..., at], atol=1e-6)


def factorization(data: Interactions, start: WarmStart, *, size: int = 3, seed: int = 0) -> MatrixFactorization:
    run = Run(seed=seed, warm_start=start)
    model = MatrixFactorization(
        num_users=data.num_users, num_items=data.num_items, embedding_size=size, init_std=1.0, generator=run.generator()
    )
    with run.phase("fit", 0, model=model):
        pass
    return model


def test_rows_of_ids_that_are_new_or_had_no_events_keep_their_fresh_start() -> None:
    """Item i0 had no event, so nothing was learned of it; i1 is gone, and new-item has taken a row."""
    data = make_interactions()
    data = data.where(data.item_rows != 0)
    before = WarmStart(data)
    old = factorization(data, before)
    others = replace(data, items=Vocabulary("item", ["new-item", *data.items.ids[2:], "i0"]))
    fresh = factorization(others, WarmStart(others), seed=1)
    warm = WarmStart(others, before.left)
    found = factorization(others, warm, seed=1)
    assert found.items_ID[1:-1].equal(old.items_ID[2:])
    assert found.users_UD.equal(old.users_UD)
    for row in (0, -1):
        assert found.items_ID[row].equal(fresh.items_ID[row])
    assert warm.carried == "38 of 40 items, 60 of 60 users"


def test_a_network_of_another_shape_begins_with_nothing() -> None:
    data = make_interactions()
    before = WarmStart(data)
    factorization(data, before)
    with pytest.raises(DoesNotFit, match=r"users_UD of fit/model has another shape: \(60, 3\) and \(60, 4\)"):
        factorization(data, WarmStart(data, before.left), size=4)


def test_data_without_a_common_item_begin_with_nothing() -> None:
    data = make_interactions()
    before = WarmStart(data)
    factorization(data, before)
    strangers = replace(data, items=Vocabulary("item", [f"x{row}" for row in range(data.num_items)]))
    with pytest.raises(DoesNotFit, match="none of its items is in these data"):
        factorization(strangers, WarmStart(strangers, before.left))


def test_weights_say_up_to_when_they_or_those_before_them_learned(tmp_path: Path) -> None:
    """Saved and read they are the same; the later time of the two trainings counts."""
    data = make_interactions()
    assert data.times is not None
    early = data.where(data.times < np.median(data.times))
    before = WarmStart(data)
    factorization(data, before)
    before.left.save(tmp_path / "weights")
    found = Weights.load(tmp_path / "weights")
    assert found is not None
    assert (found.until, found.items, found.users) == (data.times.max(), list(data.items.ids), list(data.users.ids))
    assert found.networks["fit/model"]["bias_I"].equal(before.left.networks["fit/model"]["bias_I"])
    assert WarmStart(early).left.until < WarmStart(early, found).left.until == data.times.max()
    assert Weights.load(tmp_path / "nothing") is None


def test_a_ranker_without_networks_leaves_nothing() -> None:
    data = make_interactions()
    start = WarmStart(data)
    learn("ease", data, Run(warm_start=start))
    assert not start.left.networks
