"""A ranker on a split, under a protocol.

Shapes: B users in a batch, U users with a relevant item, I items, K the length of the kept lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from app.bundle import Histories, VectorModel
from training.data import Split
from training.evaluation.metrics import CUTOFFS, coverage, novelty, user_metrics

Protocol = Literal["paper", "standard"]
"""`paper`: candidates are all items but the user's training positives, as in the official code of IRGAN. `standard`: everything
that the user rated in training is excluded. Both: the relevant items are the test positives, and users without one do not count."""

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

_KEPT = 100
_CELLS = 8_000_000
"""Scores held at once; a batch has as many users as fit."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What was measured.

    Attributes:
        protocol: its name.
        user_rows: the users that count, int64 [U].
        per_user: metric → value of each, float64 [U].
        top_UK: item rows of the first K, best first, int64 [U, K]; −1 where there are fewer candidates.
        overall: metrics that have no value for a single user: `coverage@10`, `novelty@10` (bits); of a ranker that predicts ratings
            also `RMSE` and `MAE` over all test ratings, low ones included, whatever the protocol.
    """

    protocol: Protocol
    user_rows: np.ndarray
    per_user: dict[str, np.ndarray]
    top_UK: np.ndarray
    overall: dict[str, float]

    @property
    def means(self) -> dict[str, float]:
        """Every metric as one number."""
        return {name: float(values.mean()) for name, values in self.per_user.items()} | self.overall


def ranked_rows(scores_BI: np.ndarray, excluded_BI: np.ndarray) -> np.ndarray:
    """Item rows from best to worst, int64 [B, I]; equal scores by lower row first, excluded items last."""
    masked_BI = np.where(excluded_BI, -np.inf, scores_BI)
    return np.argsort(-masked_BI, axis=1, kind="stable")


def evaluate(
    model: VectorModel, split: Split, protocol: Protocol = "paper", *, cutoffs: tuple[int, ...] = CUTOFFS
) -> Evaluation:
    """Rank all candidates for every user with a test positive.

    Args:
        model: sees all of a user's training events, as far as its policy lets it.
        split: train is what the users have had, test what they had later.
        protocol: what is a candidate.
        cutoffs: of the metrics @k.
    """
    train, relevant = split.train.histories(), split.test.positives().histories()
    excluded = split.train.positives().histories() if protocol == "paper" else train
    user_rows = np.flatnonzero(relevant.lengths)
    num_items = split.train.num_items
    width = max(1, _CELLS // num_items)
    parts: list[dict[str, np.ndarray]] = []
    tops: list[np.ndarray] = []
    for start in range(0, len(user_rows), width):
        users_B = user_rows[start : start + width]
        excluded_BI = excluded.take(users_B).mask(num_items)
        relevant_BI = relevant.take(users_B).mask(num_items)
        order_BI = ranked_rows(model.scores(train.take(users_B), users_B), excluded_BI)
        hits_BI = np.take_along_axis(relevant_BI & ~excluded_BI, order_BI, axis=1)
        parts.append(user_metrics(hits_BI, relevant_BI.sum(axis=1), cutoffs))
        top_BK = order_BI[:, :_KEPT]
        tops.append(np.where(np.take_along_axis(excluded_BI, top_BK, axis=1), -1, top_BK))
    per_user = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    top_UK = np.concatenate(tops) if tops else np.zeros((0, 0), dtype=np.int64)
    overall = {}
    if len(top_UK):
        popularity_I = split.train.popularity()
        overall = {
            "coverage@10": coverage(top_UK[:, :10], num_items),
            "novelty@10": novelty(top_UK[:, :10], popularity_I, split.train.num_users),
        }
    return Evaluation(protocol, user_rows, per_user, top_UK, overall | rating_errors(model, split))


def rating_errors(model: VectorModel, split: Split) -> dict[str, float]:
    """Root mean squared and mean absolute error of the expected ratings of all test events; nothing where none are predicted or given."""
    test = split.test
    if not model.predicts_ratings or test.ratings is None or not len(test):
        return {}
    train = split.train.histories()
    user_rows, places_N = np.unique(test.user_rows, return_inverse=True)
    width = max(1, _CELLS // split.train.num_items)
    errors_N = np.empty(len(test))
    for start in range(0, len(user_rows), width):
        users_B = user_rows[start : start + width]
        expected_BI = model.ratings(train.take(users_B), users_B)
        mine = np.flatnonzero((places_N >= start) & (places_N < start + len(users_B)))
        errors_N[mine] = expected_BI[places_N[mine] - start, test.item_rows[mine]] - test.ratings[mine]
    return {"RMSE": float(np.sqrt(np.mean(errors_N**2))), "MAE": float(np.mean(np.abs(errors_N)))}


def validation_metrics(scores_UI: np.ndarray, relevant: Histories, excluded: Histories, k: int = 10) -> dict[str, float]:
    """Mean nDCG@k and AP of a score matrix, for choosing within a training loop; users without a relevant item do not count.

    Args:
        scores_UI: one row for each history.
        relevant: held-out positives.
        excluded: items that are no candidates.
        k: cutoff of nDCG.
    """
    users_B = np.flatnonzero(relevant.lengths)
    num_items = scores_UI.shape[1]
    relevant_BI, excluded_BI = relevant.take(users_B).mask(num_items), excluded.take(users_B).mask(num_items)
    order_BI = ranked_rows(scores_UI[users_B], excluded_BI)
    hits_BI = np.take_along_axis(relevant_BI & ~excluded_BI, order_BI, axis=1)
    metrics = user_metrics(hits_BI, relevant_BI.sum(axis=1), (k,))
    return {name: float(metrics[name].mean()) for name in (f"nDCG@{k}", "AP")}
