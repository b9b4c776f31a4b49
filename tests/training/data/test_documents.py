"""Collections of documents: what is read from folders and files, and that everything wrong with them is one clear message."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bundle import Vocabulary
from training.data import Collection, Judgements, TextOptions, load_collection
from training.data.jsonl import json_column
from training.errors import DataError

CORPUS = [
    {"_id": "1", "title": "Wings", "text": "lift and drag"},
    {"_id": "2", "title": "", "text": "heat"},
    {"_id": "3", "title": "Shells"},
]
QUERIES = [{"_id": "q1", "text": "what lifts"}, {"_id": "q2", "text": "what heats"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\t1\t1\nq1\t3\t0\nq2\t2\t2\n"


def lines(*records: object) -> str:
    return "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)


def put(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def beir(**changed: str | bytes | None) -> dict[str, str | bytes]:
    """A folder as BEIR has it; `__` in a name stands for a slash, `_1` for a dot."""
    files: dict[str, str | bytes | None] = {
        "corpus.jsonl": lines(*CORPUS),
        "queries.jsonl": lines(*QUERIES),
        "qrels/test.tsv": QRELS,
    }
    files |= {name.replace("__", "/") + (".tsv" if "__" in name else ".jsonl"): content for name, content in changed.items()}
    return {name: content for name, content in files.items() if content is not None}


def triples(judgements: Judgements) -> list[tuple[int, int, int]]:
    return list(zip(judgements.query_rows.tolist(), judgements.document_rows.tolist(), judgements.grades.tolist(), strict=True))


def complaint(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_collection(str(path), TextOptions(**options))
    return str(caught.value)


# What is read


def test_a_folder_as_beir_has_it(tmp_path: Path) -> None:
    """Ids in file order, an empty title is missing, a missing text is empty, grade 0 is kept: that pair was looked at."""
    collection = load_collection(str(put(tmp_path / "mine", beir())))
    assert (collection.name, collection.language) == ("mine", "english")
    assert collection.documents == Vocabulary("item", ["1", "2", "3"])
    assert collection.queries == Vocabulary("query", ["q1", "q2"])
    assert collection.query_texts == ("what lifts", "what heats")
    assert list(collection.item_table) == ["title", "text"]
    assert collection.item_table["title"].isna().tolist() == [False, True, False]
    assert collection.item_table["text"].tolist() == ["lift and drag", "heat", ""]
    assert {part: triples(judged) for part, judged in collection.judged.items()} == {"test": [(0, 0, 1), (0, 2, 0), (1, 1, 2)]}
    assert collection.candidates == {}


def test_documents_alone_are_a_collection(tmp_path: Path) -> None:
    """Without a judgement there is no query either; search by words needs none."""
    collection = load_collection(str(put(tmp_path, beir(queries=None, qrels__test=None))))
    assert (collection.num_documents, len(collection.queries), collection.judged) == (3, 0, {})


def test_metadata_become_typed_columns(tmp_path: Path) -> None:
    """Both other keys and BEIR's object `metadata`; a key whose name is taken says where it is from; mixed kinds become text."""
    records = [
        {"_id": 1, "text": "a", "lang": "en", "metadata": {"year": 1999, "tags": ["x", "y"], "text": "clash"}, "mixed": 1},
        {"_id": 2, "text": "b", "metadata": {"year": None, "share": 0.5, "open": True}, "mixed": "one", "wide": 2**63},
        {"_id": 3, "text": "c", "metadata": None, "mixed": {"k": [1]}, "wide": 1},
    ]
    table = load_collection(str(put(tmp_path, beir(corpus=lines(*records), queries=None, qrels__test=None)))).item_table
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {
        "text": "str",
        "lang": "str",
        "year": "Int64",
        "tags": "object",
        "metadata_text": "str",
        "share": "Float64",
        "open": "boolean",
        "mixed": "str",
        "wide": "str",
    }
    assert table["year"].tolist()[0] == 1999
    assert table["tags"][0] == ["x", "y"]
    assert table["mixed"].tolist() == ["1", "one", '{"k":[1]}']
    assert table["wide"].tolist()[1:] == ["9223372036854775808", "1"]
    table.to_parquet(tmp_path / "table.parquet")


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
            max_leaves=4,
        ),
        max_size=5,
    )
)
def test_any_json_becomes_a_column_that_parquet_holds(values: list[Any]) -> None:
    """A bundle keeps metadata as Parquet, so no mixture of values may break it; missing stays missing."""
    values = [value for value in values if _fits(value)]
    column = json_column(values)
    assert column.isna().tolist() == [value is None for value in values]
    pd.DataFrame({"column": column}).to_parquet("/dev/null")


