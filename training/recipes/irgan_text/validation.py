"""Choosing on queries that are set apart: how long to learn, how much to remember, how to fuse, which mode.

Everything is chosen by nDCG@10. A ranker that only knows which documents get asked for is good at queries whose relevant documents were
answers in `fit`, and at no others. What concerns the language, heads and fusion, is therefore chosen by the others alone; memory and mode
by the mean of both kinds.

Shapes: V queries set apart, I documents, E width, D = E + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.bundle import Fusion, LexicalIndex, Mode
from app.bundle.search import reciprocal_ranks
from training.evaluation.metrics import query_metrics
from training.recipes.irgan_text.memory import Memory
from training.recipes.irgan_text.pairs import HeldOut
from training.recipes.irgan_text.players import Player

FUSIONS = (
    *(Fusion("standardised", weight) for weight in (2.0, 0.5, 1.0, 1.5, 3.0, 4.0)),
    *(Fusion("reciprocal-ranks", weight) for weight in (0.5, 1.0, 2.0)),
)
"""What may be chosen; another one than the first has to be better by more than a standard error."""
WEIGHTS = (0.0, 0.3, 0.5, 0.7, 1.0)
THRESHOLDS = (0.0, 0.1, 0.2, 0.3)
"""Of the memory."""

_K = 10
_MOST_CELLS = 100_000_000
"""Scores held at once; with more documents fewer queries are looked at."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What validation says, or what is taken where it has nothing to say: `UNCHOSEN`.

    Attributes:
        weight, threshold: of the memory.
        fusion: of the hybrid.
        mode: the best one.
        figures: nDCG@10 by mode and group.
    """

    weight: float
    threshold: float
    fusion: Fusion
    mode: Mode
    figures: dict[str, dict[str, float]]


UNCHOSEN = Chosen(weight=0.7, threshold=0.2, fusion=FUSIONS[0], mode="hybrid", figures={})


class Jury:
    """The queries set apart, with what BM25 says of them.

    Args:
        held: which.
        texts: of all questions.
        lexical: of all documents.
    """

    def __init__(self, held: HeldOut, texts: Sequence[str], lexical: LexicalIndex) -> None:
        most = max(_K, _MOST_CELLS // max(1, lexical.num_documents))
        self.queries, self.is_unseen = held.queries[:most], held.is_unseen[:most]
        self._lexical_VI = np.stack([lexical.scores(texts[row]) for row in self.queries]).astype(np.float32)
        judged = held.held.of_queries(self.queries)
        self._grades_VI = np.zeros(self._lexical_VI.shape, dtype=np.int64)
        self._grades_VI[np.searchsorted(self.queries, judged.query_rows), judged.document_rows] = judged.grades

    def ndcg(self, scores_VI: np.ndarray) -> np.ndarray:
        """NDCG@10 of each query, float64 [V]."""
        k = min(_K, scores_VI.shape[1])
        best_VK = np.argpartition(-scores_VI, k - 1, axis=1)[:, :k]
        order_VK = np.take_along_axis(best_VK, np.argsort(-np.take_along_axis(scores_VI, best_VK, 1), axis=1, kind="stable"), 1)
        return query_metrics(self._grades_VI, order_VK, np.full(len(scores_VI), k), (f"nDCG@{_K}",))[f"nDCG@{_K}"]

    def groups(self, values_V: np.ndarray) -> dict[str, float]:
        """Mean over the queries with documents seen in learning, and over those without; nothing for a group without queries."""
        named = {"seen": ~self.is_unseen, "unseen": self.is_unseen}
        return {name: float(values_V[rows_V].mean()) for name, rows_V in named.items() if rows_V.any()}

    def value(self, scores_VI: np.ndarray) -> float:
        """The mean of both groups."""
        return float(np.mean(list(self.groups(self.ndcg(scores_VI)).values())))

    def unseen_value(self, generator: Player, num_questions: int, num_documents: int) -> float:
        """What heads are chosen by: nDCG@10 of queries whose documents were no answers, without memory; of all, where there are none."""
        questions_QE, documents_IE = generator.vectors(num_questions, num_documents)
        groups = self.groups(self.ndcg(questions_QE[self.queries] @ documents_IE.T))
        return groups.get("unseen", groups.get("seen", 0.0))

    def lexical(self) -> np.ndarray:
        """BM25's scores [V, I]."""
        return self._lexical_VI

    def fused(self, dense_VI: np.ndarray, fusion: Fusion) -> np.ndarray:
        """The hybrid's scores [V, I], as `SearchModel.fused` has them."""
        if fusion.method == "standardised":
            return _standardised(self._lexical_VI) + fusion.dense_weight * _standardised(dense_VI)
        found_VI = np.where(self._lexical_VI > 0, self._lexical_VI, -np.inf)
        pairs = zip(found_VI, dense_VI, strict=True)
        return np.stack([reciprocal_ranks(a_I) + fusion.dense_weight * reciprocal_ranks(b_I) for a_I, b_I in pairs])


