"""How much documents should remember: chosen by cross-validation, which a closed form allows.

Five times a fifth of the queries is set apart and the rest is remembered, once as the queries come, and once without any document that
is relevant to those set apart. The best memory is the one that helps most as queries come, of those that cost the others nothing.

Shapes: V queries set apart, I documents, E width.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from training.data import Judgements
from training.recipes.irgan_text.grades import Graded
from training.recipes.irgan_text.memory import remember
from training.recipes.irgan_text.pairs import judged_pairs

SHARES = (0.75, 0.0)
WEIGHTS = (0.0, 0.3, 0.5, 0.7, 1.0)
THRESHOLDS = (0.0, 0.1, 0.2, 0.3)

_FOLDS = 5
_MOST_CELLS = 4_000_000
"""Scores of queries by documents in one fold."""


class Amount(NamedTuple):
    """What the memory is made with.

    Attributes:
        share: of the neighbourhood, see `remember`.
        weight: of the memory.
        threshold: of likeness.
    """

    share: float
    weight: float
    threshold: float


NOTHING = Amount(0.0, 0.0, 0.0)
USUAL = Amount(0.75, 0.7, 0.2)
"""The best one in five folds by document of SciFact's training queries; taken where queries are too few to choose."""


def choose_amount(
    questions_QE: np.ndarray,
    documents_IE: np.ndarray,
    judged: Judgements,
    rng: np.random.Generator,
    *,
    shares: Sequence[float] = SHARES,
    weights: Sequence[float] = WEIGHTS,
    thresholds: Sequence[float] = THRESHOLDS,
) -> tuple[Amount, dict[str, dict[str, float]]]:
    """The best amount, and nDCG@10 of the dense ranking with it and without memory, for queries as they come and for the others.

    Args:
        questions_QE: query vectors by row.
        documents_IE: document vectors.
        judged: what may be remembered.
        rng: deals the folds.
        shares: to choose among.
        weights: the same.
        thresholds: the same.
    """
    amounts = [Amount(*each) for each in product(shares, weights, thresholds) if each[1] > 0]
    amounts = [NOTHING, *amounts]
    found: dict[str, dict[Amount, list[float]]] = {kind: {amount: [] for amount in amounts} for kind in ("mixed", "unseen")}
    most = max(10, _MOST_CELLS // len(documents_IE))
    queries = rng.permutation(judged.positives.queries)
    for fold in range(_FOLDS):
        apart = np.sort(queries[fold::_FOLDS])
        held = Graded(judged, np.sort(rng.permutation(apart)[:most]), len(documents_IE))
        hidden = np.isin(judged.document_rows, judged.of_queries(apart).positives.document_rows)
        is_known = ~np.isin(judged.query_rows, apart)
        asked_VE = questions_QE[held.queries]
        plain_VI = asked_VE @ documents_IE.T
        for kind, keep in (("mixed", is_known), ("unseen", is_known & ~hidden)):
            found[kind][NOTHING] += held.ndcg(plain_VI).tolist()
            for share in shares:
                memory = remember(questions_QE, documents_IE, judged_pairs(judged.where(keep)), neighbour_share=share)
                gains_VI = asked_VE @ memory.moves_IE.T - memory.means_I
                for amount in amounts:
                    if amount.share == share and amount.weight:
                        scores_VI = plain_VI + amount.weight * (gains_VI - amount.threshold * memory.sizes_I)
                        found[kind][amount] += held.ndcg(scores_VI).tolist()
    means = {kind: {amount: float(np.mean(values)) for amount, values in each.items()} for kind, each in found.items()}
    allowed = [amount for amount in amounts if amount.weight in weights]
    harmless = [amount for amount in allowed if means["unseen"][amount] >= means["unseen"][NOTHING]]
    best = max(harmless or allowed, key=lambda amount: means["mixed"][amount])
    return best, {kind: {"without": each[NOTHING], "with": each[best]} for kind, each in means.items()}
