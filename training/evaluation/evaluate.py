"""Rankers on a split, under a protocol.

Shapes: B users in a batch, U users with a relevant item, I items, K the length of the kept lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from typing import Protocol as Interface

import numpy as np

from app.bundle import Histories
from training.data import Split
from training.evaluation.metrics import CUTOFFS, coverage, novelty, user_metrics
from training.evaluation.rank_correlation import kendall_tau, score_levels

Protocol = Literal["paper", "standard"]
"""`paper`: candidates are all items but the user's training positives, as in the official code of IRGAN. `standard`: everything
that the user rated in training is excluded. Both: the relevant items are the test positives, and users without one do not count."""

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

Pair = tuple[str, str]
"""Names of two rankers."""


class Ranks(Interface):
    """What can be judged: a model of the split's own users and items, or anything that answers in their rows; see `VectorModel`."""

    @property
    def predicts_ratings(self) -> bool:
        """Whether `ratings` means something."""
        ...

    def scores(self, histories: Histories, users_B: np.ndarray | None = None, /) -> np.ndarray:
        """Scores of all items, float64 [B, I]."""
        ...

    def ratings(self, histories: Histories, users_B: np.ndarray | None = None, /) -> np.ndarray:
        """Expected ratings of all items, float64 [B, I]."""
        ...


_KEPT = 100
_CELLS = 4_000_000
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluations:
    """What several rankers were measured to do for the same users.

    Attributes:
        of: protocol → ranker → what was measured.
        tau: protocol → pair of rankers → Kendall's τ_b of their orders of all candidates, see `kendall_tau`, float64 [U].
    """

    of: dict[Protocol, dict[str, Evaluation]]
    tau: dict[Protocol, dict[Pair, np.ndarray]]


def evaluate(model: Ranks, split: Split, protocol: Protocol = "paper", *, cutoffs: tuple[int, ...] = CUTOFFS) -> Evaluation:
    """Rank all candidates for every user with a test positive.

    Args:
        model: sees all of a user's training events, as far as its policy lets it.
        split: train is what the users have had, test what they had later.
        protocol: what is a candidate.
        cutoffs: of the metrics @k.
    """
    return evaluate_together({"": model}, split, (protocol,), cutoffs=cutoffs).of[protocol][""]


def evaluate_together(
    models: Mapping[str, Ranks],
    split: Split,
    protocols: Sequence[Protocol] = PROTOCOLS,
    *,
    pairs: Sequence[Pair] = (),
    cutoffs: tuple[int, ...] = CUTOFFS,
    on_step: Callable[[str], None] = lambda _: None,
) -> Evaluations:
    """The same for several rankers under several protocols: each scores and sorts a user's items once, and no scores are kept.

    Args:
        models: by name.
        split: as in `evaluate`.
        protocols: what is a candidate.
        pairs: names of those whose orders are compared.
        cutoffs: of the metrics @k.
        on_step: told what is being computed.
    """
    train, positives, relevant = (part.histories() for part in (split.train, split.train.positives(), split.test.positives()))
    user_rows = np.flatnonzero(relevant.lengths)
    num_items = split.train.num_items
    metrics: dict[tuple[Protocol, str], list[dict[str, np.ndarray]]] = {(p, name): [] for p in protocols for name in models}
    tops: dict[tuple[Protocol, str], list[np.ndarray]] = {key: [] for key in metrics}
    taus: dict[tuple[Protocol, Pair], list[np.ndarray]] = {(p, pair): [] for p in protocols for pair in pairs}
    width = max(1, _CELLS // num_items)
    for start in range(0, len(user_rows), width):
        users_B = user_rows[start : start + width]
        relevant_BI = relevant.take(users_B).mask(num_items)
        excluded = {p: (positives if p == "paper" else train).take(users_B).mask(num_items) for p in protocols}
        levels: dict[str, np.ndarray] = {}
        for name, model in models.items():
            on_step(f"{name}, user {start:,} of {len(user_rows):,}")
            scores_BI = model.scores(train.take(users_B), users_B)
            order_BI = np.argsort(-scores_BI, axis=1, kind="stable")
            if pairs:
                levels[name] = score_levels(scores_BI, order_BI)
            for p, excluded_BI in excluded.items():
                ranked_BI = _excluded_last(order_BI, excluded_BI)
                hits_BI = np.take_along_axis(relevant_BI & ~excluded_BI, ranked_BI, axis=1)
                metrics[p, name].append(user_metrics(hits_BI, relevant_BI.sum(axis=1), cutoffs))
                top_BK = ranked_BI[:, :_KEPT]
                tops[p, name].append(np.where(np.take_along_axis(excluded_BI, top_BK, axis=1), -1, top_BK))
        for p, excluded_BI in excluded.items():
            for first, second in pairs:
                taus[p, (first, second)].append(kendall_tau(levels[first], levels[second], excluded_BI))
    errors = {name: rating_errors(model, split) for name, model in models.items()}
    found: dict[Protocol, dict[str, Evaluation]] = {p: {} for p in protocols}
    for (p, name), parts in metrics.items():
        top_UK = np.concatenate(tops[p, name]) if parts else np.zeros((0, 0), dtype=np.int64)
        found[p][name] = Evaluation(p, user_rows, _joined(parts), top_UK, _of_all_lists(top_UK, split) | errors[name])
    return Evaluations(
        of=found, tau={p: {pair: np.concatenate([np.zeros(0), *taus[p, pair]]) for pair in pairs} for p in protocols}
    )


def _excluded_last(order_BI: np.ndarray, excluded_BI: np.ndarray) -> np.ndarray:
    """The order with those that are no candidates moved to its end."""
    is_excluded_BI = np.take_along_axis(excluded_BI, order_BI, axis=1)
    return np.take_along_axis(order_BI, np.argsort(is_excluded_BI, axis=1, kind="stable"), axis=1)


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The users of all batches."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _of_all_lists(top_UK: np.ndarray, split: Split) -> dict[str, float]:
    """What describes all users' lists together."""
    if not len(top_UK):
        return {}
    return {
        "coverage@10": coverage(top_UK[:, :10], split.train.num_items),
        "novelty@10": novelty(top_UK[:, :10], split.train.popularity(), split.train.num_users),
    }


def rating_errors(model: Ranks, split: Split) -> dict[str, float]:
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