def _fits(value: object) -> bool:
    """Whether JSON as it is read could hold the value: its numbers end at 64 bits."""
    match value:
        case int():
            return -(2**63) <= value < 2**64
        case list():
            return all(map(_fits, value))
        case dict():
            return all(map(_fits, value.values()))
        case _:
            return True


def test_metadata_take_no_name_that_means_something_else(tmp_path: Path) -> None:
    """Bundles keep ids in a column `id`, and a document is found by its `title` and `text`."""
    records = [{"_id": "a", "id": "7", "text": "x", "metadata": {"title": "not the document's own"}}]
    collection = load_collection(str(put(tmp_path, beir(corpus=lines(*records), queries=None, qrels__test=None))))
    assert collection.documents.ids == ("a",)
    assert list(collection.item_table) == ["text", "metadata_title"]
    assert collection.texts() == ["x"]


def test_windows_files_read_the_same(tmp_path: Path) -> None:
    """With byte order mark, carriage returns and blank lines."""
    plain = load_collection(str(put(tmp_path / "a", beir())))
    altered = {name: b"\xef\xbb\xbf" + str(content).replace("\n", "\r\n\r\n").encode() for name, content in beir().items()}
    other = load_collection(str(put(tmp_path / "b", altered)))
    assert other.fingerprint(other.judged["test"]) == plain.fingerprint(plain.judged["test"])


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_plain_files_of_documents(tmp_path: Path, form: str) -> None:
    """The same documents in four forms; usual names of columns are recognised, numbers and lists become what they are."""
    frame = pd.DataFrame(
        {"doc_id": ["7", "8"], "headline": ["1941", "B"], "body": ['say "x",\nthen y', "z"], "year": [1979, 1999]}
    )
    path = tmp_path / f"mine.{form}"
    match form:
        case "parquet":
            frame.to_parquet(path)
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
        case _:
            frame.to_csv(path, index=False, sep="," if form == "csv" else "\t")
    collection = load_collection(str(path))
    assert collection.name == "mine"
    assert collection.documents.ids == ("7", "8")
    assert collection.item_table["title"].tolist() == ["1941", "B"]
    assert collection.item_table["text"].tolist() == ['say "x",\nthen y', "z"]
    assert collection.item_table["year"].tolist() == [1979, 1999]
    assert list(collection.item_table) == ["title", "text", "year"]


def test_parquet_files_with_types_of_their_own(tmp_path: Path) -> None:
    """Numbers and dates as texts, text as bytes, categories, and metadata in an object with lists; a list is no text."""
    dates = pd.to_datetime(["2020-01-01", "2021-01-01"])
    texts: list[Any] = [[5, 6], [b"caf\xc3\xa9", b"y"], pd.Categorical(["x", "y"]), dates, [True, False]]
    wanted = [["5", "6"], ["café", "y"], ["x", "y"], ["2020-01-01", "2021-01-01"], ["True", "False"]]
    path = tmp_path / "mine.parquet"
    for column, found in zip(texts, wanted, strict=True):
        pd.DataFrame({"id": [1.0, 2.0], "text": column}).to_parquet(path)
        collection = load_collection(str(path))
        assert (collection.documents.ids, collection.texts()) == (("1", "2"), found)
    metadata = [{"year": 1, "tags": ["a"], "text": "x"}, {"year": None, "tags": [], "text": "y"}]
    pd.DataFrame({"id": ["a", "b"], "text": ["x", "y"], "metadata": metadata, "day": dates}).to_parquet(path)
    table = load_collection(str(path)).item_table
    assert table["tags"].tolist() == [["a"], []]
    assert list(table) == ["text", "year", "tags", "metadata_text", "day"]
    table.to_parquet(tmp_path / "again.parquet")
    pd.DataFrame({"id": ["a"], "text": [["x"]]}).to_parquet(path)
    assert "no text (column 'text') in 1 row (row 1: " in complaint(path)


