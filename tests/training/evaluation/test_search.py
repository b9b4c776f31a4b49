"""Figures of search and of reranking are those that ir-measures reads off the files, query by query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ir_measures
import numpy as np
import pytest

from app.bundle import MODES, FeatureRanker, LexicalIndex, SearchModel
from app.bundle.search import Fusion, Mode, best_rows
from tests.training.texts import make_feature_split, make_split
from training.data import Judgements, TextSplit
from training.evaluation.rerank import evaluate_scores, joined_rerank
from training.evaluation.runs import write_grades, write_rankings
from training.evaluation.search import GROUPS, SEARCH_METRICS, evaluate_modes, evaluate_search, joined


class HashedWords:
    """A text encoder without training: a random vector for each word, summed."""

    dim = 8

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Query vectors."""
        return np.stack([sum(map(self._of, text.split()), np.zeros(self.dim)) for text in texts]).astype(np.float32)

    def _of(self, word: str) -> np.ndarray:
        return np.random.default_rng([ord(letter) for letter in word]).normal(size=self.dim)


def model_of(split: TextSplit, fusion: Fusion | None = None) -> SearchModel:
    texts = split.collection.texts()
    encoder = HashedWords()
    return SearchModel(
        LexicalIndex.build(texts),
        encoder.encode_queries(texts),
        encoder,
        fusion or Fusion(),
        "hybrid",  # type: ignore[arg-type]
    )


