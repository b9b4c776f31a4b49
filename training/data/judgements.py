"""Which documents answer which query: files of judgements and of candidates.

Shapes: N pairs, Q queries, I documents.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from app.bundle import Vocabulary
from training.data.assemble import rows_of
from training.data.collection import Judgements
from training.data.columns import read_ids
from training.data.tables import Table
from training.data.text import SHOWN, check_is_file, read_text, trouble
from training.errors import DataError

logger = logging.getLogger(__name__)

QUERY, DOCUMENT, GRADE = "query", "document", "grade"
"""Columns of a table of judgements."""
QRELS_HEADER = ("query-id", "corpus-id", "score")
CANDIDATES_HEADER = QRELS_HEADER[:2]

_HEAD = 2**14
"""Bytes in which a file's first line is looked for."""
_WHOLE = r"[+-]?\d{1,9}(\.0*)?"


def read_fields(
    path: Path,
    names: Sequence[str],
    *,
    form: str,
    separator: str | None = None,
    header: Sequence[str] = (),
    may_have_header: Sequence[str] = (),
) -> Table:
    """A text file whose lines all have the same fields; quotes mean nothing in it.

    Args:
        path: the file.
        names: of the columns.
        form: what a line should look like, for messages.
        separator: between fields; None for any blanks.
        header: what the first line must say; none by default.
        may_have_header: first fields that tell a header, which is then left out.

    Raises:
        DataError: no such file, not text, another header, or lines with another number of fields.
    """
    lines = read_text(path, remedy="save it as UTF-8").decode("utf-8").split("\n")
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line and not line.isspace()]
    if header:
        number, first = numbered.pop(0)
        found = [field.strip().lower() for field in first.split(separator)]
        if found != list(header):
            shown = first if len(first) <= 60 else first[:57] + "…"
            raise DataError(
                f"{path}: line {number} is {shown!r}; expected the header {' '.join(header)!r} with tabs between, then a line for each pair"
            )
    elif numbered[0][1].split(separator)[0].strip().lower() in may_have_header:
        numbered.pop(0)
    rows = [line.split(separator) for _, line in numbered]
    bad = [position for position, row in enumerate(rows) if len(row) != len(names)]
    if bad:
        where = [f"line {numbered[position][0]}: {len(rows[position])} fields" for position in bad[:SHOWN]]
        remedy = f"expected {form}; correct or remove these lines"
        raise trouble(path, count=len(bad), unit="line", where=where, found="another number of fields", remedy=remedy)
    if not rows:
        raise DataError(f"{path} is empty: it has no line but its header; expected {form}")
    places = np.array([number for number, _ in numbered], dtype=np.int64)
    frame = pd.DataFrame({name: pd.Series([row[at] for row in rows], dtype="str") for at, name in enumerate(names)})
    return Table(path, frame, "line", lambda positions: places[positions])


def read_qrels(path: Path) -> Table:
    """Judgements from a file as BEIR has it, with the header `query-id corpus-id score`, or as TREC has it, `query 0 document grade`.

    Raises:
        DataError: the file is neither.
    """
    if is_beir(path):
        return read_fields(
            path,
            (QUERY, DOCUMENT, GRADE),
            form="query-id, corpus-id and score, with tabs between",
            separator="\t",
            header=QRELS_HEADER,
        )
    return read_fields(
        path,
        (QUERY, "iteration", DOCUMENT, GRADE),
        form="`query 0 document grade`, as TREC has it, or BEIR's header `query-id corpus-id score` first",
    )


def is_beir(path: Path) -> bool:
    """Whether a file of judgements begins with BEIR's header, or another one of three columns."""
    check_is_file(path)
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf")
    fields = next((line.lower().split() for line in head.splitlines() if line.strip()), [])
    return fields[:1] == [b"query-id"] or (len(fields) == 3 and b"query" in fields[0])


