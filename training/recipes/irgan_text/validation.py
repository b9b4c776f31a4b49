"""Choosing on queries that are set apart: how long to learn, how to fuse, which mode.

Everything is chosen by nDCG@10. A ranker that only knows which documents get asked for is good at queries whose relevant documents were
answers in `fit`, and at no others. What concerns the language, heads and fusion, is therefore chosen by the others alone, and the mode by all.

Shapes: V queries set apart, I documents, E width, D = E + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.bundle import Fusion, LexicalIndex, Mode
from app.bundle.search import reciprocal_ranks
from training.recipes.irgan_text.grades import Graded
from training.recipes.irgan_text.pairs import HeldOut
from training.recipes.irgan_text.players import Player

FUSIONS = (
    *(Fusion("standardised", weight) for weight in (2.0, 0.5, 1.0, 1.5, 3.0, 4.0)),
    *(Fusion("reciprocal-ranks", weight) for weight in (0.5, 1.0, 2.0)),
)
"""What may be chosen; another one than the first has to be better by more than chance."""
_MOST_CELLS = 100_000_000
"""Scores held at once; with more documents fewer queries are looked at."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What validation says, or what is taken where it has nothing to say: `UNCHOSEN`.

    Attributes:
        fusion: of the hybrid.
        mode: the best one.
        figures: nDCG@10 by mode and group.
    """

    fusion: Fusion
    mode: Mode
    figures: dict[str, dict[str, float]]


UNCHOSEN = Chosen(fusion=FUSIONS[0], mode="hybrid", figures={})


class Jury:
    """The queries set apart, with what BM25 says of them.

    Args:
        held: which.
        texts: of all questions.
        lexical: of all documents.
    """

    def __init__(self, held: HeldOut, texts: Sequence[str], lexical: LexicalIndex) -> None:
        most = max(10, _MOST_CELLS // max(1, lexical.num_documents))
        self.queries, self.is_unseen = held.queries[:most], held.is_unseen[:most]
        self._lexical_VI = np.stack([lexical.scores(texts[row]) for row in self.queries]).astype(np.float32)
        self.ndcg = Graded(held.held, self.queries, lexical.num_documents).ndcg

    def groups(self, values_V: np.ndarray) -> dict[str, float]:
        """Mean over the queries with documents seen in learning, and over those without; nothing for a group without queries."""
        named = {"seen": ~self.is_unseen, "unseen": self.is_unseen}
        return {name: float(values_V[rows_V].mean()) for name, rows_V in named.items() if rows_V.any()}

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


def choose(jury: Jury, questions_QE: np.ndarray, documents_ID: np.ndarray) -> Chosen:
    """How to fuse, and then the mode.

    Args:
        jury: who says.
        questions_QE: query vectors by row.
        documents_ID: document vectors, with what is remembered.
    """
    queries_VE = questions_QE[jury.queries]
    dense_VI = np.concatenate([queries_VE, np.ones_like(queries_VE[:, :1])], axis=1) @ documents_ID.T
    fusion = _best_fusion(jury, dense_VI)
    scores: dict[Mode, np.ndarray] = {
        "hybrid": jury.fused(dense_VI, fusion),
        "dense": dense_VI,
        "lexical": jury.lexical(),
    }
    values = {name: jury.ndcg(scores_VI) for name, scores_VI in scores.items()}
    mode: Mode = "hybrid"
    for name in ("dense", "lexical"):
        if _margin(values[name] - values[mode]) > 0:
            mode = name
    figures: dict[str, dict[str, float]] = {name: jury.groups(ndcg_V) for name, ndcg_V in values.items()}
    return Chosen(fusion, mode, figures)


def _best_fusion(jury: Jury, dense_VI: np.ndarray) -> Fusion:
    """The first one, unless others are better by more than chance; then the best of these."""
    counted_V = jury.is_unseen if jury.is_unseen.sum() > 1 else np.ones_like(jury.is_unseen)
    first_V, *others = (jury.ndcg(jury.fused(dense_VI, option))[counted_V] for option in FUSIONS)
    gains = [0.0, *(float((other_V - first_V).mean()) if _margin(other_V - first_V) > 0 else 0.0 for other_V in others)]
    return FUSIONS[int(np.argmax(gains))]


def _margin(differences_V: np.ndarray) -> float:
    """By how much the mean of some differences is above two of its own standard errors."""
    return float(differences_V.mean() - 2 * differences_V.std() / len(differences_V) ** 0.5)


def _standardised(scores_VI: np.ndarray) -> np.ndarray:
    deviation_V1 = scores_VI.std(axis=1, keepdims=True)
    centred_VI = scores_VI - scores_VI.mean(axis=1, keepdims=True)
    z_VI: np.ndarray = np.divide(centred_VI, deviation_V1, out=np.zeros_like(centred_VI), where=deviation_V1 > 0)
    return z_VI
