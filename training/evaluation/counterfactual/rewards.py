"""Reward models: what an action would bring, learned from the log and asked of rows that they did not learn from.

Shapes: N rows, A actions, P distinct pairs of a context and a group of the target, K folds, F features of a context, E of an action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from scipy import sparse
from threadpoolctl import threadpool_limits

from training.data import LoggedActions
from training.evaluation.counterfactual.targets import TargetPolicy

ModelName = Literal["linear", "trees"]

NUM_FOLDS = 10
_CELLS = 1_000_000
"""Predictions held at once."""
_MOST_VALUES = 1_000
"""Distinct texts of a feature that are told apart, the most frequent first."""
_PRIOR_DEVIATION = 1.0
"""Of the coefficients: features change the odds of a reward by a factor of e, more or less; few clicks tell little against it."""
_TOGETHER = 0.5
"""The same of what a context and an action bring together, in parts of it: most of what there is to know is simpler."""
_MOST_TOGETHER = 100_000
"""Coefficients of that sort; where there would be more, contexts and actions just add up."""
_TREES: dict[str, Any] = {
    "num_leaves": 15,
    "learning_rate": 0.05,
    "min_data_in_leaf": 50,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
_NUM_TREES = 100


@dataclass(frozen=True, slots=True)
class Features:
    """A log as numbers for reward models.

    Attributes:
        contexts: distinct contexts, position included, sparse [·, F].
        context_rows_N: which of them a row has.
        actions: sparse [A, E], an indicator of each action and what is known of it.
    """

    contexts: sparse.csr_matrix
    context_rows_N: np.ndarray
    actions: sparse.csr_matrix

    @classmethod
    def of(cls, log: LoggedActions) -> Features:
        """Numbers are standardised, texts become indicators of their more frequent values."""
        columns: dict[str, np.ndarray] = {"position": log.positions_N.astype("U"), **log.context}
        kinds_N = pd.DataFrame(columns).groupby(list(columns), sort=False, dropna=False).ngroup().to_numpy()
        _, first, context_rows_N = np.unique(kinds_N, return_index=True, return_inverse=True)
        contexts = _encoded({name: values[first] for name, values in columns.items()}, len(first))
        indicators = sparse.identity(len(log.actions), format="csr")
        actions = sparse.hstack([indicators, _encoded(log.action_features, len(log.actions))], format="csr")
        return cls(contexts, context_rows_N.astype(np.int64), actions)


def _encoded(columns: Mapping[str, np.ndarray], num_rows: int) -> sparse.csr_matrix:
    blocks = [sparse.csr_matrix((num_rows, 0))]
    for values in columns.values():
        if values.dtype.kind == "f":
            missing = ~np.isfinite(values)
            known = values[~missing] if not missing.all() else np.zeros(1)
            spread = known.std() or 1.0
            blocks.append(sparse.csr_matrix(np.where(missing, 0.0, (values - known.mean()) / spread)[:, None]))
        else:
            texts, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
            ranks = np.empty(len(texts), dtype=np.int64)
            ranks[np.argsort(-counts, kind="stable")] = np.arange(len(texts))
            kept = (ranks[codes] < _MOST_VALUES) & (values != "")
            cells = (np.flatnonzero(kept), ranks[codes[kept]])
            blocks.append(sparse.csr_matrix((np.ones(len(cells[0])), cells), shape=(num_rows, min(len(texts), _MOST_VALUES))))
    return sparse.hstack(blocks, format="csr")


class RewardModel(Protocol):
    """What was learned from some rows of a log."""

    def of(self, context_rows: np.ndarray, action_rows: np.ndarray) -> np.ndarray:
        """Expected rewards of pairs, float64."""
        ...

    def of_all(self, context_rows: np.ndarray) -> np.ndarray:
        """Expected rewards of all actions in some contexts, float64 [·, A]."""
        ...


Fit = Callable[[Features, LoggedActions, np.ndarray], RewardModel]
"""Learn from some rows of a log."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """What the context brings, what the action brings and what they bring together, through the logistic function if rewards are 0 or 1."""

    features: Features
    of_contexts: np.ndarray
    of_actions: np.ndarray
    together_AF: np.ndarray | None
    is_logistic: bool

    def of(self, context_rows: np.ndarray, action_rows: np.ndarray) -> np.ndarray:
        """See `RewardModel`."""
        sums = self.of_contexts[context_rows] + self.of_actions[action_rows]
        if self.together_AF is not None:
            sums = (
                sums
                + _together(self.features.contexts[context_rows], action_rows, len(self.of_actions)) @ self.together_AF.ravel()
            )
        return self._mean(sums)

    def of_all(self, context_rows: np.ndarray) -> np.ndarray:
        """See `RewardModel`."""
        sums = self.of_contexts[context_rows, None] + self.of_actions
        if self.together_AF is not None:
            sums = sums + self.features.contexts[context_rows] @ self.together_AF.T
        return self._mean(sums)

    def _mean(self, sums: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-sums)) if self.is_logistic else sums


def fit_linear(features: Features, log: LoggedActions, rows: np.ndarray) -> RewardModel:
    """Logistic regression of rewards that are 0 or 1, ridge regression of others, both with a normal prior of the coefficients."""
    from sklearn.linear_model import LogisticRegression, Ridge  # noqa: PLC0415 - heavy

    rewards, action_rows = log.rewards_N[rows], log.action_rows_N[rows]
    (num_contexts, num_features), num_actions = features.contexts.shape, len(log.actions)
    is_logistic = bool(np.isin(log.rewards_N, (0.0, 1.0)).all())
    if np.ptp(rewards) == 0:
        return LinearModel(features, np.full(num_contexts, rewards[0]), np.zeros(num_actions), None, is_logistic=False)
    contexts = features.contexts[features.context_rows_N[rows]]
    blocks = [contexts, features.actions[action_rows]]
    has_together = num_actions * num_features <= _MOST_TOGETHER
    if has_together:
        blocks.append(_TOGETHER * _together(contexts, action_rows, num_actions))
    design = sparse.hstack(blocks, format="csr")
    if is_logistic:
        model = LogisticRegression(C=_PRIOR_DEVIATION**2, max_iter=1_000).fit(design, rewards.astype(np.int64))
        weights, intercept, scale = model.coef_[0], float(model.intercept_[0]), 1.0
    else:
        # The noise is as wide as the rewards, about, and the prior is in the same unit.
        scale = float(rewards.std())
        model = Ridge(alpha=1.0 / _PRIOR_DEVIATION**2).fit(design, rewards / scale)
        weights, intercept = model.coef_, float(model.intercept_)
    of_contexts, of_actions, together = np.split(scale * weights, [num_features, num_features + features.actions.shape[1]])
    return LinearModel(
        features,
        features.contexts @ of_contexts + scale * intercept,
        features.actions @ of_actions,
        _TOGETHER * together.reshape(num_actions, num_features) if has_together else None,
        is_logistic,
    )


def _together(contexts: sparse.csr_matrix, action_rows: np.ndarray, num_actions: int) -> sparse.csr_matrix:
    """Each row's context in the columns of its action, sparse [·, A · F]."""
    num_rows, num_features = contexts.shape
    shifts = np.repeat(action_rows * num_features, np.diff(contexts.indptr))
    return sparse.csr_matrix(
        (contexts.data, contexts.indices + shifts, contexts.indptr), shape=(num_rows, num_actions * num_features)
    )