def test_options_say_which_column_is_which(tmp_path: Path) -> None:
    """A title that is another column, no title at all, other separators, no header, another encoding."""
    put(tmp_path, {"d.csv": "key;what;long;text\n1;A;one;x\n2;B;two;y\n", "bare.tsv": "1\tone\n2\ttwo\n"})
    named = TextOptions(id_column="key", title_column="what", text_column="long", separator=";", language="german")
    collection = load_collection(str(tmp_path / "d.csv"), named)
    assert collection.texts() == ["A one", "B two"]
    assert collection.language == "german"
    assert collection.item_table["other_text"].tolist() == ["x", "y"]
    bare = load_collection(str(tmp_path / "bare.tsv"), TextOptions(header=False))
    assert (bare.documents.ids, bare.texts()) == (("1", "2"), ["one", "two"])
    (tmp_path / "latin.csv").write_bytes("id,title,text\n1,x,café\n".encode("latin-1"))
    latin = load_collection(str(tmp_path / "latin.csv"), TextOptions(encoding="latin-1", title_column="none"))
    assert latin.texts() == ["café"]
    assert latin.item_table["other_title"].tolist() == ["x"]


@pytest.mark.parametrize("queries", ["q.jsonl", "q.tsv", "head.tsv", "q.csv"])
@pytest.mark.parametrize("qrels", ["trec.txt", "beir.tsv"])
def test_plain_files_take_queries_and_judgements_apart(tmp_path: Path, queries: str, qrels: str) -> None:
    """TREC's files and BEIR's, each with the same content; quotes in a tab-separated query are its own."""
    put(
        tmp_path,
        {
            "d.tsv": "id\ttext\n1\ta\n2\tb\n3\tc\n",
            "q.jsonl": lines({"_id": "q1", "text": 'say "a'}, {"_id": "q2", "text": "b"}),
            "q.tsv": 'q1\tsay "a\nq2\tb\n',
            "head.tsv": 'qid\tquery\nq1\tsay "a\nq2\tb\n',
            "q.csv": 'qid,query\nq1,"say ""a"\nq2,b\n',
            "trec.txt": "q1 0 1 1\nq1  0\t3 0\nq2 Q0 2 -1\n",
            "beir.tsv": "query-id\tcorpus-id\tscore\nq1\t1\t1\nq1\t3\t0\nq2\t2\t-1.0\n",
        },
    )
    collection = load_collection(str(tmp_path / "d.tsv"), TextOptions(queries=tmp_path / queries, qrels=tmp_path / qrels))
    assert collection.query_texts == ('say "a', "b")
    assert triples(collection.judged["all"]) == [(0, 0, 1), (0, 2, 0), (1, 1, 0)]


def test_judgements_in_a_folder_are_parts(tmp_path: Path) -> None:
    put(tmp_path, beir(qrels__dev="query-id\tcorpus-id\tscore\nq2\t1\t1\n") | {"d.csv": "id,text\n1,a\n2,b\n3,c\n"})
    options = TextOptions(queries=tmp_path / "queries.jsonl", qrels=tmp_path / "qrels")
    assert set(load_collection(str(tmp_path / "d.csv"), options).judged) == {"dev", "test"}