def part_files(folder: Path) -> dict[str, Path]:
    """The files of a folder by the parts that they are called after.

    Raises:
        DataError: there are none.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.tsv"))}
    if not files:
        raise DataError(f"{folder} has no file PART.tsv, such as train.tsv or test.tsv; add one, or remove {folder}")
    return files


def read_candidates(path: Path) -> Table:
    """Which documents compete for a query, with the header `query-id corpus-id`.

    Raises:
        DataError: the file is no such file.
    """
    return read_fields(
        path, (QUERY, DOCUMENT), form="query-id and corpus-id, with a tab between", separator="\t", header=CANDIDATES_HEADER
    )


def to_judgements(table: Table, queries: Vocabulary, documents: Vocabulary, *, min_grade: int = 1) -> Judgements:
    """A table of judgements over given queries and documents.

    A negative grade, as TREC gives to spam, counts as 0, and so does one below `min_grade`. A pair that stands there again with the
    same grade counts once.

    Raises:
        DataError: an unknown query or document, a grade that is no whole number, or a pair with two grades.
    """
    grades = read_grades(table, GRADE)
    pairs = to_pairs(table, queries, documents)
    frame = pd.DataFrame({"query": pairs.query_rows, "document": pairs.document_rows, "grade": grades})
    twice = frame.duplicated(["query", "document"]).to_numpy()
    other = twice & ~frame.duplicated().to_numpy()
    if other.any():
        values = table.frame[QUERY] + " " + table.frame[DOCUMENT] + " " + table.frame[GRADE]
        remedy = "expected one grade for each pair; correct or remove these lines"
        raise table.complaint(other, "a pair of query and document that stands there with another grade", remedy, values=values)
    if twice.any():
        logger.info("%s: %d repeated judgements left out", table.path, np.count_nonzero(twice))
    if (grades < 0).any():
        logger.info("%s: %d negative grades count as 0, judged and no answer", table.path, np.count_nonzero(grades < 0))
    grades = np.where(grades < min_grade, 0, grades)
    return Judgements(pairs.query_rows, pairs.document_rows, grades).where(~twice)


def to_pairs(table: Table, queries: Vocabulary, documents: Vocabulary) -> Judgements:
    """A table of pairs over given queries and documents, all with grade 0.

    Raises:
        DataError: an unknown query or document.
    """
    rows = []
    for column, vocabulary, kind in ((QUERY, queries, "query"), (DOCUMENT, documents, "document")):
        ids = read_ids(table, column, kind)
        found = rows_of(vocabulary, ids)
        if (found < 0).any():
            example = f" such as {vocabulary.id(0)!r}" if len(vocabulary) else ""
            remedy = f"expected the id of one of the {len(vocabulary):,} {_PLURAL[kind]}{example}; correct or remove these lines, or add what is missing"
            raise table.complaint(found < 0, f"a {kind} that does not exist", remedy, values=ids)
        rows.append(found)
    return Judgements(rows[0], rows[1], np.zeros(len(rows[0]), dtype=np.int64))


_PLURAL = {"query": "queries", "document": "documents"}


def read_grades(table: Table, column: str) -> np.ndarray:
    """A column of grades, int64 [N].

    Raises:
        DataError: values that are no whole numbers.
    """
    texts = table.frame[column].str.strip()
    bad = ~texts.str.fullmatch(_WHOLE).to_numpy(dtype=bool)
    if bad.any():
        remedy = "expected a whole number: 0 for no answer, more for better ones; correct or remove these lines"
        raise table.complaint(bad, "a grade that is no whole number", remedy, values=texts)
    grades: np.ndarray = texts.astype(np.float64).to_numpy().astype(np.int64)
    return grades


def to_candidates(table: Table, judged: Judgements, queries: Vocabulary, documents: Vocabulary) -> Judgements:
    """The pairs that compete, each once, with their grades where they are judged and 0 elsewhere.

    Raises:
        DataError: an unknown query or document, or answers that are no candidates.
    """
    pairs = to_pairs(table, queries, documents)
    keys = pairs.query_rows * len(documents) + pairs.document_rows
    twice = pd.Series(keys).duplicated().to_numpy()
    if twice.any():
        logger.info("%s: %d repeated candidates left out", table.path, np.count_nonzero(twice))
    answers = judged.positives
    absent = ~np.isin(answers.query_rows * len(documents) + answers.document_rows, keys)
    if absent.any():
        query, document = queries.id(answers.query_rows[absent][0]), documents.id(answers.document_rows[absent][0])
        raise DataError(
            f"{table.path} lacks {np.count_nonzero(absent):,} answers, the first one is query {query!r}, document {document!r}; "
            "a ranker of candidates could never find them: add them here, or remove them from the judgements"
        )
    grade_of = pd.Series(judged.grades, index=judged.query_rows * len(documents) + judged.document_rows)
    grades = grade_of.reindex(keys[~twice]).fillna(0).to_numpy().astype(np.int64)
    kept = pairs.where(~twice)
    return Judgements(kept.query_rows, kept.document_rows, grades)