def choose(
    jury: Jury,
    *,
    questions_QE: np.ndarray,
    documents_IE: np.ndarray,
    memory: Memory,
    weights: Sequence[float],
    thresholds: Sequence[float],
) -> Chosen:
    """How much to remember, by the dense ranking and the hybrid with the first fusion; then how to fuse, then the mode."""
    queries_VE = questions_QE[jury.queries]
    ones_V1 = np.ones((len(queries_VE), 1), dtype=np.float32)

    def dense(weight: float, threshold: float) -> np.ndarray:
        scores_VI: np.ndarray = (
            np.concatenate([queries_VE, ones_V1], axis=1) @ memory.vectors(documents_IE, weight, threshold).T
        )
        return scores_VI

    options = [(weight, threshold) for weight in weights for threshold in (thresholds if weight else thresholds[:1])]

    def worth(option: tuple[float, float]) -> float:
        dense_VI = dense(*option)
        return jury.value(dense_VI) + jury.value(jury.fused(dense_VI, FUSIONS[0]))

    weight, threshold = max(options, key=worth) if len(options) > 1 else options[0]
    dense_VI = dense(weight, threshold)
    fusion = _best_fusion(jury, dense_VI)
    scores: dict[Mode, np.ndarray] = {
        "hybrid": jury.fused(dense_VI, fusion),
        "dense": dense_VI,
        "lexical": jury.lexical(),
    }
    values = {name: jury.value(scores_VI) for name, scores_VI in scores.items()}
    mode: Mode = max(scores, key=lambda name: values[name])
    figures: dict[str, dict[str, float]] = {name: jury.groups(jury.ndcg(scores_VI)) for name, scores_VI in scores.items()}
    return Chosen(weight, threshold, fusion, mode, figures)


def _best_fusion(jury: Jury, dense_VI: np.ndarray) -> Fusion:
    """The first one, or the best of those that are better by more than the standard error of the difference, query by query."""
    counted_V = jury.is_unseen if jury.is_unseen.sum() > 1 else np.ones_like(jury.is_unseen)
    first_V = jury.ndcg(jury.fused(dense_VI, FUSIONS[0]))[counted_V]
    best, most = FUSIONS[0], 0.0
    for option in FUSIONS[1:]:
        difference_V = jury.ndcg(jury.fused(dense_VI, option))[counted_V] - first_V
        gain = float(difference_V.mean())
        if gain > max(most, float(difference_V.std()) / len(difference_V) ** 0.5):
            best, most = option, gain
    return best


def _standardised(scores_VI: np.ndarray) -> np.ndarray:
    deviation_V1 = scores_VI.std(axis=1, keepdims=True)
    centred_VI = scores_VI - scores_VI.mean(axis=1, keepdims=True)
    z_VI: np.ndarray = np.divide(centred_VI, deviation_V1, out=np.zeros_like(centred_VI), where=deviation_V1 > 0)
    return z_VI