def test_grades_below_the_least_one_count_as_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Negative grades, which TREC gives to spam, are 0 and said to be; `min_grade` takes lower grades away; repeats count once."""
    qrels = QRELS + "q1\t2\t-2\nq1\t1\t1\n"
    folder = put(tmp_path, beir(qrels__test=qrels))
    with caplog.at_level("INFO"):
        plain = load_collection(str(folder))
    assert triples(plain.judged["test"]) == [(0, 0, 1), (0, 2, 0), (1, 1, 2), (0, 1, 0)]
    assert "1 negative grades count as 0" in caplog.text
    assert "1 repeated judgements left out" in caplog.text
    strict = load_collection(str(folder), TextOptions(min_grade=2))
    assert triples(strict.judged["test"].positives) == [(1, 1, 2)]
    assert "impossible; expected 1 or more" in complaint(folder, min_grade=0)


def test_parquets_dates_are_times(tmp_path: Path) -> None:
    """What is filtered by a range of dates is a column of times, also where a value is missing or before pandas's nanoseconds begin."""
    days = [date(2020, 1, 1), None, date(1066, 10, 14)]
    path = tmp_path / "d.parquet"
    pd.DataFrame({"id": ["a", "b", "c"], "text": ["x", "y", "z"], "day": pd.Series(days, dtype="object")}).to_parquet(path)
    column = load_collection(str(path)).item_table["day"]
    assert pd.api.types.is_datetime64_any_dtype(column.dtype)
    assert [None if pd.isna(value) else value.date() for value in column] == days