@dataclass(frozen=True, slots=True)
class TreeModel:
    """Boosted trees over context and action together."""

    booster: Any
    features: Features

    def of(self, context_rows: np.ndarray, action_rows: np.ndarray) -> np.ndarray:
        """See `RewardModel`."""
        design = sparse.hstack([self.features.contexts[context_rows], self.features.actions[action_rows]], format="csr")
        found: np.ndarray = self.booster.predict(design)
        return found

    def of_all(self, context_rows: np.ndarray) -> np.ndarray:
        """See `RewardModel`."""
        num_actions = self.features.actions.shape[0]
        actions = np.tile(np.arange(num_actions), len(context_rows))
        return self.of(np.repeat(context_rows, num_actions), actions).reshape(-1, num_actions)


def fit_trees(features: Features, log: LoggedActions, rows: np.ndarray) -> RewardModel:
    """LightGBM in one thread, with the logistic loss where rewards are 0 or 1 and the squared one elsewhere."""
    import lightgbm  # noqa: PLC0415 - heavy

    is_binary = bool(np.isin(log.rewards_N, (0.0, 1.0)).all())
    design = sparse.hstack(
        [features.contexts[features.context_rows_N[rows]], features.actions[log.action_rows_N[rows]]], format="csr"
    )
    settings = {**_TREES, "objective": "binary" if is_binary else "regression"}
    booster = lightgbm.train(settings, lightgbm.Dataset(design, log.rewards_N[rows]), _NUM_TREES)
    return TreeModel(booster, features)


