"""Made-up bandits whose policies' values are known."""

from __future__ import annotations

from itertools import product

import numpy as np

from app.bundle import Vocabulary
from training.data import LoggedActions
from training.evaluation.counterfactual import TargetPolicy
from training.evaluation.counterfactual.estimators import Weighted
from training.evaluation.counterfactual.rewards import Predictions

CONTEXTS_X = np.array([0.4, 0.6])
RATES_XA = np.array([[0.1, 0.7, 0.3], [0.5, 0.2, 0.9]])
LOGGING_XA = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]])
TARGET_XA = np.array([[0.1, 0.8, 0.1], [0.25, 0.05, 0.7]])
TRUTH = float(CONTEXTS_X @ (TARGET_XA * RATES_XA).sum(axis=1))


def outcomes() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All rows that the bandit can give: context, action, reward, and the probability of each under the logging policy."""
    rows = np.array(list(product(range(2), range(3), range(2))))
    contexts, actions, rewards = rows.T
    rates = RATES_XA[contexts, actions]
    probs = CONTEXTS_X[contexts] * LOGGING_XA[contexts, actions] * np.where(rewards == 1, rates, 1 - rates)
    return contexts, actions, rewards.astype(float), probs


def weighted(
    contexts: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    *,
    logging_XA: np.ndarray = LOGGING_XA,
    expected_XA: np.ndarray = RATES_XA,
    clusters: np.ndarray | None = None,
) -> Weighted:
    """Rows with a given reward model; two folds that agree."""
    logged, direct = expected_XA[contexts, actions], (TARGET_XA * expected_XA).sum(axis=1)[contexts]
    return Weighted(
        rewards_N=rewards,
        weights_N=TARGET_XA[contexts, actions] / logging_XA[contexts, actions],
        clusters_N=np.arange(len(contexts)) if clusters is None else clusters,
        predictions=Predictions(np.tile(logged, (2, 1)), np.tile(direct, (2, 1)), np.arange(len(contexts)) % 2),
    )


def draw(rng: np.random.Generator, num_rows: int) -> LoggedActions:
    """A log of the made-up bandit."""
    contexts = (rng.random(num_rows) < CONTEXTS_X[1]).astype(np.int64)
    actions = (rng.random(num_rows)[:, None] > LOGGING_XA[contexts].cumsum(axis=1)).sum(axis=1).clip(max=2)
    return LoggedActions(
        name="made-up",
        actions=Vocabulary("item", "abc"),
        action_rows_N=actions,
        positions_N=np.ones(num_rows, dtype=np.int64),
        rewards_N=(rng.random(num_rows) < RATES_XA[contexts, actions]).astype(np.float64),
        propensities_N=LOGGING_XA[contexts, actions],
        clusters_N=np.arange(num_rows),
        context={"kind": np.array(["x", "y"])[contexts]},
        keys={"kind": np.array(["x", "y"])[contexts]},
    )


def target_for(log: LoggedActions) -> TargetPolicy:
    """The made-up target on such a log."""
    return TargetPolicy(name="target", probs_GA=TARGET_XA, groups_N=(log.context["kind"] == "y").astype(np.int64))
