"""Bundles of search and of reranking that are to be judged on test queries: whether a split may judge them, and what they make of it.

Shapes: Q queries, K the length of the kept lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.bundle import FeatureDataInfo, Mode, RerankBundle, SearchBundle, TextDataInfo
from training.data import FeatureSplit, Judgements, TextSplit
from training.errors import ConfigError, DataError
from training.evaluation.changes import Asked, titles
from training.evaluation.query_study import Answers, QueryEntrant
from training.evaluation.rank_correlation import kendall_tau, list_tau, score_levels
from training.evaluation.rerank import RerankEvaluation, evaluate_scores
from training.evaluation.search import DEPTH, SearchEvaluation, evaluate_modes, query_groups


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Rankers that answered the same test queries, with their answers.

    Attributes:
        data, split: what they were asked of.
        parameters: of the split.
        entrants: the rankers with their figures.
        groups: name → bool [Q].
        queries, documents: ids.
        answers: of the entrants.
        judgements: query id, document id and grade of everything that is judged.
    """

    data: str
    split: str
    parameters: Mapping[str, object]
    entrants: list[QueryEntrant]
    groups: Mapping[str, np.ndarray]
    queries: Sequence[str]
    documents: Sequence[str]
    answers: Answers
    judgements: tuple[Sequence[str], Sequence[str], np.ndarray]


def judge_search(
    bundles: Mapping[str, SearchBundle], wanted: Iterable[tuple[str, Mode]], split: TextSplit, *, depth: int | None = None
) -> Judged:
    """Ask search rankers the test queries of the split that they learned from.

    Args:
        bundles: by name.
        wanted: which of them, in which mode; an entrant is called `NAME:MODE`, or `NAME` where it is there once and in its usual mode.
        split: its training part is what all of them learned from.
        depth: how many documents of each query are kept, `DEPTH` at least.

    Raises:
        DataError: a bundle did not learn from the split's training part.
        ConfigError: a ranker cannot answer in this mode, or is wanted twice in the same one.
    """
    wanted = list(wanted)
    measured: dict[str, Mapping[Mode, SearchEvaluation]] = {}
    for name, bundle in bundles.items():
        check_learned_from(bundle, split.collection.fingerprint(split.train), f"{split.collection.name}, split {split.name}")
        modes = [mode for other, mode in wanted if other == name]
        for mode in modes:
            if mode not in bundle.model.modes:
                raise ConfigError(f"{name} cannot answer in the mode {mode}; expected {' or '.join(bundle.model.modes)}")
        if len(set(modes)) < len(modes):
            raise ConfigError(f"{name} is there twice in the same mode; give each bundle once, or once in each mode")
        measured[name] = evaluate_modes(bundle.model, split, modes, depth=max(depth or DEPTH, DEPTH))
    found: dict[str, SearchEvaluation] = {}
    entrants = []
    for name, mode in wanted:
        own = bundles[name]
        alone = len(measured[name]) == 1 and mode == own.model.mode
        distinct = name if alone else f"{name}:{mode}"
        evaluation = found[distinct] = measured[name][mode]
        entrants.append(
            QueryEntrant(
                name=distinct,
                ranker=own.manifest.ranker,
                bundle=str(own.path),
                mode=mode,
                per_query=evaluation.per_query,
            )
        )
    first = next(iter(found.values()))
    queries, documents = split.collection.queries, split.collection.documents
    judged = split.test.of_queries(first.query_rows)
    rankings = {name: evaluation.top_QK for name, evaluation in found.items()}
    return Judged(
        data=split.collection.name,
        split=split.name,
        parameters=split.parameters,
        entrants=entrants,
        groups=query_groups(first.is_unseen),
        queries=[queries.id(row) for row in first.query_rows],
        documents=list(documents.ids),
        answers=Answers(
            rankings=rankings,
            tau=lambda ranker, against: list_tau(rankings[ranker], rankings[against]),
            asked=Asked(
                ids=[queries.id(row) for row in first.query_rows],
                texts=[split.collection.query_texts[row] for row in first.query_rows],
                grades=_grades(judged, first.query_rows),
                item_id=documents.id,
                item_title=titles(split.collection.item_table),
            ),
        ),
        judgements=(
            [queries.id(row) for row in judged.query_rows],
            [documents.id(row) for row in judged.document_rows],
            judged.grades,
        ),
    )


