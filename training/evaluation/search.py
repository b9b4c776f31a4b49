"""A search ranker on the test queries of a collection.

Figures are ir-measures' own, over the ranking of all documents (or of a query's candidates, where the data set names them). Queries whose
relevant documents were answers in training are told apart from the others everywhere: a ranker that memorises what gets asked for is good at
the first and no better than before at the second.

Shapes: Q queries, B queries in a batch, I documents, K the length of the kept lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.bundle import Fusion, Mode, SearchModel
from training.data import Judgements, TextSplit
from training.evaluation.metrics import query_metrics

SEARCH_METRICS = ("nDCG@10", "AP", "R@100", "RR", "P@1", "P@5", "P@10")
GROUPS = ("test", "test_seen", "test_unseen")
"""All test queries; those with a relevant document that was an answer in training; those without."""

DEPTH = 1000
"""Documents of each query that are kept for runs, as is usual at TREC; figures are of the full ranking."""

_CELLS = 8_000_000
"""Scores held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class SearchEvaluation:
    """What was measured in one mode.

    Attributes:
        mode: its name.
        query_rows: the test queries with a relevant document, int64 [Q].
        is_unseen: whether none of a query's relevant documents was an answer to a training query, bool [Q].
        per_query: metric → value of each, float64 [Q].
        top_QK: document rows of the first K, best first, int64 [Q, K]; −1 where no more were found.
    """

    mode: Mode
    query_rows: np.ndarray
    is_unseen: np.ndarray
    per_query: dict[str, np.ndarray]
    top_QK: np.ndarray

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """`GROUPS`, each a bool [Q]."""
        return query_groups(self.is_unseen)

    def means(self, group: str = "test") -> dict[str, float]:
        """Every metric as one number; nothing where the group has no query."""
        return group_means(self.per_query, self.groups[group])

    def figures(self) -> dict[str, dict[str, float]]:
        """Group → metric → mean, of the groups that have a query."""
        return {group: means for group in GROUPS if (means := self.means(group))}


def query_groups(is_unseen_Q: np.ndarray) -> dict[str, np.ndarray]:
    """`GROUPS`, each a bool [Q]."""
    return dict(zip(GROUPS, (np.ones(len(is_unseen_Q), dtype=bool), ~is_unseen_Q, is_unseen_Q), strict=True))


def group_means(per_query: Mapping[str, np.ndarray], is_in_Q: np.ndarray) -> dict[str, float]:
    """Mean of each metric over some queries; nothing where there are none."""
    return {name: float(values[is_in_Q].mean()) for name, values in per_query.items()} if is_in_Q.any() else {}


def evaluate_search(
    model: SearchModel, split: TextSplit, mode: Mode | None = None, fusion: Fusion | None = None, *, depth: int = DEPTH
) -> SearchEvaluation:
    """Rank all documents, or a query's candidates, for every test query with a relevant document.

    Args:
        model: of the split's documents.
        split: its test part says what is asked and what is relevant, its training part what was an answer before.
        mode: the model's default if not given.
        fusion: of the hybrid; the model's own if not given.
        depth: how many documents of each query are kept.
    """
    mode = mode or model.mode
    return evaluate_modes(model, split, (mode,), fusion, depth=depth)[mode]


def evaluate_modes(
    model: SearchModel,
    split: TextSplit,
    modes: Sequence[Mode] | None = None,
    fusion: Fusion | None = None,
    *,
    depth: int = DEPTH,
) -> dict[Mode, SearchEvaluation]:
    """The same in several modes, all of the model's by default; every query is encoded and looked up once."""
    modes = model.modes if modes is None else modes
    relevant = split.test.positives
    query_rows = relevant.queries
    is_unseen_Q = ~np.isin(
        query_rows, relevant.query_rows[np.isin(relevant.document_rows, split.train.positives.document_rows)]
    )
    num_documents = model.num_documents
    kept = min(depth, num_documents)
    parts: dict[Mode, list[dict[str, np.ndarray]]] = {mode: [] for mode in modes}
    tops: dict[Mode, list[np.ndarray]] = {mode: [] for mode in modes}
    width = max(1, _CELLS // max(1, num_documents * len(modes)))
    scored = _scores(model, [split.collection.query_texts[row] for row in query_rows], modes, fusion)
    for start in range(0, len(query_rows), width):
        rows_B = query_rows[start : start + width]
        grades_BI = _grid(split.test, rows_B, num_documents, fill=0)
        batch = [next(scored) for _ in rows_B]
        for mode in modes:
            scores_BI = np.stack([scores[mode] for scores in batch])
            if split.test_candidates is not None:
                scores_BI[_grid(split.test_candidates, rows_B, num_documents, fill=-1) < 0] = -np.inf
            order_BI = np.argsort(-scores_BI, axis=1, kind="stable")
            num_found_B = np.isfinite(scores_BI).sum(axis=1)
            parts[mode].append(query_metrics(grades_BI, order_BI, num_found_B, SEARCH_METRICS))
            tops[mode].append(np.where(np.arange(kept) < num_found_B[:, None], order_BI[:, :kept], -1))
    return {
        mode: SearchEvaluation(
            mode,
            query_rows,
            is_unseen_Q,
            {name: np.concatenate([part[name] for part in parts[mode]] or [np.zeros(0)]) for name in SEARCH_METRICS},
            np.concatenate(tops[mode] or [np.zeros((0, kept), dtype=np.int64)]),
        )
        for mode in modes
    }


def joined(parts: Sequence[SearchEvaluation], mode: Mode | None = None) -> SearchEvaluation:
    """The queries of several folds as one evaluation.

    Args:
        parts: of one collection, no query in two of them.
        mode: what to call the whole; the first part's mode by default.
    """
    return SearchEvaluation(
        mode or parts[0].mode,
        np.concatenate([part.query_rows for part in parts]),
        np.concatenate([part.is_unseen for part in parts]),
        {name: np.concatenate([part.per_query[name] for part in parts]) for name in parts[0].per_query},
        np.concatenate([part.top_QK for part in parts]),
    )


def _scores(
    model: SearchModel, texts: Sequence[str], modes: Sequence[Mode], fusion: Fusion | None
) -> Iterator[dict[Mode, np.ndarray]]:
    """What `model.scores` gives for each text in each mode, to the last bit, with the vectors widened once instead of for each text."""
    dense = [mode for mode in modes if mode != "lexical"]
    if dense:
        assert model.encoder is not None and model.document_vectors_ID is not None
        queries_QD = model.encoder.encode_queries(texts)
        exact_ID = model.document_vectors_ID.astype(np.float64)
    for query, text in enumerate(texts):
        found: dict[Mode, np.ndarray] = {}
        if "lexical" in modes or "hybrid" in modes:
            lexical_I = model.lexical.scores(text)
        if "lexical" in modes:
            found["lexical"] = np.where(lexical_I > 0, lexical_I, -np.inf)
        if dense:
            found["dense"] = exact_ID @ queries_QD[query].astype(np.float64)
        if "hybrid" in modes:
            found["hybrid"] = model.fused(lexical_I, found["dense"], queries_QD[query], fusion)
        yield found


def _grid(judgements: Judgements, rows_B: np.ndarray, num_documents: int, fill: int) -> np.ndarray:
    """The grade of each document for each of some queries (rows ascending), int64 [B, I]; `fill` where there is none."""
    mine = judgements.of_queries(rows_B)
    grid_BI = np.full((len(rows_B), num_documents), fill, dtype=np.int64)
    grid_BI[np.searchsorted(rows_B, mine.query_rows), mine.document_rows] = mine.grades
    return grid_BI
