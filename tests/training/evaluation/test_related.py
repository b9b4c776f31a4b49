"""Which documents are related, and how well a model finds them."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, P, R, nDCG

from training.data import Judgements
from training.errors import DataError
from training.evaluation.related import RELATED_METRICS, evaluate_related, nearest, related_pairs


class Fixed:
    """Scores as given."""

    def __init__(self, scores_II: np.ndarray) -> None:
        self.scores_II = scores_II

    def scores(self, rows_B: np.ndarray) -> np.ndarray:
        rows: np.ndarray = self.scores_II[rows_B]
        return rows


def judged(*triples: tuple[int, int, int]) -> Judgements:
    queries, documents, grades = np.array(triples, dtype=np.int64).reshape(-1, 3).T
    return Judgements(queries, documents, grades)


def pairs(*parts: Judgements, num_documents: int = 6) -> set[tuple[int, int]]:
    rows, columns = related_pairs(parts, num_documents).nonzero()
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def test_related_pairs_are_those_of_the_same_query_both_ways_and_never_a_document_with_itself() -> None:
    """By hand: query 0 makes {0, 1, 2}, query 3 makes {2, 4}; query 1 has one answer, and grade 0 is none."""
    found = pairs(judged((0, 0, 2), (0, 1, 1), (0, 2, 1), (0, 5, 0), (1, 3, 1), (3, 2, 1), (3, 4, 3)))
    assert found == {(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1), (2, 4), (4, 2)}


def test_all_parts_count_also_where_they_share_a_query() -> None:
    """Document 0 answers query 0 in one part, 1 and 2 in the other."""
    found = pairs(judged((0, 0, 1)), judged((0, 1, 1), (0, 2, 1)))
    assert found == {(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)}


@pytest.mark.parametrize("parts", [(), (judged(),), (judged((0, 0, 1), (1, 1, 1), (2, 2, 0)),)])
def test_judgements_that_relate_nothing_are_refused(parts: tuple[Judgements, ...]) -> None:
    with pytest.raises(DataError, match="no two documents are relevant to the same query"):
        related_pairs(parts, 4)


def test_the_document_itself_comes_last_whatever_its_score_and_ties_come_in_row_order() -> None:
    scores_II = np.array([[9.0, 1.0, 2.0, 1.0], [5.0, 9.0, 5.0, 7.0]])
    order_BI, scores_BI = nearest(Fixed(np.vstack([scores_II, np.zeros((2, 4))])), np.array([0, 1]))
    assert order_BI.tolist() == [[2, 1, 3, 0], [3, 0, 2, 1]]
    assert scores_BI.tolist() == [[2, 1, 1, -np.inf], [7, 5, 5, -np.inf]]


def test_figures_are_those_of_ir_measures() -> None:
    """On random scores without ties, the document itself left out of the run."""
    rng = np.random.default_rng(0)
    related_II = related_pairs([judged(*{(int(q), int(d), 1) for q, d in rng.integers(0, (12, 30), (50, 2))})], 30)
    scores_II = rng.permutation(900).reshape(30, 30).astype(float)
    found = evaluate_related(Fixed(scores_II), related_II)
    rows = [row for row in range(30) if related_II[[row]].nnz]
    assert len(rows) > 10
    qrels = [ir_measures.Qrel(str(row), str(other), 1) for row in rows for other in related_II[[row]].indices]
    run = [
        ir_measures.ScoredDoc(str(row), str(other), scores_II[row, other])
        for row in rows
        for other in range(30)
        if other != row
    ]
    measures = {"nDCG@10": nDCG @ 10, "AP": AP, "P@5": P @ 5, "R@100": R @ 100}
    assert tuple(measures) == tuple(found) == RELATED_METRICS
    for name, measure in measures.items():
        theirs = {metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], qrels, run)}
        np.testing.assert_allclose(found[name], [theirs[str(row)] for row in rows], atol=1e-12, err_msg=name)
