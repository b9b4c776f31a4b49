"""A ranker reduced to what serving needs: query vectors, item vectors, and what counts as liked.

Shapes: B users in the batch, U known users, I items, D dimensions of the index (bias folded in), N events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.bundle.encoders import Encoder
from app.bundle.histories import Histories
from app.bundle.rescorer import OnnxRescorer


@dataclass(frozen=True, slots=True)
class HistoryPolicy:
    """What a ranker makes of ratings.

    Attributes:
        positive_threshold: the rating from which an event counts as liked.
        signal: `positives` hides low ratings from the encoder, `all` shows them.
        demote_low: items that the user rated low come after all others.
    """

    positive_threshold: float = 0.0
    signal: Literal["positives", "all"] = "positives"
    demote_low: bool = False


@dataclass(frozen=True, slots=True)
class VectorModel:
    """score(query, item) = ⟨encoder(history), item vector⟩, for every ranker but those with a rescorer.

    With a rescorer the inner product is a first stage that finds candidates, and the score is the rescorer's.

    Attributes:
        item_vectors_ID: float32 [I, D]; an item bias is folded in as one more dimension, on which queries carry 1.
        encoder: histories → queries.
        user_vectors_UD: queries of the users known in training, float32 [U, D], where the model learned one for each; None
            where the encoder serves known users too.
        policy: what the ranker makes of ratings.
        rescorer: what scores in the inner product's place.
        predicts_ratings: whether the rescorer's ratings mean something.
    """

    item_vectors_ID: np.ndarray
    encoder: Encoder
    policy: HistoryPolicy = HistoryPolicy()
    user_vectors_UD: np.ndarray | None = None
    rescorer: OnnxRescorer | None = None
    predicts_ratings: bool = False

    def __post_init__(self) -> None:
        assert self.item_vectors_ID.dtype == np.float32 and self.item_vectors_ID.ndim == 2
        assert self.encoder.dim == self.dim, f"encoder gives {self.encoder.dim} dimensions, items have {self.dim}"
        assert self.rescorer is None or self.rescorer.dim == self.dim
        assert not self.predicts_ratings or self.rescorer is not None

    @property
    def num_items(self) -> int:
        """I."""
        return int(self.item_vectors_ID.shape[0])

    @property
    def dim(self) -> int:
        """D, the bias dimension included."""
        return int(self.item_vectors_ID.shape[1])

    def queries(self, histories: Histories, users_B: np.ndarray | None = None) -> np.ndarray:
        """Query vectors, float32 [B, D].

        Args:
            histories: what each user has had; low ratings are hidden from the encoder where the policy says so.
            users_B: their rows among the known users; where given and the model has a table, the table answers.
        """
        if users_B is not None and self.user_vectors_UD is not None:
            vectors_BD: np.ndarray = self.user_vectors_UD[users_B]
            return vectors_BD
        if self.policy.signal == "positives":
            histories = histories.positives(self.policy.positive_threshold)
        return self.encoder.encode(histories)

    def scores(self, histories: Histories, users_B: np.ndarray | None = None) -> np.ndarray:
        """Scores of all items, float64 [B, I], demotion of low-rated items included: sorting them gives the ranker's full ranking.

        Double precision makes the order independent of how a matrix product is blocked: two scores tie only if they are equal.
        """
        queries_BD = self.queries(histories, users_B)
        scores_BI = self.first_scores(queries_BD) if self.rescorer is None else self.rescorer.scores(queries_BD, self._rows)
        if self.policy.demote_low:
            low = histories.where(histories.is_low(self.policy.positive_threshold))
            # One range lower than the worst: behind everything else, in their own order.
            shift_B = scores_BI.max(axis=1) - scores_BI.min(axis=1) + 1.0
            scores_BI[low.users, low.items] -= shift_B[low.users]
        return scores_BI

    def first_scores(self, queries_BD: np.ndarray) -> np.ndarray:
        """Inner products of queries with all items, float64 [B, I]: the scores, or the first stage before a rescorer."""
        scores_BI: np.ndarray = queries_BD.astype(np.float64) @ self.item_vectors_ID.astype(np.float64).T
        return scores_BI

    def ratings(self, histories: Histories, users_B: np.ndarray | None = None) -> np.ndarray:
        """Expected ratings of all items in the data's own unit, float64 [B, I]; only of a model that predicts them.

        Args:
            histories: what each user has had.
            users_B: as in `queries`.
        """
        assert self.rescorer is not None and self.predicts_ratings
        return self.rescorer.ratings(self.queries(histories, users_B), self._rows)

    @property
    def _rows(self) -> np.ndarray:
        return np.arange(self.num_items)

    def demoted(self, histories: Histories) -> np.ndarray:
        """True for the events whose items come last, bool [N]."""
        if not self.policy.demote_low:
            return np.zeros(len(histories.items), dtype=bool)
        return histories.is_low(self.policy.positive_threshold)
