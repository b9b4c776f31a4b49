"""Documents and queries in files.

Shapes: I documents, Q queries.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from app.bundle import Vocabulary
from app.bundle.manifest import Language
from training.data.collection import Collection, Judgements
from training.data.columns import choose_column, read_ids
from training.data.items import as_titles, typed_column
from training.data.jsonl import JSON_SUFFIXES, JsonLinesFile, as_text, json_column, key_names
from training.data.judgements import (
    part_files,
    read_fields,
    read_qrels,
    to_judgements,
)
from training.data.tables import PARQUET_SUFFIXES, SEPARATORS, Table, TableFile, TextTableFile, open_table
from training.data.text import check_is_file
from training.errors import DataError

logger = logging.getLogger(__name__)

_ID_NAMES = ("_id", "id", "doc_id", "docid", "document_id", "docno", "item_id", "pid")
_TITLE_NAMES = ("title", "name", "headline", "subject")
_TEXT_NAMES = ("text", "body", "abstract", "content", "contents", "description", "passage")
_QUERY_ID_NAMES = ("_id", "id", "qid", "query_id", "query-id", "topic")
_QUERY_TEXT_NAMES = ("text", "query", "title", "question")
_TITLE, _TEXT = "title", "text"
"""What the two are called in `Collection.item_table`."""
_METADATA = "metadata"
"""BEIR's key for an object of metadata, whose keys become columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """How to read documents; None leaves it to names, suffixes and values.

    Attributes:
        language: of all texts; English if nothing is said.
        id_column, title_column, text_column: names of columns or keys; `none` for no titles or no texts.
        form, separator, header, encoding: of a plain file of documents, as in `FileOptions`; JSON Lines go by their suffix and are UTF-8.
        queries: a file of queries for a plain file of documents: JSON Lines with `_id` and `text`, or `id<tab>text`.
        qrels: the judgements of these queries, as TREC or BEIR has them, or a folder with a file for each part.
        min_grade: the grade from which a document counts as an answer; lower ones count as 0.
        keep_empty: whether documents without title and text are kept, which nothing will find; they are an error otherwise.
    """

    language: Language | None = None
    id_column: str | None = None
    title_column: str | None = None
    text_column: str | None = None
    form: Literal["csv", "tsv", "parquet"] | None = None
    separator: str | None = None
    header: bool = True
    encoding: str = "utf-8"
    queries: Path | None = None
    qrels: Path | None = None
    min_grade: int = 1
    keep_empty: bool = False


def read_plain(path: Path, options: TextOptions) -> Collection:
    """A file of documents, and the queries and judgements that the options name.

    Raises:
        DataError: a file cannot be used; one message with file, lines and count.
    """
    documents, item_table = read_documents(open_documents(path, options), options)
    queries, texts = Vocabulary("query", []), tuple[str, ...]()
    judged: dict[str, Judgements] = {}
    if options.queries is not None:
        queries, texts = read_queries(options.queries)
    if options.qrels is not None:
        if options.queries is None:
            raise DataError(f"--qrels {options.qrels} judges queries whose texts are not known; give them with --queries FILE")
        files = part_files(options.qrels) if options.qrels.is_dir() else {"all": options.qrels}
        judged = {
            part: to_judgements(read_qrels(file), queries, documents, min_grade=options.min_grade)
            for part, file in files.items()
        }
    return Collection(path.stem, documents, item_table, queries, texts, judged, {}, options.language or "english")


def open_documents(path: Path, options: TextOptions) -> TableFile:
    """A file of documents or queries by its suffix, or by what the options say of it.

    Raises:
        DataError: the file cannot be read, or its form is not clear.
    """
    check_is_file(path)
    suffix = path.suffix.lower()
    if options.form is None and options.separator is None:
        if suffix in JSON_SUFFIXES:
            return JsonLinesFile(path)
        if suffix not in {*SEPARATORS, *PARQUET_SUFFIXES}:
            raise DataError(
                f"{path}: the form of a file that ends in {path.suffix!r} is not clear; expected one of "
                f"{', '.join([*JSON_SUFFIXES, *SEPARATORS, *PARQUET_SUFFIXES])}, or give --format csv, tsv or parquet"
            )
    return open_table(path, form=options.form, separator=options.separator, header=options.header, encoding=options.encoding)


def read_documents(file: TableFile, options: TextOptions) -> tuple[Vocabulary, pd.DataFrame]:
    """All documents of a table in its order: `title` if there are titles, `text`, and the other columns as metadata.

    Args:
        file: one row a document.
        options: which column is which, and whether empty documents are kept.

    Raises:
        DataError: no column of ids or of texts, missing ids, an id that stands there twice, or documents without a word.
    """
    nameless = isinstance(file, TextTableFile) and not file.header
    id_name = choose_column(file, "id", options.id_column, required=True, names=("1",) if nameless else _ID_NAMES)
    title_name = choose_column(file, "title", options.title_column, required=False, names=() if nameless else _TITLE_NAMES)
    text_name = choose_column(
        file, "text", options.text_column, required=title_name is None, names=("2",) if nameless else _TEXT_NAMES
    )
    assert id_name is not None
    if len({id_name, title_name, text_name} - {None}) < 2 + (title_name is not None and text_name is not None):
        raise DataError(
            f"{file.path}: one column cannot be two of id, title and text; name others with --id-column, --title-column or --text-column"
        )
    table = file.read(file.names)
    ids = _ids(table, id_name, "document")
    _refuse_repeated(table, ids, id_name, "document")
    columns: dict[str, pd.Series] = {}
    if title_name is not None:
        columns[_TITLE] = as_titles(table.frame[title_name])
    columns[_TEXT] = pd.Series("", index=table.frame.index, dtype="str") if text_name is None else _texts(table, text_name)
    empty = (columns[_TEXT].str.strip() == "").to_numpy()
    if title_name is not None:
        empty = empty & (columns[_TITLE].fillna("").str.strip() == "").to_numpy()
    if empty.any() and not options.keep_empty:
        remedy = (
            "expected a title or a text in every one; correct or remove these lines, or keep such documents with --keep-empty"
        )
        raise table.complaint(empty, "a document without a word", remedy, values=ids)
    for name in file.names:
        if name not in {id_name, title_name, text_name}:
            columns |= _metadata(table, name, {_TITLE, _TEXT, *file.names})
    if columns.pop("id", None) is not None:
        logger.info("%s: the column 'id' is left out, the ids are in %r", file.path, id_name)
    return Vocabulary("item", ids.tolist()), pd.DataFrame(columns, index=range(len(ids)))


def _ids(table: Table, column: str, kind: str) -> pd.Series:
    values = table.frame[column]
    if values.dtype == object:
        bad = ~values.map(lambda value: value is None or isinstance(value, str | bytes | int | float)).to_numpy(dtype=bool)
        if bad.any():
            remedy = "expected a text or a number; correct or remove these lines"
            raise table.complaint(bad, f"no {kind} id (column {column!r})", remedy, values=values.map(str))
    return read_ids(table, column, kind)


def _refuse_repeated(table: Table, ids: pd.Series, column: str, kind: str) -> None:
    twice = ids.duplicated().to_numpy()
    if twice.any():
        remedy = f"expected a line for each {kind}; correct or remove these lines"
        raise table.complaint(twice, f"a {kind} id that stands there already (column {column!r})", remedy, values=ids)


def _texts(table: Table, column: str) -> pd.Series:
    """A column as text; numbers are written out, what is missing is empty.

    Raises:
        DataError: values that are no text.
    """
    values = table.frame[column]
    if values.dtype != object:
        return values.astype("str").fillna("")
    bad = ~values.map(lambda value: value is None or isinstance(value, str | bytes | int | float)).to_numpy(dtype=bool)
    if bad.any():
        remedy = "expected a text; correct these, or name another column"
        raise table.complaint(bad, f"no text (column {column!r})", remedy, values=values.map(str))
    texts = values.map(lambda value: value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
    return texts.map(as_text, na_action="ignore").astype("str").fillna("")


def _metadata(table: Table, name: str, taken: set[str]) -> dict[str, pd.Series]:
    """A column of metadata, or a column for each key of BEIR's `metadata`.

    Whatever is called `title` or `text` and is not what a document is found by is called `other_title` or `other_text`, and a key
    whose name is taken `metadata_KEY`.
    """
    values = table.frame[name]
    if name != _METADATA or not any(isinstance(value, dict) for value in values):
        return {f"other_{name}" if name in {_TITLE, _TEXT} else name: typed_column(table, name)}
    records = [value if isinstance(value, dict) else {} for value in values]
    return {
        (f"{name}_{key}" if key in taken else key): json_column([record.get(key) for record in records])
        for key in key_names(records)
    }


def read_queries(path: Path) -> tuple[Vocabulary, tuple[str, ...]]:
    """Ids and texts of queries: JSON Lines, CSV or Parquet with columns of both, or `id<tab>text`, with a header or without.

    Raises:
        DataError: the file cannot be used, an id stands there twice, or a query without a word.
    """
    if path.suffix.lower() in {".csv", *PARQUET_SUFFIXES, *JSON_SUFFIXES}:
        file = open_documents(path, TextOptions())
        id_name = choose_column(file, "query's id", required=True, names=_QUERY_ID_NAMES, has_option=False)
        text_name = choose_column(file, "query's text", required=True, names=_QUERY_TEXT_NAMES, has_option=False)
        assert id_name is not None
        assert text_name is not None
        table = file.read([id_name, text_name])
    else:
        id_name, text_name = "id", "text"
        form = "the id of a query, a tab, and its text"
        table = read_fields(path, (id_name, text_name), form=form, separator="\t", may_have_header=_QUERY_ID_NAMES)
    ids, texts = _ids(table, id_name, "query"), _texts(table, text_name)
    _refuse_repeated(table, ids, id_name, "query")
    empty = (texts.str.strip() == "").to_numpy()
    if empty.any():
        raise table.complaint(
            empty, "a query without a word", "expected a text for each query; correct or remove these lines", values=ids
        )
    return Vocabulary("query", ids.tolist()), tuple(texts.tolist())