def read_back(run: Path, qrels: Path, metrics: Sequence[str]) -> dict[tuple[str, str], float]:
    """(query, metric) → value, by ir-measures on the files."""
    judged, ranked = list(ir_measures.read_trec_qrels(str(qrels))), list(ir_measures.read_trec_run(str(run)))
    measures = [ir_measures.parse_measure(name) for name in metrics]
    return {(m.query_id, str(m.measure)): m.value for m in ir_measures.iter_calc(measures, judged, ranked)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("candidates", [False, True])
def test_ir_measures_on_the_files_finds_our_figures_query_by_query(tmp_path: Path, mode: Mode, candidates: bool) -> None:
    """Every metric to 1e-9: grades, queries that words find nothing for, documents judged 0, candidates of some queries' own."""
    split = make_split()
    extra = Judgements(split.test.queries, (split.test.queries * 7) % 60, np.zeros(len(split.test.queries), dtype=np.int64))
    known = set(zip(split.test.query_rows.tolist(), split.test.document_rows.tolist(), strict=True))
    extra = extra.where(
        np.array([pair not in known for pair in zip(extra.query_rows.tolist(), extra.document_rows.tolist(), strict=True)])
    )
    assert len(extra) > 5
    both = [np.concatenate([getattr(split.test, c), getattr(extra, c)]) for c in ("query_rows", "document_rows", "grades")]
    split = replace(split, test=Judgements(*both))
    if candidates:
        pool = split.test.where(np.arange(len(split.test)) % 2 == 0)
        split = replace(split, test_candidates=pool)
    ours = evaluate_search(model_of(split), split, mode)
    collection = split.collection
    queries = [collection.queries.id(row) for row in ours.query_rows]
    write_rankings(tmp_path / "run", queries, collection.documents.ids, ours.top_QK, tag="a b")
    write_grades(
        tmp_path / "qrels",
        [collection.queries.id(row) for row in split.test.query_rows],
        [collection.documents.id(row) for row in split.test.document_rows],
        split.test.grades,
    )
    theirs = read_back(tmp_path / "run", tmp_path / "qrels", SEARCH_METRICS)
    assert len(queries) == 24
    for name, values_Q in ours.per_query.items():
        for query, value in zip(queries, values_Q, strict=True):
            assert theirs.get((query, name), 0.0) == pytest.approx(value, abs=1e-9), (query, name)
    if candidates:
        for row, top_K in zip(ours.query_rows, ours.top_QK, strict=True):
            mine = set(split.test_candidates.of_queries(np.array([row])).document_rows.tolist())  # type: ignore[union-attr]
            assert set(top_K[top_K >= 0].tolist()) <= mine
    if mode == "lexical":
        assert (ours.top_QK[:, 0] < 0).any() or candidates is False


@pytest.mark.parametrize("fusion", [Fusion(), Fusion("reciprocal-ranks", 0.5), Fusion("standardised", 0.0)])
@pytest.mark.parametrize("width", [1, 7, 1_000])
def test_all_queries_at_once_are_ranked_as_the_model_ranks_one(
    fusion: Fusion, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`model.scores` sorted, ties by lower row: the very same rows in every mode, whatever the size of the batches."""
    split = make_split()
    model = model_of(split, fusion)
    monkeypatch.setattr("training.evaluation.search._CELLS", width * 3 * model.num_documents)
    for mode, found in evaluate_modes(model, split).items():
        assert found.mode == mode
        for row, top_K in zip(found.query_rows, found.top_QK, strict=True):
            wanted = best_rows(model.scores(split.collection.query_texts[row], mode), model.num_documents)
            np.testing.assert_array_equal(top_K[top_K >= 0], wanted)


def test_another_fusion_can_be_tried_and_fewer_rows_kept() -> None:
    """Weight 0 on the dense list is the order of words, where they find something."""
    split = make_split()
    model = model_of(split)
    words = evaluate_search(model, split, "lexical", depth=3)
    fused = evaluate_search(model, split, "hybrid", Fusion("reciprocal-ranks", 0.0), depth=3)
    np.testing.assert_array_equal(words.top_QK, fused.top_QK)
    assert words.top_QK.shape == (24, 3)
    assert words.means() == evaluate_search(model, split, "lexical").means(), "figures are of the full ranking"
    assert evaluate_search(model, split).mode == "hybrid"


def test_queries_whose_answers_were_answers_before_are_told_apart() -> None:
    """One shared document makes a query seen; being judged 0 in training does not."""
    split = make_split()

    def answers(query: int) -> np.ndarray:
        return split.test.of_queries(np.array([query])).document_rows

    first = int(split.test.queries[0])
    shared = answers(first)[3]
    second = next(int(query) for query in split.test.queries if shared not in answers(query))
    looked_at = answers(second)
    train = Judgements(
        np.ones(1 + len(looked_at), dtype=np.int64), np.array([shared, *looked_at]), np.array([1, *[0] * len(looked_at)])
    )
    test = split.test.of_queries(np.array([first, second]))
    found = evaluate_search(model_of(split), replace(split, train=train, test=test))
    assert found.query_rows.tolist() == [first, second]
    assert found.is_unseen.tolist() == [False, True]
    assert list(found.groups) == list(GROUPS)
    values = found.per_query["AP"]
    assert found.means("test_seen")["AP"] == pytest.approx(values[~found.is_unseen].mean())
    assert found.means("test_unseen")["AP"] == pytest.approx(values[found.is_unseen].mean())
    without = evaluate_search(model_of(split), replace(split, train=Judgements.none(), test=test))
    assert without.is_unseen.all()
    assert list(without.figures()) == ["test", "test_unseen"], "a group without a query has no figures"


def test_queries_without_a_relevant_document_do_not_count() -> None:
    """Judged 0 alone; and a split without a test part measures nothing, which is no error."""
    split = make_split()
    looked_at = replace(split.test, grades=np.where(split.test.query_rows == 0, 0, split.test.grades))
    found = evaluate_search(model_of(split), replace(split, test=looked_at))
    assert 0 not in found.query_rows
    assert len(found.query_rows) == 23
    nothing = evaluate_search(model_of(split), replace(split, test=Judgements.none()))
    assert (len(nothing.query_rows), nothing.means(), nothing.figures()) == (0, {}, {})


def test_folds_are_one_evaluation_over_all_their_queries() -> None:
    """The mean over queries, not over folds."""
    split = make_split()
    rows = split.test.queries
    parts = [replace(split, test=split.test.of_queries(rows[:5])), replace(split, test=split.test.of_queries(rows[5:]))]
    model = model_of(split)
    whole = joined([evaluate_search(model, part) for part in parts])
    assert whole.means() == pytest.approx(evaluate_search(model, split).means())
    np.testing.assert_array_equal(whole.query_rows, rows)


def test_candidates_are_ranked_as_ir_measures_reads_them(tmp_path: Path) -> None:
    """Every metric of every query to 1e-9, with ties in the scores; a query without a relevant candidate counts 0."""
    judged = make_feature_split().test
    scores_N = np.round(judged.features_NF[:, 0], 1).astype(np.float64)
    ours = evaluate_scores(scores_N, judged)
    lengths = np.diff(judged.offsets)
    rows_QK = np.full((judged.num_queries, lengths.max()), -1)
    for query, length in enumerate(lengths):
        own = np.arange(judged.offsets[query], judged.offsets[query + 1])
        rows_QK[query, :length] = own[np.argsort(-scores_N[own], kind="stable")]
    np.testing.assert_array_equal(ours.order_N, rows_QK[rows_QK >= 0])
    write_rankings(tmp_path / "run", judged.query_ids, judged.document_ids, rows_QK, tag="a")
    write_grades(tmp_path / "qrels", [judged.query_ids[row] for row in judged.query_rows], judged.document_ids, judged.grades)
    theirs = read_back(tmp_path / "run", tmp_path / "qrels", tuple(ours.per_query))
    for name, values_Q in ours.per_query.items():
        for query, value in zip(judged.query_ids, values_Q, strict=True):
            assert theirs[query, name] == pytest.approx(value, abs=1e-9), (query, name)
    last = {name: values_Q[-1] for name, values_Q in ours.per_query.items()}
    assert set(last.values()) == {0.0}
    assert len(ours.query_ids) == 40


def test_folds_of_candidates_are_one_evaluation() -> None:
    """Over all queries; an empty part measures nothing."""
    judged = make_feature_split().test
    scores_N = judged.features_NF[:, 0]
    parts = [judged.take(np.arange(7)), judged.take(np.arange(7, 40))]
    whole = joined_rerank([evaluate_scores(part.features_NF[:, 0], part) for part in parts])
    assert whole.means() == pytest.approx(evaluate_scores(scores_N, judged).means())
    assert whole.query_ids == judged.query_ids
    nothing = judged.take(np.zeros(0, dtype=np.int64))
    assert evaluate_scores(np.zeros(0), nothing).means() == {}


def test_a_ranker_s_own_scores_order_the_candidates() -> None:
    """`FeatureRanker` is asked once for all candidates."""
    from training.evaluation.rerank import evaluate_reranker  # noqa: PLC0415 - beside its use

    judged = make_feature_split().test

    class First(FeatureRanker):
        def __init__(self) -> None:
            pass

        def scores(self, features_CF: np.ndarray) -> np.ndarray:
            """The first feature."""
            assert len(features_CF) == len(judged.grades)
            return features_CF[:, 0].astype(np.float64)

    found = evaluate_reranker(First(), judged)
    assert found.means() == evaluate_scores(judged.features_NF[:, 0], judged).means()
