"""Choosing the moment to stop on held-out events of the training data.

Shapes: B users in a batch, I items.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from training.data import Interactions
from training.evaluation import validation_metrics
from training.loop import Best, Phase
from training.models.matrix_factorization import MatrixFactorization

_CELLS = 8_000_000
"""Scores held at once."""

SELECTED = "nDCG@10"
"""The metric that chooses."""


class Validation:
    """Ranks all items that a user did not like in the fitted part; the held-out positives are relevant.

    Args:
        fit: events that the players learn from.
        held: events set apart.
        max_users: at most as many users are looked at.
        rng: chooses them.
    """

    def __init__(self, fit: Interactions, held: Interactions, *, max_users: int, rng: np.random.Generator) -> None:
        self._relevant = held.positives().histories()
        self._excluded = fit.positives().histories()
        self._width = max(1, _CELLS // fit.num_items)
        users = np.flatnonzero(self._relevant.lengths)
        self._users = np.sort(rng.permutation(users)[:max_users])

    @torch.no_grad()
    def measure(self, model: MatrixFactorization) -> dict[str, float]:
        """Mean nDCG@10 and AP over the users; zeros where nobody has a held-out positive."""
        total = {SELECTED: 0.0, "AP": 0.0}
        for start in range(0, len(self._users), self._width):
            users_B = self._users[start : start + self._width]
            scores_BI = model(torch.from_numpy(users_B).to(model.bias_I.device)).cpu().numpy()
            means = validation_metrics(scores_BI, self._relevant.take(users_B), self._excluded.take(users_B))
            total = {name: total[name] + means[name] * len(users_B) / len(self._users) for name in total}
        return total


class Watch:
    """Looks at a player every few epochs of one phase, keeps the best moment, and ends a phase that no longer gets better.

    Args:
        validation: what to look at.
        every: epochs between looks.
        patience: looks without a better value after which the phase ends.

    Attributes:
        best: the best value, its epoch, and the players as they were then; a phase saves and restores it.
    """

    def __init__(self, validation: Validation, *, every: int, patience: int) -> None:
        self._validation = validation
        self._every = every
        self._patience = patience
        self.best = Best()

    def begin(self, model: MatrixFactorization, players: Mapping[str, nn.Module]) -> None:
        """Look before the first epoch: none at all is a choice, too."""
        self.best.update(self._validation.measure(model)[SELECTED], -1, _states(players))

    def look(self, phase: Phase, epoch: int, model: MatrixFactorization, players: Mapping[str, nn.Module]) -> None:
        """Measure if it is time to, or the last epoch.

        Args:
            phase: its curves get the metrics; it is stopped where the best lies too far back.
            epoch: the running one.
            model: who is judged.
            players: who is kept of the best moment.
        """
        if (epoch + 1) % self._every and not phase.is_last:
            return
        metrics = self._validation.measure(model)
        phase.log(**metrics)
        self.best.update(metrics[SELECTED], epoch, _states(players))
        if epoch - self.best.epoch >= self._patience * self._every:
            phase.stop()

    def restore(self, players: Mapping[str, nn.Module]) -> None:
        """Put the players back to the best moment."""
        for name, player in players.items():
            player.load_state_dict(self.best.state[name])

    def summary(self, curve: list[tuple[int, float]]) -> dict[str, Any]:
        """Best and final moment, from the phase's curve of the metric."""
        best = {"after": self.best.epoch + 1, "value": self.best.value}
        return {"metric": SELECTED, "best": best} | (
            {"final": {"after": curve[-1][0] + 1, "value": curve[-1][1]}} if curve else {}
        )


def _states(players: Mapping[str, nn.Module]) -> dict[str, Any]:
    return {name: player.state_dict() for name, player in players.items()}
