"""Files as TREC has them: runs and judgements, in columns as `ir-measures` takes them. Ids are taken as they stand.

A run has a line `QUERY Q0 DOCUMENT RANK SCORE TAG` for each ranked document, a file of judgements `QUERY 0 DOCUMENT GRADE` for each judged one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from training.data.judgements import DOCUMENT, GRADE, QUERY, read_fields, read_grades, read_qrels
from training.data.tables import Table


def read_trec_run(path: Path) -> pd.DataFrame:
    """A run, in the order of the file.

    Args:
        path: the file.

    Returns:
        Columns `query_id`, `doc_id` (text), `score` (float64), and `rank` as the file has it (int64), which tools that sort by score
        pay no heed to.

    Raises:
        DataError: lines that are none of a run, a score that is no finite number, a rank that is no whole number, or a document that
            its query has twice.
    """
    names = (QUERY, "q0", DOCUMENT, "rank", "score", "tag")
    table = read_fields(path, names, form="`query Q0 document rank score tag`, as TREC has it")
    scores = pd.to_numeric(table.frame["score"], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(scores)
    if bad.any():
        remedy = "expected a finite number; correct or remove these lines"
        raise table.complaint(bad, "no usable score", remedy, values=table.frame["score"])
    ranks = table.frame["rank"]
    bad = ~ranks.str.fullmatch(r"\d{1,18}").to_numpy(dtype=bool)
    if bad.any():
        remedy = "expected a whole number; correct or remove these lines"
        raise table.complaint(bad, "a rank that is no whole number", remedy, values=ranks)
    _refuse_repeated(table)
    return pd.DataFrame(
        {"query_id": table.frame[QUERY], "doc_id": table.frame[DOCUMENT], "score": scores, "rank": ranks.astype(np.int64)}
    )


def read_trec_qrels(path: Path) -> pd.DataFrame:
    """Judgements, from a file as TREC or BEIR has it.

    Args:
        path: the file.

    Returns:
        Columns `query_id`, `doc_id` (text) and `relevance` (int64), in the order of the file; grades as the file has them, negative ones
        too.

    Raises:
        DataError: lines that are no judgements, a grade that is no whole number, or a document that its query has twice.
    """
    table = read_qrels(path)
    grades = read_grades(table, GRADE)
    _refuse_repeated(table)
    return pd.DataFrame({"query_id": table.frame[QUERY], "doc_id": table.frame[DOCUMENT], "relevance": grades})


def _refuse_repeated(table: Table) -> None:
    twice = table.frame.duplicated([QUERY, DOCUMENT]).to_numpy()
    if twice.any():
        values = table.frame[QUERY] + " " + table.frame[DOCUMENT]
        remedy = "expected each document once for a query; correct or remove these lines"
        raise table.complaint(twice, "a document that its query has already", remedy, values=values)
