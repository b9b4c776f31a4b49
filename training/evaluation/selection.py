"""Choosing the moment to stop on events held out of the training data, for any recipe.

`choose_and_refit` is the whole of it for rankers that learn from likes; `HeldOut` and `EarlyStopping` are its pieces, for those that choose
by something else.

Shapes: U users looked at, I items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from app.bundle import Histories
from training.data import Interactions, holdout
from training.data.batches import multi_hot
from training.errors import DataError
from training.evaluation.evaluate import validation_metrics
from training.loop import Best, Phase, Run

CHOOSE, FIT = "choose", "fit"
"""Names of the phase that chooses, on a part of the training data, and of the one that learns from all of it."""

MOST_USERS = 1_000
"""So many users at most are looked at; more make a look longer and the choice no better."""

Scores = Callable[[Histories], np.ndarray]
"""Scores of all items for each history, float [U, I]."""


class HeldOut:
    """A part of each user's training events, set apart to choose by.

    Args:
        data: training events.
        fraction: expected share of each user's events that is set apart, in (0, 1).
        rng: chooses the events, and the users looked at where there are many.

    Attributes:
        fit: the events to learn from meanwhile.
        held: the events set apart.
        users: rows of the users looked at, those with a held-out positive, int64 [U].
        histories: what `fit` holds of them, low ratings included.

    Raises:
        DataError: too few events to hold any out.
    """

    def __init__(self, data: Interactions, *, fraction: float, rng: np.random.Generator) -> None:
        self.fit, self.held = holdout(data, fraction=fraction, rng=rng)
        relevant = self.held.positives().histories()
        users = np.flatnonzero(relevant.lengths)
        if not len(users):
            raise DataError(
                f"no liked event is among the {len(self.held)} held out to choose the epoch; "
                "use more data, or --set validation_fraction=0 to take the last epoch"
            )
        self.users = np.sort(rng.permutation(users)[:MOST_USERS])
        self.histories = self.fit.histories().take(self.users)
        self._relevant = relevant.take(self.users)
        self._excluded = self.fit.positives().histories().take(self.users)

    def ndcg(self, scores: Scores) -> float:
        """Mean nDCG@10 of the held-out positives among all items that the user did not like in `fit`, as in the protocol `paper`."""
        return validation_metrics(scores(self.histories), self._relevant, self._excluded)["nDCG@10"]


class EarlyStopping:
    """Looks every few epochs of one phase, remembers the best look, and ends a phase that no longer gets better.

    Args:
        metric: its name in curves and summaries.
        every: epochs between looks; the last epoch of a phase is always looked at.
        patience: looks without a better value after which the phase ends.
        lower_is_better: for errors.

    Attributes:
        best: the best look; name it among the phase's states, so that it is saved and restored.
    """

    def __init__(self, metric: str, *, every: int, patience: int, lower_is_better: bool = False) -> None:
        self._metric = metric
        self._every = every
        self._patience = patience
        self._sign = -1.0 if lower_is_better else 1.0
        self.best = Best()

    def look(self, phase: Phase, epoch: int, measure: Callable[[], float], state: Any = None) -> None:
        """Measure if it is time to.

        Args:
            phase: its curves get the value; it is stopped where the best lies too far back.
            epoch: the running one.
            measure: the metric now.
            state: what is worth keeping of the best moment.
        """
        if (epoch + 1) % self._every and not phase.is_last:
            return
        value = measure()
        phase.log(**{self._metric: value})
        self.best.update(self._sign * value, epoch, state)
        if epoch - self.best.epoch >= self._patience * self._every:
            phase.stop()

    def summary(self, curve: list[tuple[int, float]]) -> dict[str, Any]:
        """The best and the final look, from the phase's curve of the metric."""
        told: dict[str, Any] = {
            "metric": self._metric,
            "best": {"after": self.best.epoch + 1, "value": self._sign * self.best.value},
        }
        if curve:
            told["final"] = {"after": curve[-1][0] + 1, "value": curve[-1][1]}
        return told

    def num_epochs(self, curve: list[tuple[int, float]], tolerance: float = 0.0) -> int:
        """How many epochs to learn for: up to the best look, or to the last one that is worse by no more than `tolerance`."""
        if not tolerance:
            return self.best.epoch + 1
        return max(epoch for epoch, value in curve if self._sign * value >= self.best.value - tolerance) + 1


class Choosing(Protocol):
    """Settings of a ranker that chooses how long it learns."""

    @property
    def num_epochs(self) -> int:
        """At most so many."""
        ...

    @property
    def validation_fraction(self) -> float:
        """Share of each user's events held out; 0 takes the last epoch."""
        ...

    @property
    def validate_every(self) -> int:
        """Epochs between looks."""
        ...

    @property
    def patience(self) -> int:
        """Looks without a better value after which the choosing stops."""
        ...


Model = TypeVar("Model")
Watch = Callable[[Phase, int, Model], None]
"""Told of every epoch's end; it may stop the phase."""


def choose_and_refit(
    data: Interactions,
    config: Choosing,
    run: Run,
    *,
    learn: Callable[..., Model],
    scores: Callable[[Model, Tensor], Tensor],
    tolerance: float = 0.0,
) -> tuple[Model, dict[str, Any]]:
    """Choose the number of epochs by nDCG@10 on a part of the training data, then learn from all of it.

    Args:
        data: training events.
        config: how to choose.
        run: its time budget may leave no time to learn again; then the model that chose is what there is.
        learn: the recipe's own, `learn(events, name=…, num_epochs=…)`, the name being `CHOOSE` or `FIT`; to choose also with `watch=…`, which
            it tells of every epoch's end, and `best=…`, which it names among what its phase saves.
        scores: of all items, [U, I], for likes as zeros and ones, [U, I].
        tolerance: the last look that is worse than the best by no more than this chooses.

    Returns:
        The model, and what to tell of how it came about.

    Raises:
        DataError: too few events to hold any out.
    """
    model: Model | None = None
    num_epochs = config.num_epochs
    summary: dict[str, Any] = {}
    if config.validation_fraction:
        held = HeldOut(data, fraction=config.validation_fraction, rng=run.numpy_rng(1))
        stopping = EarlyStopping("nDCG@10", every=config.validate_every, patience=config.patience)

        def watch(phase: Phase, epoch: int, model: Model) -> None:
            @torch.no_grad()
            def scored(histories: Histories) -> np.ndarray:
                liked_UI = multi_hot(histories.positives(data.positive_threshold), data.num_items, run.device)
                scores_UI: np.ndarray = scores(model, liked_UI).cpu().numpy()
                return scores_UI

            stopping.look(phase, epoch, lambda: held.ndcg(scored))

        model = learn(held.fit, name=CHOOSE, num_epochs=config.num_epochs, watch=watch, best=stopping.best)
        curve = run.curves[f"{CHOOSE}/nDCG@10"]
        num_epochs = stopping.num_epochs(curve, tolerance)
        summary["validation"] = stopping.summary(curve)
    # A refit that would be cut short is worth less than the model that chose.
    refit = model is None or not run.out_of_time
    if model is None or refit:
        model = learn(data, name=FIT, num_epochs=num_epochs)
    return model, summary | {"num_epochs": num_epochs, "refit": refit}
