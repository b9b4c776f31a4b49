"""TREC's runs and judgements as tables, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data import read_trec_qrels, read_trec_run
from training.errors import DataError

RUN = "q1 Q0 d2 1 3.5 mine\nq1\tQ0  d1 2 -1e-2 mine\n\nq2 Q0 d1 1 7 mine\n"


def file(folder: Path, content: str) -> Path:
    (folder / "run.txt").write_text(content)
    return folder / "run.txt"


def test_a_run_by_hand(tmp_path: Path) -> None:
    """Any blanks between fields; columns as ir-measures takes them."""
    run = read_trec_run(file(tmp_path, RUN))
    assert run.to_dict("list") == {
        "query_id": ["q1", "q1", "q2"],
        "doc_id": ["d2", "d1", "d1"],
        "score": [3.5, -0.01, 7.0],
        "rank": [1, 2, 1],
    }


@pytest.mark.parametrize("content", ["q1 0 d1 2\nq1 0 d2 -1\n", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t-1\n"])
def test_judgements_by_hand(tmp_path: Path, content: str) -> None:
    """TREC's form and BEIR's; grades stay as they are, ir-measures knows what negative ones mean."""
    qrels = read_trec_qrels(file(tmp_path, content))
    assert qrels.to_dict("list") == {"query_id": ["q1", "q1"], "doc_id": ["d1", "d2"], "relevance": [2, -1]}


def test_ir_measures_takes_both(tmp_path: Path) -> None:
    """By hand: the relevant document is second, so its reciprocal rank is 1/2."""
    measures = pytest.importorskip("ir_measures")
    qrels, run = read_trec_qrels(file(tmp_path, "q1 0 d1 1\n")), read_trec_run(file(tmp_path, RUN))
    assert measures.calc_aggregate([measures.RR], qrels, run)[measures.RR] == 0.5


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "q3 Q0 d1 1 7",
            r"another number of fields in 1 line \(line 5: 5 fields\); expected `query Q0 document rank score tag`",
        ),
        ("q3 Q0 d1 1 high mine", r"no usable score in 1 line \(line 5: 'high'\)"),
        ("q3 Q0 d1 1 nan mine", r"no usable score in 1 line \(line 5: 'nan'\)"),
        ("q3 Q0 d1 1.5 7 mine", r"a rank that is no whole number in 1 line \(line 5: '1\.5'\)"),
        ("q1 Q0 d2 9 0 mine", r"a document that its query has already in 1 line \(line 5: 'q1 d2'\)"),
    ],
)
def test_what_is_wrong_with_a_run(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_trec_run(file(tmp_path, RUN + line + "\n"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("q1 0 d1\n", r"line 1: 3 fields"),
        ("q1 0 d1 1\nq1 0 d2 x\n", r"a grade that is no whole number in 1 line \(line 2: 'x'\)"),
        ("q1 0 d1 1\nq1 0 d1 1\n", r"a document that its query has already in 1 line \(line 2: 'q1 d1'\)"),
        ("", "is empty"),
    ],
)
def test_what_is_wrong_with_judgements(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_trec_qrels(file(tmp_path, content))
