"""Files of candidates with features, in SVMlight's form with queries: `grade qid:query 1:value 2:value … #docid = document`.

Shapes: N candidates, F features.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from training.data.letor import JudgedFeatures
from training.data.text import SHOWN, read_text, trouble
from training.errors import DataError

MOST_FEATURES = 10_000
"""A feature's largest number; every candidate gets a row of all features, so a wild number would fill the memory."""

_GRADE = re.compile(rb"[+-]?\d{1,9}(\.0*)?")
_DOCUMENT = re.compile(rb"docid\s*[=:]\s*(\S+)")
_BLOCK = 2**14
"""Lines that are taken apart at once."""
_REMEDY = "expected `grade qid:query 1:value 2:value … #docid = document`; correct or remove these lines"


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """The lines of a file that hold a candidate, in their three parts.

    Attributes:
        path: the file.
        numbers: of the lines in the file, int64 [N].
        heads: grade and query of each, in two fields.
        pairs: `1:value 2:value …` of each, blanks single and none at the ends.
        comments: what follows the `#` of each.
    """

    path: Path
    numbers: np.ndarray
    heads: list[list[bytes]]
    pairs: list[bytes]
    comments: list[bytes]

    def trouble(self, positions: np.ndarray, found: str, remedy: str, note: Callable[[int], str] | None = None) -> DataError:
        """The one message about some lines."""
        where = [f"line {self.numbers[at]}" + (f": {note(at)}" if note else "") for at in positions[:SHOWN].tolist()]
        return trouble(self.path, count=len(positions), unit="line", where=where, found=found, remedy=remedy)


def read_svmlight(path: Path) -> tuple[JudgedFeatures, bool]:
    """The candidates of one file; a feature that a line does not name is 0, and a negative grade counts as 0.

    Args:
        path: the file.

    Returns:
        The candidates, and whether every line names every feature.

    Raises:
        DataError: the file cannot be used; one message with file, lines and count.
    """
    lines = _lines_of(path)
    query_ids, offsets = _queries(lines)
    documents = tuple(map(_document, lines.comments))
    _check_documents(lines, documents, offsets)
    grades = _grades(lines)
    features_NF = _features(lines)
    named_N = np.array([pairs.count(b":") for pairs in lines.pairs])
    return JudgedFeatures(query_ids, offsets, features_NF, grades, documents), bool(named_N.min() == features_NF.shape[1])


def _lines_of(path: Path) -> _Lines:
    numbers, heads, pairs, comments = [], [], [], []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(read_text(path, remedy="save it as UTF-8").split(b"\n"), 1):
        content, _, comment = line.partition(b"#")
        fields = content.split(None, 2)
        if not fields:
            continue
        if len(fields) < 2 or not fields[1].startswith(b"qid:") or len(fields[1]) == 4:
            bad.append((number, _shown(fields[1] if len(fields) > 1 else fields[0])))
            continue
        numbers.append(number)
        heads.append(fields[:2])
        pairs.append(b" ".join(fields[2].split()) if len(fields) > 2 else b"")
        comments.append(comment)
    if bad:
        where = [f"line {number}: {shown}" for number, shown in bad[:SHOWN]]
        raise trouble(path, count=len(bad), unit="line", where=where, found="no query (qid:) after the grade", remedy=_REMEDY)
    if not numbers:
        raise DataError(f"{path} is empty: it has comments only; {_REMEDY}")
    return _Lines(path, np.array(numbers, dtype=np.int64), heads, pairs, comments)


def _shown(value: bytes) -> str:
    text = repr(value.decode("utf-8", "replace"))
    return text if len(text) <= 40 else text[:37] + "…'"


def _grades(lines: _Lines) -> np.ndarray:
    """The grades, int64 [N]; negative ones count as 0."""
    texts = [grade for grade, _ in lines.heads]
    distinct = {text: bool(_GRADE.fullmatch(text)) for text in set(texts)}
    bad = np.array([not distinct[text] for text in texts])
    if bad.any():
        remedy = "expected a whole number: 0 for not relevant, more for better ones; correct or remove these lines"
        raise lines.trouble(np.flatnonzero(bad), "a grade that is no whole number", remedy, lambda at: _shown(texts[at]))
    values = {text: max(0, int(float(text))) for text in distinct}
    return np.array([values[text] for text in texts], dtype=np.int64)


def _queries(lines: _Lines) -> tuple[tuple[str, ...], np.ndarray]:
    """The queries in their order, and where each one's candidates begin, int64 [Q + 1]."""
    ids = [query for _, query in lines.heads]
    starts = [0, *(at for at, (one, next_) in enumerate(pairwise(ids), 1) if one != next_)]
    seen: set[bytes] = set()
    again = [at for at in starts if ids[at] in seen or seen.add(ids[at])]  # type: ignore[func-returns-value]
    if again:
        remedy = "expected the candidates of a query one after the other; sort the file by query"
        raise lines.trouble(
            np.array(again), "a query that was there before, other queries in between,", remedy, lambda at: _shown(ids[at][4:])
        )
    names = tuple(ids[at][4:].decode("utf-8") for at in starts)
    return names, np.array([*starts, len(ids)], dtype=np.int64)