def judge_rerankers(bundles: Mapping[str, RerankBundle], split: FeatureSplit) -> Judged:
    """Let rankers order the candidates of the test queries of the split that they learned from.

    Raises:
        DataError: a bundle did not learn from the split's training part.
    """
    for bundle in bundles.values():
        check_learned_from(bundle, split.train.fingerprint(), f"{split.dataset}, split {split.name}")
    judged = split.test
    lengths_Q = np.diff(judged.offsets)
    ranks_QK = np.arange(max(1, lengths_Q.max(initial=0)))
    is_there_QK = ranks_QK < lengths_Q[:, None]
    places_QK = np.where(is_there_QK, judged.offsets[:-1, None] + ranks_QK, 0)
    found: dict[str, RerankEvaluation] = {}
    rankings: dict[str, np.ndarray] = {}
    levels: dict[str, np.ndarray] = {}
    for name, bundle in bundles.items():
        scores_N = bundle.model.scores(judged.features_NF)
        found[name] = evaluate_scores(scores_N, judged)
        rankings[name] = np.where(is_there_QK, found[name].order_N[places_QK], -1)
        scores_QK = np.where(is_there_QK, scores_N[places_QK], -np.inf)
        levels[name] = score_levels(scores_QK, np.argsort(-scores_QK, axis=1, kind="stable"))
    documents = _document_names(judged.document_ids, judged.query_rows, judged.offsets)

    def candidate_grades(query: int) -> dict[int, int]:
        start, end = judged.offsets[query : query + 2].tolist()
        return _above_zero(np.arange(start, end), judged.grades[start:end])

    return Judged(
        data=split.dataset,
        split=split.name,
        parameters=split.parameters,
        entrants=[
            QueryEntrant(
                name=name,
                ranker=bundles[name].manifest.ranker,
                bundle=str(bundles[name].path),
                mode=None,
                per_query=evaluation.per_query,
            )
            for name, evaluation in found.items()
        ],
        groups={"test": np.ones(judged.num_queries, dtype=bool)},
        queries=judged.query_ids,
        documents=documents,
        answers=Answers(
            rankings=rankings,
            tau=lambda ranker, against: kendall_tau(levels[ranker], levels[against], ~is_there_QK),
            asked=Asked(
                ids=judged.query_ids,
                grades=candidate_grades,
                item_id=documents.__getitem__,
                item_title=lambda _: None,
            ),
        ),
        judgements=([judged.query_ids[row] for row in judged.query_rows], documents, judged.grades),
    )


def _above_zero(rows: np.ndarray, grades: np.ndarray) -> dict[int, int]:
    """Row → grade, of the relevant ones."""
    return {row: grade for row, grade in zip(rows.tolist(), grades.tolist(), strict=True) if grade > 0}


def _grades(judged: Judgements, query_rows: np.ndarray) -> Callable[[int], dict[int, int]]:
    """Place of a query → document row → grade, of the relevant ones."""

    def grades(place: int) -> dict[int, int]:
        mine = judged.query_rows == query_rows[place]
        return _above_zero(judged.document_rows[mine], judged.grades[mine])

    return grades


def _document_names(ids: Sequence[str], query_rows: np.ndarray, offsets: np.ndarray) -> Sequence[str]:
    """The ids where they tell a query's candidates apart, else their numbers within the query."""
    if all(ids) and len(set(zip(query_rows.tolist(), ids, strict=True))) == len(ids):
        return ids
    return [str(place) for place in np.arange(len(ids)) - offsets[query_rows] + 1]


def check_same_data(bundles: Iterable[SearchBundle] | Iterable[RerankBundle]) -> None:
    """Refuse bundles that cannot be compared.

    Raises:
        DataError: they learned from different judgements.
    """
    first, *others = bundles
    for other in others:
        if other.manifest.data.fingerprint != first.manifest.data.fingerprint:
            raise DataError(
                f"{first.path} learned from {_told(first.manifest.data)}, {other.path} from {_told(other.manifest.data)}; "
                "only rankers that learned from the same judgements can be compared on what the others did not see"
            )


def check_learned_from(bundle: SearchBundle | RerankBundle, fingerprint: str, asked: str) -> None:
    """Refuse a bundle that did not learn from exactly this training part: it may have seen the test part.

    Raises:
        DataError: it learned from something else.
    """
    if bundle.manifest.data.fingerprint != fingerprint:
        raise DataError(
            f"{bundle.path} did not learn from the training part of {asked}, so it may have learned from its test part; "
            f"it learned from {_told(bundle.manifest.data)}: evaluate it on that, with the same options as in training, "
            "and train again where the files have changed since"
        )


def _told(data: TextDataInfo | FeatureDataInfo) -> str:
    parameters = ", ".join(f"{key} {value}" for key, value in data.split.parameters.items())
    cut = f"{data.split.name} ({parameters})" if parameters else data.split.name
    size = (
        f"{data.num_documents:,} documents and {data.num_judgements:,} judgements"
        if isinstance(data, TextDataInfo)
        else f"{data.num_candidates:,} candidates of {data.num_queries:,} queries"
    )
    return f"{data.name}, split {cut}, {size}"
