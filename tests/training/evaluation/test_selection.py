"""Choosing how long to learn: what is held out, which look is the best, when to stop, and the refit on everything.

Shapes: U users, I items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from app.bundle import Histories
from tests.training.conftest import make_interactions
from training.data import Interactions
from training.errors import DataError
from training.evaluation import selection
from training.evaluation.selection import EarlyStopping, HeldOut, choose_and_refit
from training.loop import Run


def settings(**changes: Any) -> SimpleNamespace:
    """As a ranker's configuration has them: eight epochs, a look at every second one."""
    return SimpleNamespace(**({"num_epochs": 8, "validation_fraction": 0.3, "validate_every": 2, "patience": 4} | changes))


class Learner:
    """A recipe's learning that learns nothing, and notes what it was asked for. Its model is the number of epochs so far."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, data: Interactions, *, name: str, num_epochs: int, watch: Any = None, **stateful: Any) -> list[int]:
        model = [0]
        with self.run.phase(name, num_epochs, **stateful) as phase:
            for epoch in phase:
                model[0] = epoch + 1
                if watch is not None:
                    watch(phase, epoch, model)
        self.calls.append((name, len(data), model[0]))
        return model


def look_like(values: Sequence[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks will find these values of nDCG@10."""
    remaining = iter(values)
    monkeypatch.setattr(HeldOut, "ndcg", lambda *_: next(remaining))


def chosen(
    run: Run, *, tolerance: float = 0.0, scores: Callable[..., Tensor] | None = None, **changes: Any
) -> tuple[Learner, list[int], dict[str, Any]]:
    learner = Learner(run)
    model, summary = choose_and_refit(
        make_interactions(),
        settings(**changes),
        run,
        learn=learner,
        scores=scores or (lambda _, liked_UI: liked_UI),
        tolerance=tolerance,
    )
    return learner, model, summary


@pytest.mark.parametrize(("tolerance", "wanted"), [(0.0, 4), (0.03, 6), (0.2, 8)])
def test_the_best_look_chooses_or_the_last_that_is_about_as_good(
    tolerance: float, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks of .50, .60, .58, .55: with no tolerance the second, with .03 the third; then all events are learned from for as long."""
    look_like([0.5, 0.6, 0.58, 0.55], monkeypatch)
    learner, model, summary = chosen(Run(), tolerance=tolerance)
    (first, few, longest), (second, all_of_them, epochs) = learner.calls
    assert (first, longest, second, epochs, model) == ("choose", 8, "fit", wanted, [wanted])
    assert few < all_of_them == len(make_interactions())
    assert summary == {
        "validation": {"metric": "nDCG@10", "best": {"after": 4, "value": 0.6}, "final": {"after": 8, "value": 0.55}},
        "num_epochs": wanted,
        "refit": True,
    }


def test_choosing_ends_where_the_best_look_lies_too_far_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A patience of two looks after a first one that is the best: it ends with the third look, after epoch six."""
    look_like([0.6, 0.5, 0.4, 0.9], monkeypatch)
    learner, _, summary = chosen(Run(), patience=2)
    assert [call[2] for call in learner.calls] == [6, 2]
    assert summary["validation"]["final"] == {"after": 6, "value": 0.4}


def test_the_last_epoch_is_always_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third of seven epochs, and the seventh."""
    look_like([0.1, 0.2, 0.3], monkeypatch)
    run = Run()
    chosen(run, num_epochs=7, validate_every=3)
    assert run.curves["choose/nDCG@10"] == [(2, 0.1), (5, 0.2), (6, 0.3)]


def test_without_validation_all_events_are_learned_from_at_once() -> None:
    learner, model, summary = chosen(Run(), validation_fraction=0.0)
    assert learner.calls == [("fit", len(make_interactions()), 8)]
    assert (model, summary) == ([8], {"num_epochs": 8, "refit": True})


def test_without_time_for_a_refit_the_model_that_chose_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    look_like([0.5], monkeypatch)
    learner, model, summary = chosen(Run(time_budget=0.0))
    assert [call[0] for call in learner.calls] == ["choose"]
    assert (model, summary["refit"]) == ([1], False)


def test_low_ratings_are_hidden_when_the_epoch_is_chosen_too() -> None:
    """As they are when it serves: a model is asked about liked events alone, at every look."""
    asked = []

    def scores(_: list[int], liked_UI: Tensor) -> Tensor:
        asked.append(liked_UI)
        return liked_UI

    chosen(Run(), scores=scores)
    held = HeldOut(make_interactions(), fraction=0.3, rng=Run().numpy_rng(1))
    liked_UI = torch.from_numpy(held.histories.positives(4.0).mask(40)).float()
    assert len(asked) == 4
    assert all(torch.equal(one, liked_UI) for one in asked)
    assert len(held.histories.items) > int(liked_UI.sum())


def test_what_is_held_out_is_part_of_nothing_that_is_learned_from() -> None:
    """Each event is in one part; those looked at have a held-out like, and the same seed holds out the same."""
    data = make_interactions()
    held = HeldOut(data, fraction=0.3, rng=np.random.default_rng(5))
    again = HeldOut(data, fraction=0.3, rng=np.random.default_rng(5))

    def pairs(part: Interactions) -> set[tuple[int, int]]:
        return set(zip(part.user_rows.tolist(), part.item_rows.tolist(), strict=True))

    assert pairs(held.fit) | pairs(held.held) == pairs(data)
    assert not pairs(held.fit) & pairs(held.held)
    assert pairs(held.held) == pairs(again.held)
    assert set(held.users) <= set(held.held.positives().user_rows)


def test_ndcg_of_a_look_is_one_for_whoever_knows_the_held_out_likes() -> None:
    """By hand: scores that are 1 for held-out likes and 0 elsewhere rank them first; turned round they rank them last."""
    held = HeldOut(make_interactions(), fraction=0.3, rng=np.random.default_rng(0))
    wanted_UI = held.held.positives().histories().take(held.users).mask(40).astype(float)

    def knows(histories: Histories) -> np.ndarray:
        assert len(histories) == len(held.users)
        return wanted_UI

    assert held.ndcg(knows) == pytest.approx(1.0)
    assert held.ndcg(lambda histories: -knows(histories)) < 0.1


def test_many_users_are_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MOST_USERS", 7)
    held = HeldOut(make_interactions(), fraction=0.3, rng=np.random.default_rng(0))
    assert len(held.users) == len(held.histories) == 7


def test_nothing_liked_to_choose_by_is_one_message() -> None:
    data = make_interactions()
    low = data.where(~data.is_positive)
    with pytest.raises(DataError, match=r"no liked event is among the .* held out to choose the epoch"):
        HeldOut(low, fraction=0.3, rng=np.random.default_rng(0))


def test_of_errors_the_smallest_is_the_best_and_is_told_as_it_is() -> None:
    run = Run()
    stopping = EarlyStopping("RMSE", every=1, patience=2, lower_is_better=True)
    errors = iter([1.0, 0.8, 0.9, 0.95, 0.1])
    with run.phase("choose", 5) as phase:
        for epoch in phase:
            stopping.look(phase, epoch, lambda: next(errors))
    curve = run.curves["choose/RMSE"]
    assert curve == [(0, 1.0), (1, 0.8), (2, 0.9), (3, 0.95)]
    assert stopping.summary(curve)["best"] == {"after": 2, "value": 0.8}
    assert [stopping.num_epochs(curve, tolerance) for tolerance in (0.0, 0.12, 0.5)] == [2, 3, 4]