def test_candidates_carry_the_grades_of_their_part(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By hand: (q1, 1) has grade 1, (q1, 2) is not judged, (q2, 2) has 2; the repeated pair stands there once."""
    candidates = "query-id\tcorpus-id\nq1\t2\nq1\t1\nq2\t2\nq1\t2\n"
    with caplog.at_level("INFO"):
        collection = load_collection(str(put(tmp_path, beir(candidates__test=candidates))))
    assert triples(collection.candidates["test"]) == [(0, 1, 0), (0, 0, 1), (1, 1, 2)]
    assert "1 repeated candidates left out" in caplog.text


def test_empty_documents_can_be_kept(tmp_path: Path) -> None:
    folder = put(tmp_path, beir(corpus=lines(*CORPUS, {"_id": "4", "title": " ", "text": ""})))
    assert "--keep-empty" in complaint(folder)
    assert load_collection(str(folder), TextOptions(keep_empty=True)).num_documents == 4


def test_a_folder_called_like_a_public_collection_does_not_pass_for_it(tmp_path: Path) -> None:
    """Terms and splits go by the name."""
    assert load_collection(str(put(tmp_path / "scifact", beir()))).name == "scifact (folder)"


# What is wrong

TROUBLES: dict[str, tuple[dict[str, str | bytes | None], str]] = {
    "an unknown document": (
        {"qrels__test": QRELS + "q1\t77\t1\n"},
        r"qrels/test\.tsv: a document that does not exist in 1 line \(line 5: '77'\); expected the id of one of the 3 documents such as '1'",
    ),
    "an unknown query": (
        {"qrels__test": QRELS + "q9\t1\t1\nq8\t1\t1\n"},
        r"a query that does not exist in 2 lines \(line 5: 'q9'; line 6: 'q8'\); expected the id of one of the 2 queries",
    ),
    "an unknown candidate": (
        {"candidates__test": "query-id\tcorpus-id\nq1\t77\n"},
        r"candidates/test\.tsv: a document that does not exist in 1 line \(line 2: '77'\)",
    ),
    "an answer that is no candidate": (
        {"candidates__test": "query-id\tcorpus-id\nq1\t1\n"},
        r"candidates/test\.tsv lacks 1 answers, the first one is query 'q2', document '2'",
    ),
    "a grade of parts": (
        {"qrels__test": QRELS + "q2\t1\t0.5\nq2\t3\tgood\n"},
        r"a grade that is no whole number in 2 lines \(line 5: '0\.5'; line 6: 'good'\); expected a whole number",
    ),
    "two grades for a pair": (
        {"qrels__test": QRELS + "q1\t1\t2\n"},
        r"stands there with another grade in 1 line \(line 5: 'q1 1 2'\); expected one grade for each pair",
    ),
    "too few fields": (
        {"qrels__test": QRELS + "q1\t1\n"},
        r"another number of fields in 1 line \(line 5: 2 fields\); expected query-id, corpus-id and score",
    ),
    "no header": ({"qrels__test": "q1\t1\t1\n"}, r"line 1: 3 fields\); expected .* or BEIR's header `query-id corpus-id score` first"),
    "another header": ({"qrels__test": "query\tdoc\trel\nq1\t1\t1\n"}, r"line 1 is 'query\\tdoc\\trel'; expected the header 'query-id corpus-id score'"),
    "a header alone": ({"qrels__test": "query-id\tcorpus-id\tscore\n"}, r"is empty: it has no line but its header"),
    "no judgement with an id": ({"qrels__test": QRELS + "\t1\t1\n"}, r"no query id \(column 'query'\) in 1 line \(line 5: ''\)"),
    "no queries": ({"queries": None}, r"queries\.jsonl: no such file"),
    "a document twice": (
        {"corpus": lines(*CORPUS, {"_id": 1, "text": "again"})},
        r"corpus\.jsonl: a document id that stands there already \(column '_id'\) in 1 line \(line 4: '1'\); expected a line for each document",
    ),
    "a query twice": (
        {"queries": lines(*QUERIES, QUERIES[0])},
        r"queries\.jsonl: a query id that stands there already \(column '_id'\) in 1 line \(line 3: 'q1'\)",
    ),
    "empty documents": (
        {"corpus": lines(*CORPUS, {"_id": "4", "title": " ", "text": ""}, {"_id": "5"})},
        r"a document without a word in 2 lines \(line 4: '4'; line 5: '5'\); expected a title or a text in every one",
    ),
    "an empty query": ({"queries": lines(*QUERIES, {"_id": "q3", "text": " "})}, r"a query without a word in 1 line \(line 3: 'q3'\)"),
    "missing ids": (
        {"corpus": lines(*CORPUS, {"text": "x"}, {"_id": None, "text": "y"}, {"_id": " ", "text": "z"})},
        r"no document id \(column '_id'\) in 3 lines \(line 4: missing; line 5: missing; line 6: ' '\)",
    ),
    "no ids at all": ({"corpus": lines({"key": "1", "text": "x"})}, r"no column for the id; it has 'key', 'text'; expected one of _id, id"),
    "no texts at all": ({"corpus": lines({"_id": "1", "words": "x"})}, r"no column for the text; it has '_id', 'words'; expected one of text, body"),
    "an id that is a list": ({"corpus": lines(*CORPUS, {"_id": ["4"], "text": "x"})}, r"no document id \(column '_id'\) in 1 line \(line 4: "),
    "a text that is a list": ({"corpus": lines(*CORPUS, {"_id": "4", "text": ["x"]})}, r"no text \(column 'text'\) in 1 line \(line 4: "),
    "broken lines": (
        {"corpus": lines(*CORPUS, '{"_id":', "[1]", "", '"x"')},
        r"no JSON object in 3 lines \(line 4: unexpected end of data; line 5: a JSON array; line 7: a JSON text\)",
    ),
    "one array": ({"corpus": json.dumps(CORPUS, indent=1)}, r"is one JSON array; expected a JSON object in each line"),
    "other text": ({"corpus": lines(*CORPUS).encode() + b'{"_id": "4", "text": "\xe9"}\n'}, r"text that is not utf-8 in 1 line \(line 4\); JSON is always UTF-8"),
    "UTF-16": ({"corpus": lines(*CORPUS).encode("utf-16")}, r"is not UTF-8 but UTF-16 from line 1 on; JSON is always UTF-8"),
    "other text in judgements": ({"qrels__test": QRELS.encode() + b"q\xff\t1\t1\n"}, r"text that is not utf-8 in 1 line \(line 5\); save it as UTF-8"),
    "nothing": ({"corpus": ""}, r"corpus\.jsonl is empty \(0 bytes\)"),
    "blank lines": ({"corpus": "\n\n"}, r"corpus\.jsonl is empty: it has blank lines only"),
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_wrong_is_one_message(tmp_path: Path, trouble: str) -> None:
    """File, what was found, in how many lines and which, what was expected."""
    changed, words = TROUBLES[trouble]
    told = complaint(put(tmp_path, beir(**changed)))
    assert re.search(words, told), told
    assert str(tmp_path) in told
    assert "\n" not in told


def test_a_message_shows_five_lines_and_counts_the_rest(tmp_path: Path) -> None:
    told = complaint(put(tmp_path, beir(qrels__test=QRELS + "".join(f"q1\t{row}\t1\n" for row in range(100, 110)))))
    assert "in 10 lines (line 5: '100'; line 6: '101'; line 7: '102'; line 8: '103'; line 9: '104' …)" in told


def test_what_a_path_can_lack(tmp_path: Path) -> None:
    """No corpus, no file, an unclear form, judgements without queries, options that mean nothing to a folder."""
    put(tmp_path, {"d.txt": "x", "d.csv": "id,text\n1,a\n", "r.txt": "q1 0 1 1\n", "empty/qrels/readme.txt": "x"})
    assert "has no corpus.jsonl; expected a folder with corpus.jsonl" in complaint(tmp_path)
    assert "no such file or folder" in complaint(tmp_path / "nothing.csv")
    assert "the form of a file that ends in '.txt' is not clear; expected one of .jsonl" in complaint(tmp_path / "d.txt")
    assert "give them with --queries FILE" in complaint(tmp_path / "d.csv", qrels=tmp_path / "r.txt")
    assert "has no column 'words'; it has 'id', 'text'; correct --text-column" in complaint(
        tmp_path / "d.csv", text_column="words"
    )
    assert "one column cannot be two of id, title and text" in complaint(tmp_path / "d.csv", title_column="text")
    folder = put(tmp_path / "empty", beir(qrels__test=None))
    assert "has no file PART.tsv" in complaint(folder)
    told = complaint(folder, queries=tmp_path / "q.tsv", encoding="latin-1")
    assert "--encoding, --queries: only for plain files of documents" in told
    with pytest.raises(DataError, match="there are scifact, cranfield, wikiqa, or give the path"):
        load_collection("scifacts")


# The real ones


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "counts", "judged", "candidates"),
    [
        ("scifact", (5183, 1109), {"train": (809, 919), "test": (300, 339)}, {}),
        ("cranfield", (1400, 225), {"all": (225, 1837)}, {}),
        (
            "wikiqa",
            (26196, 3047),
            {"train": (873, 1040), "dev": (126, 140), "test": (243, 293)},
            {"train": (2118, 20358), "dev": (296, 2732), "test": (633, 6160)},
        ),
    ],
)
def test_the_public_collections_have_their_published_counts(
    data_dir: Path,
    name: str,
    counts: tuple[int, int],
    judged: dict[str, tuple[int, int]],
    candidates: dict[str, tuple[int, int]],
) -> None:
    """As their papers say; eight of WikiQA's 29,258 candidates stand there twice and are counted once here."""
    collection = load_collection(name)
    assert (collection.num_documents, len(collection.queries)) == counts
    found = [
        {part: (len(pairs.queries), len(pairs)) for part, pairs in parts.items()}
        for parts in (collection.judged, collection.candidates)
    ]
    assert found == [judged, candidates]
    assert collection.name == name
    for part, pairs in collection.candidates.items():
        assert set(triples(pairs.positives)) == set(triples(collection.judged[part]))


@pytest.mark.data
def test_the_two_empty_abstracts_of_cranfield_are_kept(data_dir: Path) -> None:
    """Its figures in the literature count all 1,400; from its folder a person is asked."""
    collection = load_collection("cranfield")
    assert [collection.documents.id(row) for row, text in enumerate(collection.texts()) if not text.strip()] == ["471", "995"]
    assert "line 471: '471'; line 995: '995'" in complaint(data_dir / "cranfield")


@pytest.mark.data
def test_named_collections_take_no_columns(data_dir: Path) -> None:
    with pytest.raises(DataError, match="--text-column: only for plain files"):
        load_collection("scifact", TextOptions(text_column="text"))
    german = load_collection("cranfield", TextOptions(language="german", min_grade=2))
    assert isinstance(german, Collection)
    assert german.language == "german"
    assert len(german.judged["all"].positives) == 1837 - 588
