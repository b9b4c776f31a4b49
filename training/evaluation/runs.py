"""Rankings and relevance as TREC files, which every evaluation tool reads: trec_eval, ir-measures, PyTerrier, ranx.

    run      QUERY Q0 DOCUMENT RANK SCORE RANKER      a line for each ranked item, best first
    qrels    QUERY 0 DOCUMENT 1                       a line for each relevant item

Queries are user ids, documents item ids, but for rankers of search and of candidates, whose queries and documents are what they are called,
and whose qrels keep their grades. The score is no model's: it is the number of items that are not ranked higher, an integer
that falls with every rank, because tools sort by score and break ties in their own ways, some of them in single precision.

Shapes: B users in a batch, I items, N lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.bundle import VectorModel, replacing_file
from training.data import Split
from training.errors import ConfigError
from training.evaluation.evaluate import Protocol, ranked_rows

MOST_LINES = 50_000_000
"""Of one run; about 2 GB."""

_CELLS = 2_000_000
"""Ranked items held as text at once."""
_ENCODED = re.compile(r"[\s\x00-\x1f%]")


def encoded_id(external: str) -> str:
    """An id as a field of a TREC file: white space, control characters and `%` in percent encoding, so that it can be undone."""
    return _ENCODED.sub(lambda found: quote(found.group(), safe=""), external)


def write_run(path: Path, model: VectorModel, split: Split, *, protocol: Protocol, tag: str, depth: int | None = None) -> None:
    """Write a ranker's answers to every user with a test positive, atomically.

    Args:
        path: the file; what was there is replaced when the new one is complete.
        model: the ranker.
        split: train is what the users have had, test says who is asked.
        protocol: what is a candidate.
        tag: the ranker's name.
        depth: how many items of each user; None writes all candidates. AP and RR look at the full ranking: computed from a run
            of less depth they count what lies deeper as not found, and come out lower or equal.

    Raises:
        ConfigError: a depth below 1, or a run of more than `MOST_LINES` lines.
        OSError: it cannot be written; `path` is then as it was.
    """
    check_depth(split, depth)
    with replacing_file(path) as file:
        for chunk in _run_chunks(model, split, protocol, tag, depth):
            file.write(chunk)


def write_qrels(path: Path, split: Split) -> None:
    """Write the relevant items of every user: the test part's positives, the same under every protocol; atomically.

    Raises:
        OSError: it cannot be written; `path` is then as it was.
    """
    relevant = split.test.positives().histories()
    users, items = _names(split.test.users.ids), _names(split.test.items.ids)
    with replacing_file(path) as file:
        file.write(_lines(users.take(pa.array(relevant.users)), "0", items.take(pa.array(relevant.items)), "1\n"))


def write_rankings(
    path: Path, queries: Iterable[str], documents: Iterable[str], rows_QK: np.ndarray, *, tag: str, depth: int | None = None
) -> None:
    """Write ranked documents, atomically.

    Args:
        path: the file; what was there is replaced when the new one is complete.
        queries: Q ids.
        documents: all ids.
        rows_QK: rows of each query's documents, best first; −1 where there are no more.
        tag: the ranker's name.
        depth: how many of each query; all by default.

    Raises:
        OSError: it cannot be written; `path` is then as it was.
    """
    kept_QK = rows_QK[:, :depth]
    queries_N, ranks_N = np.nonzero(kept_QK >= 0)
    with replacing_file(path) as file:
        file.write(
            _lines(
                _names(queries).take(pa.array(queries_N)),
                "Q0",
                _names(documents).take(pa.array(kept_QK[queries_N, ranks_N])),
                pa.array(ranks_N + 1),
                pa.array(rows_QK.shape[1] - ranks_N),
                f"{encoded_id(tag)}\n",
            )
        )


def write_grades(path: Path, queries: Iterable[str], documents: Iterable[str], grades: np.ndarray) -> None:
    """Write judgements with their grades, atomically; three columns of the same length.

    Raises:
        OSError: it cannot be written; `path` is then as it was.
    """
    told = pa.array([f"{grade}\n" for grade in grades], pa.large_string())
    with replacing_file(path) as file:
        file.write(_lines(_names(queries), "0", _names(documents), told))


def check_depth(split: Split, depth: int | None) -> None:
    """Refuse a run before anything is computed.

    Raises:
        ConfigError: a depth below 1, or a run of more than `MOST_LINES` lines.
    """
    if depth is not None and depth < 1:
        raise ConfigError(f"a run depth of {depth} is impossible; expected 1 or more")
    num_users = int(np.count_nonzero(split.test.positives().histories().lengths))
    num_lines = num_users * min(depth or split.train.num_items, split.train.num_items)
    if num_lines > MOST_LINES:
        raise ConfigError(
            f"a run of {num_users:,} users and {num_lines // num_users:,} items each has {num_lines:,} lines, "
            f"expected at most {MOST_LINES:,}; write fewer items of each user with --run-depth, for instance --run-depth "
            f"{max(1, min(1000, MOST_LINES // num_users))}"
        )


def _run_chunks(model: VectorModel, split: Split, protocol: Protocol, tag: str, depth: int | None) -> Iterator[bytes]:
    train = split.train.histories()
    excluded = split.train.positives().histories() if protocol == "paper" else train
    user_rows = np.flatnonzero(split.test.positives().histories().lengths)
    num_items = split.train.num_items
    users, items, tag = _names(split.train.users.ids), _names(split.train.items.ids), encoded_id(tag)
    width = max(1, _CELLS // num_items)
    for start in range(0, len(user_rows), width):
        users_B = user_rows[start : start + width]
        excluded_BI = excluded.take(users_B).mask(num_items)
        order_BI = ranked_rows(model.scores(train.take(users_B), users_B), excluded_BI)
        num_candidates_B = num_items - excluded_BI.sum(axis=1)
        # Excluded items come last, so the candidates of a user are the first of his row.
        batch_N, ranks_N = np.nonzero(np.arange(num_items) < np.minimum(num_candidates_B, depth or num_items)[:, None])
        ranked = items.take(pa.array(order_BI[batch_N, ranks_N]))
        asked = users.take(pa.array(users_B[batch_N]))
        yield _lines(asked, "Q0", ranked, pa.array(ranks_N + 1), pa.array(num_items - ranks_N), f"{tag}\n")


def _names(ids: Iterable[str]) -> pa.Array:
    return pa.array([encoded_id(external) for external in ids], pa.large_string())


def _lines(*columns: pa.Array | str) -> bytes:
    """Rows of fields with a blank between; a string is the same in every row, the last column ends the line."""
    fields = [_text(column) if isinstance(column, str) else column.cast(pa.large_string()) for column in columns]
    lines = pc.binary_join_element_wise(*fields, _text(" "))
    whole = pc.binary_join(pa.LargeListArray.from_arrays([0, len(lines)], lines), _text(""))
    text: bytes = whole[0].as_buffer().to_pybytes()
    return text


def _text(constant: str) -> pa.Scalar:
    return pa.scalar(constant, pa.large_string())
