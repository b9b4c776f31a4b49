"""Choosing the moment to stop on events held out of the training data, for any recipe.

    chosen = EarlyStopping("nDCG@10", every=5, patience=4)
    held = HeldOut(data, fraction=0.2, rng=run.numpy_rng(1))
    model = learn(held.fit, config, run, name="choose", …)   # after each epoch: chosen.look(phase, epoch, lambda: held.ndcg(…))
    model = learn(data, config, run, name="fit", num_epochs=chosen.best.epoch + 1)

Shapes: U users looked at, I items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from app.bundle import Histories
from training.data import Interactions, holdout
from training.errors import DataError
from training.evaluation.evaluate import validation_metrics
from training.loop import Best, Phase

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