def _document(comment: bytes) -> str:
    """The document that a comment names: `docid = X`, or a comment of one word."""
    if named := _DOCUMENT.search(comment):
        return named.group(1).decode("utf-8")
    words = comment.split()
    return words[0].decode("utf-8") if len(words) == 1 else ""


def _check_documents(lines: _Lines, documents: tuple[str, ...], offsets: np.ndarray) -> None:
    query_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)).tolist()
    seen: set[tuple[int, str]] = set()
    twice = [
        at
        for at, pair in enumerate(zip(query_of, documents, strict=True))
        if pair[1] and (pair in seen or seen.add(pair))  # type: ignore[func-returns-value]
    ]
    if twice:
        remedy = "expected each document once for a query; correct or remove these lines"
        raise lines.trouble(np.array(twice), "a document that its query has already", remedy, lambda at: repr(documents[at]))


def _features(lines: _Lines) -> np.ndarray:
    """The features, float32 [N, F]."""
    blocks = [_block(lines, start, start + _BLOCK) for start in range(0, len(lines.pairs), _BLOCK)]
    num_features = max(int(columns.max(initial=-1)) + 1 for _, columns, _ in blocks)
    if not num_features:
        raise DataError(f"{lines.path}: no line has a feature; {_REMEDY}")
    features_NF = np.zeros((len(lines.pairs), num_features), dtype=np.float32)
    for rows, columns, values in blocks:
        features_NF[rows, columns] = values
    return features_NF


def _block(lines: _Lines, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and value of each pair in some lines."""
    pairs = lines.pairs[start:stop]
    rows = np.repeat(np.arange(start, start + len(pairs)), [line.count(b":") for line in pairs])
    joined = b" ".join(filter(None, pairs))
    data = np.frombuffer(joined, dtype=np.uint8)
    separators = np.flatnonzero((data == ord(":")) | (data == ord(" ")))
    # One pair after the other: colon, blank, colon, …, and something between any two of them and at both ends.
    is_colon = data[separators] == ord(":")
    in_turn = not len(data) or (len(separators) % 2 == 1 and bool(is_colon[::2].all()) and not is_colon[1::2].any())
    filled = not len(data) or bool((np.diff(np.concatenate([[-1], separators, [len(data)]])) > 1).all())
    numbers = _numbers(joined.translate(_COLON_IS_BLANK)) if in_turn and filled else None
    if numbers is None or len(numbers) != 2 * len(rows):
        raise _bad_pairs(lines)
    indices, exact = numbers[0::2], numbers[1::2]
    wrong = (indices < 1) | (indices > MOST_FEATURES) | (indices != np.floor(indices))
    if wrong.any():
        remedy = f"expected whole numbers from 1 to {MOST_FEATURES:,}"
        raise _bad_places(lines, rows[wrong], indices[wrong], "a feature number out of range", remedy)
    with np.errstate(over="ignore"):
        values = exact.astype(np.float32)
    infinite = ~np.isfinite(values)
    if infinite.any():
        raise _bad_places(
            lines, rows[infinite], exact[infinite], "a feature that is no finite number", "expected finite numbers"
        )
    columns = indices.astype(np.int64) - 1
    cells = rows * MOST_FEATURES + columns
    if not (np.diff(cells) > 0).all():
        twice = pd.Series(cells).duplicated().to_numpy()
        if twice.any():
            found = "a feature that stands there already"
            raise _bad_places(lines, rows[twice], indices[twice], found, "expected each feature once")
    return rows, columns, values


_COLON_IS_BLANK = bytes.maketrans(b":", b" ")


def _numbers(text: bytes) -> np.ndarray | None:
    """The numbers in a text, float64; None where something else is in it."""
    with warnings.catch_warnings():
        # numpy announces that what is a warning today will be an error.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text.decode(), sep=" ")
        except (ValueError, DeprecationWarning):
            return None


def _bad_pairs(lines: _Lines) -> DataError:
    """What is wrong with pairs that are none, found line by line."""
    bad: list[tuple[int, bytes]] = []
    for at, pairs in enumerate(lines.pairs):
        for pair in pairs.split():
            index, colon, value = pair.partition(b":")
            if not colon or not _is_number(index) or not _is_number(value):
                bad.append((at, pair))
                break
    notes = {at: _shown(pair) for at, pair in bad}
    return lines.trouble(np.array(list(notes)), "no pair of a feature's number and its value", _REMEDY, lambda at: notes[at])


def _is_number(text: bytes) -> bool:
    numbers = _numbers(text)
    return numbers is not None and len(numbers) == 1


def _bad_places(lines: _Lines, rows: np.ndarray, values: np.ndarray, found: str, remedy: str) -> DataError:
    positions, firsts = np.unique(rows, return_index=True)
    notes = dict(zip(positions.tolist(), values[firsts].tolist(), strict=True))
    return lines.trouble(positions, found, f"{remedy}; correct or remove these lines", lambda at: f"{notes[at]:g}")