FITS: dict[ModelName, Fit] = {"linear": fit_linear, "trees": fit_trees}


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the models of all folds expect.

    Attributes:
        logged_KN: q̂ of each row's own action.
        direct_KN: Σₐ π(a|x) q̂(x, a) of each row.
        folds_N: the fold of each row; the model of that fold did not learn from it.
    """

    logged_KN: np.ndarray
    direct_KN: np.ndarray
    folds_N: np.ndarray

    @property
    def logged(self) -> np.ndarray:
        """q̂ of each row's own action by the model that did not see the row, float64 [N]."""
        found: np.ndarray = self.logged_KN[self.folds_N, np.arange(len(self.folds_N))]
        return found

    @property
    def direct(self) -> np.ndarray:
        """What the target can be expected to bring in each row, by the model that did not see the row, float64 [N]."""
        found: np.ndarray = self.direct_KN[self.folds_N, np.arange(len(self.folds_N))]
        return found

    def variance(self, kept_N: np.ndarray) -> float:
        """What the model's own uncertainty adds to the variance of mean(Σₐ π q̂ − kept · q̂).

        The models of the folds are the delete-a-group replicates of one learned from all rows: their spread is its jackknife variance.
        """
        replicates_K = self.direct_KN.mean(axis=1) - self.logged_KN @ kept_N / len(kept_N)
        num_folds = len(replicates_K)
        return float((num_folds - 1) * replicates_K.var())


def cross_fitted(log: LoggedActions, target: TargetPolicy, *, fit: Fit, seed: int, num_folds: int = NUM_FOLDS) -> Predictions:
    """Learn a model for each fold from the other folds; clusters are never torn.

    Args:
        log: N rows in at least two clusters.
        target: what to average over.
        fit: learns a model.
        seed: of the folds.
        num_folds: K, fewer where there are fewer clusters.
    """
    num_clusters = log.num_clusters
    num_folds = min(num_folds, num_clusters)
    folds_N = (np.random.default_rng(seed).permutation(num_clusters) % num_folds)[log.clusters_N]
    features = Features.of(log)
    num_groups = len(target.probs_GA)
    pairs_P, pair_rows_N = np.unique(features.context_rows_N * num_groups + target.groups_N, return_inverse=True)
    size = max(1, _CELLS // len(log.actions))
    logged_KN, direct_KN = np.empty((num_folds, len(log))), np.empty((num_folds, len(log)))
    for fold in range(num_folds):
        with threadpool_limits(1, "blas"):  # vectors are short: threads that wait for each other take six times as long
            model = fit(features, log, np.flatnonzero(folds_N != fold))
        logged_KN[fold] = model.of(features.context_rows_N, log.action_rows_N)
        direct_P = np.empty(len(pairs_P))
        for start in range(0, len(pairs_P), size):
            part = pairs_P[start : start + size]
            expected_PA = model.of_all(part // num_groups)
            direct_P[start : start + size] = (expected_PA * target.probs_GA[part % num_groups]).sum(axis=1)
        direct_KN[fold] = direct_P[pair_rows_N]
    return Predictions(logged_KN, direct_KN, folds_N)
