"""A person's own files: every way they can be right, and one message for every way they can be wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data import Dataset, FileOptions, load_dataset
from training.errors import DataError

GOOD = "user_id,item_id,rating,timestamp\nann,x,5,10\nann,y,2,20\nbob,x,4,30\nbob,z,1,40\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def load(folder: Path, text: str | bytes, name: str = "mine.csv", **options: object) -> Dataset:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_dataset(str(folder / name), FileOptions(**options))  # type: ignore[arg-type]


def events(dataset: Dataset) -> list[tuple[str, str]]:
    data = dataset.interactions
    return [(data.users.id(u), data.items.id(i)) for u, i in zip(data.user_rows, data.item_rows, strict=True)]


def test_a_csv_file_is_read_by_its_usual_names(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Events in file order; ratings of five stars give the threshold 4; every guess is in the log."""
    with caplog.at_level(logging.INFO, logger="training.data"):
        dataset = load(folder, GOOD)
    assert dataset.name == "mine"
    assert events(dataset) == [("ann", "x"), ("ann", "y"), ("bob", "x"), ("bob", "z")]
    data = dataset.interactions
    assert data.ratings is not None
    assert data.times is not None
    assert data.ratings.tolist() == [5, 2, 4, 1]
    assert data.times.tolist() == [10, 20, 30, 40]
    assert data.is_positive.tolist() == [True, False, True, False]
    for guess in (
        "user is 'user_id'",
        "item is 'item_id'",
        "rating is 'rating'",
        "time is 'timestamp'",
        "ratings of 4 and more",
    ):
        assert guess in caplog.text


def test_columns_can_be_named_and_left_alone(folder: Path) -> None:
    """Names that nobody would guess, and a rating column that is to be ignored."""
    text = "who;what;rating;when\n7;8;3;1\n7;9;30;2\n"
    dataset = load(folder, text, user_column="who", item_column="what", rating_column="none", time_column="when", separator=";")
    assert events(dataset) == [("7", "8"), ("7", "9")]
    assert dataset.interactions.ratings is None
    assert dataset.interactions.is_positive.all()


@pytest.mark.parametrize("suffix", ["csv", "tsv", "inter"])
def test_text_files_differ_in_their_separator_only(folder: Path, suffix: str) -> None:
    """RecBole's `.inter` files carry types in their header."""
    header = "user_id:token,item_id:token,rating:float" if suffix == "inter" else "user,item,rating"
    text = f"{header}\na,x,5\na,y,4\n"
    dataset = load(folder, text if suffix == "csv" else text.replace(",", "\t"), f"mine.{suffix}")
    assert events(dataset) == [("a", "x"), ("a", "y")]


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_do_no_harm(folder: Path) -> None:
    text = b"\xef\xbb\xbf\r\nuser,item\r\na,x\r\n\r\na,y\r\n"
    assert events(load(folder, text)) == [("a", "x"), ("a", "y")]


def test_other_encodings_can_be_named(folder: Path) -> None:
    """In Latin-1, é is one byte that UTF-8 does not know alone."""
    assert events(load(folder, "user,item\nAndré,x\nAndré,y\n".encode("latin-1"), encoding="latin-1"))[0] == ("André", "x")
    assert events(load(folder, "user,item\nAndré,x\nAndré,y\n".encode("utf-16"), encoding="utf-16"))[0] == ("André", "x")


def test_without_header_columns_go_by_their_place_if_one_says_so(folder: Path) -> None:
    dataset = load(folder, "1\t5\t3\t100\n1\t6\t5\t200\n", "u.data", header=False, form="tsv")
    assert events(dataset) == [("1", "5"), ("1", "6")]
    assert dataset.interactions.times is not None
    assert dataset.interactions.times.tolist() == [100, 200]


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        (np.array([10, 9], dtype=np.int32), ["9", "10"]),
        (np.array([10.0, 9.0]), ["9", "10"]),
        (np.array([1.5, 2.0]), ["1.5", "2"]),
        (np.array(["b", "a"]), ["a", "b"]),
        (np.array([b"b", b"a"], dtype=object), ["a", "b"]),
        (np.array([True, False]), ["False", "True"]),
        (pd.Series(["b", "a"], dtype="category"), ["a", "b"]),
        (pd.array([2**60, 3], dtype="Int64"), ["3", str(2**60)]),
        (np.array(["010", "10", "9", "1" + 30 * "0"]), ["9", "010", "10", "1" + 30 * "0"]),
        (pd.to_datetime(["2024-01-02", "2024-01-01"]), ["2024-01-01", "2024-01-02"]),
    ],
)
def test_ids_of_any_type_become_text(folder: Path, ids: object, wanted: list[str]) -> None:
    """Whole numbers in decimal, also if they were floats; vocabularies are sorted, numbers by value."""
    frame = pd.DataFrame({"item": ids}).assign(user="u")
    frame.to_parquet(folder / "mine.parquet")
    assert list(load_dataset(str(folder / "mine.parquet")).interactions.items.ids) == wanted


def test_ids_in_text_files_are_text(folder: Path) -> None:
    """Leading zeros survive; only a column in which all ids look like floats of whole numbers loses its `.0`."""
    assert list(load(folder, "user,item\na,007\na,7\n").interactions.items.ids) == ["007", "7"]
    assert list(load(folder, "user,item\na,1.0\na,12.0\n").interactions.items.ids) == ["1", "12"]
    assert list(load(folder, "user,item\na,1.0\na,b\n").interactions.items.ids) == ["1.0", "b"]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (["10", "20"], [10, 20]),
        (["10.9", "20.2"], [10, 20]),
        (["1700000000000", "1700000001500"], [1_700_000_000, 1_700_000_001]),
        (["1970-01-02", "1970-01-01T00:00:07Z"], [86_400, 7]),
        (["1970-01-01 01:00:00+01:00", "1970-01-01T00:00:07.900"], [0, 7]),
    ],
)
def test_times_are_seconds_milliseconds_or_iso_dates(folder: Path, times: list[str], seconds: list[int]) -> None:
    dataset = load(folder, f"user,item,time\na,x,{times[0]}\na,y,{times[1]}\n")
    assert dataset.interactions.times is not None
    assert dataset.interactions.times.tolist() == seconds


def test_whole_numbers_of_a_parquet_table_stay_whole_where_some_are_missing(folder: Path) -> None:
    (folder / "mine.csv").write_text("user,item\nu,a\nu,b\n")
    table = pd.DataFrame(
        {"item": ["a", "b"], "year": pd.array([1996, None], dtype="Int64"), "age": pd.array([3, None], dtype="UInt8")}
    )
    table.to_parquet(folder / "items.parquet")
    read = load_dataset(str(folder / "mine.csv"), FileOptions(items=folder / "items.parquet")).item_table
    assert [str(dtype) for dtype in read.dtypes] == ["Int64", "UInt8"]
    assert read["year"].isna().tolist() == [False, True]


def test_parquet_knows_dates(folder: Path) -> None:
    frame = pd.DataFrame({"user": [1, 1], "item": [1, 2], "date": pd.to_datetime(["1970-01-01 00:01", "1970-01-02 00:00"])})
    frame.to_parquet(folder / "mine.parquet")
    times = load_dataset(str(folder / "mine.parquet")).interactions.times
    assert times is not None
    assert times.tolist() == [60, 86_400]


def test_a_file_of_lists_has_a_line_for_each_user(folder: Path) -> None:
    dataset = load(folder, "2 10 9\n\n1 9 11\n3\n", "mine.txt", form="lists")
    assert events(dataset) == [("2", "10"), ("2", "9"), ("1", "9"), ("1", "11")]
    assert list(dataset.interactions.items.ids) == ["9", "10", "11"]


def test_duplicates_can_be_resolved(folder: Path) -> None:
    """By hand: `first` and `last` go by time (the pair's lines have times 30, 10, 20), `max` by rating, the later among equals."""
    text = "user,item,rating,time\na,x,1,30\na,x,5,10\na,x,5,20\na,y,4,5\n"
    kept = {}
    for policy in ("first", "last", "max"):
        times = load(folder, text, duplicates=policy).interactions.times
        assert times is not None
        kept[policy] = times.tolist()
    assert kept == {"first": [10, 5], "last": [30, 5], "max": [20, 5]}
    assert events(load(folder, "user,item\na,x\na,y\na,x\n", duplicates="last")) == [("a", "y"), ("a", "x")]


def test_short_users_can_be_left_out_or_kept(folder: Path) -> None:
    text = "user,item\na,x\na,y\nb,x\n"
    assert list(load(folder, text, min_interactions=2).interactions.users.ids) == ["a"]
    assert list(load(folder, text, min_interactions=1).interactions.users.ids) == ["a", "b"]


def test_an_item_table_brings_titles_types_and_items_nobody_had(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows in the table's order; an item that it lacks comes last and knows nothing; `|` makes lists, a title stays text."""
    (folder / "items.csv").write_text(
        "id,name,year,genres,price\nz,Zorro,1998,Action|Romance,1.5\nx,1941,1979,,\ny,A|B,,War,2\n"
    )
    with caplog.at_level(logging.INFO, logger="training.data"):
        dataset = load(folder, "user,item\na,x\na,q\n", items=folder / "items.csv")
    assert list(dataset.interactions.items.ids) == ["z", "x", "y", "q"]
    table = dataset.item_table
    assert list(table.columns) == ["title", "year", "genres", "price"]
    assert table["title"].tolist()[:3] == ["Zorro", "1941", "A|B"]
    assert table["year"].tolist()[:2] == [1998, 1979]
    assert table["genres"].tolist()[:3] == [["Action", "Romance"], [], ["War"]]
    assert table["price"].tolist()[0] == 1.5
    assert table.iloc[3].isna().all()
    assert "1 items of" in caplog.text
    assert len(table) == dataset.interactions.num_items


BAD: dict[str, tuple[str | bytes, dict[str, object], list[str]]] = {
    "missing column": ("who,item\na,x\n", {}, ["line 1 has no column for the user", "'who', 'item'", "--user-column"]),
    "misnamed column": (GOOD, {"item_column": "itm"}, ["line 1 has no column 'itm'", "'item_id'", "--item-column"]),
    "no header": ("196,242,3\n186,302,3\n", {}, ["line 1 has no column for the user", "--no-header"]),
    "another separator": ("user;item\na;x\n", {}, ["one column only", "--separator"]),
    "column twice": ("user,item,item\na,x,y\n", {}, ["line 1 names the column 'item' twice"]),
    "non-numeric rating": (
        "user,item,rating\na,x,5\n\na,y,good\na,z,\n",
        {},
        ["no usable rating (column 'rating') in 2 lines", "line 4: 'good'", "line 5: ''", "finite number"],
    ),
    "infinite and NaN ratings": (
        "user,item,rating\na,x,inf\na,y,NaN\na,z,1e300\na,w,4\n",
        {},
        ["in 3 lines", "line 2: 'inf'", "line 3: 'NaN'", "line 4: '1e300'"],
    ),
    "duplicate pair": (
        "user,item,rating\na,x,5\na,y,4\na,x,3\na,x,2\n",
        {},
        ["pair of user and item that stands there already in 2 lines", "line 4: user 'a', item 'x', as line 2", "--duplicates"],
    ),
    "max without ratings": ("user,item\na,x\na,x\n", {"duplicates": "max"}, ["needs a rating column"]),
    "empty file": (b"", {}, ["is empty (0 bytes)"]),
    "blank lines only": ("\n\n \n", {}, ["is empty: it has blank lines only"]),
    "header only": ("user,item\n", {}, ["has a header and no line after it"]),
    "wrong encoding": (
        "user,item\na,x\nAndré,y\nZoë,y\n".encode("latin-1"),
        {},
        ["text that is not utf-8 in 2 lines", "line 3; line 4", "--encoding"],
    ),
    "UTF-16": ("user,item\na,x\n".encode("utf-16"), {}, ["UTF-16", "line 1", "--encoding utf-16"]),
    "unknown encoding": (GOOD, {"encoding": "utf-9"}, ["no encoding 'utf-9'"]),
    "zero bytes": (b"user,item\na,x\nb,\0\n", {}, ["line 3 holds a zero byte"]),
    "a user with one item": (
        "user,item\na,x\na,y\nb,x\nc,x\n",
        {},
        ["one item only", "in 2 lines", "line 4: user 'b'; line 5: user 'c'", "--min-interactions 2"],
    ),
    "nobody with enough": (GOOD, {"min_interactions": 3}, ["no user has 3 interactions", "is 2"]),
    "ragged lines": (
        'user,item,rating\na,"x\ny",5\na,y\n\na,z,4,9\n',
        {},
        ["another number of fields in 2 lines", "line 4: 2 fields; line 6: 4 fields", "expected 3 fields"],
    ),
    "missing ids": (
        "user,item\na,x\n,y\na,nan\n",
        {},
        ["no user id (column 'user') in 1 line ", "line 3: ''"],
    ),
    "missing item ids": (
        "user,item\na,x\na, \na,None\n",
        {},
        ["no item id (column 'item') in 2 lines", "line 3", "line 4: 'None'"],
    ),
    "bad times": ("user,item,time\na,x,1\na,y,2\na,z,soon\n", {}, ["no usable time", "in 1 line ", "line 4: 'soon'"]),
    "bad dates": (
        "user,item,time\na,x,2024-01-01\na,y,2024-13-01\na,z,2024-01-03\n",
        {},
        ["no usable time", "line 3: '2024-13-01'"],
    ),
    "no threshold": ("user,item,rating\na,x,10\na,y,3\n", {}, ["from 3 to 10", "--positive-threshold"]),
    "a threshold that nothing reaches": (
        GOOD,
        {"positive_threshold": 6.0},
        ["no rating reaches the threshold 6", "from 1 to 5"],
    ),
    "a threshold of NaN": (GOOD, {"positive_threshold": float("nan")}, ["no rating reaches the threshold nan"]),
    "a threshold without ratings": ("user,item\na,x\na,y\n", {"positive_threshold": 3.0}, ["--rating-column"]),
    "one column for both": (GOOD, {"user_column": "item_id"}, ["cannot be both user and item"]),
    "columns of a file of lists": (GOOD, {"form": "lists", "user_column": "user_id"}, ["--user-column means nothing"]),
    "lists without items": ("1\n2\n", {"form": "lists"}, ["2 lines name a user and no item"]),
    "an impossible separator": (GOOD, {"separator": "::"}, ["separator '::' is impossible"]),
    "lines of a Windows file": (b"user,item,rating\r\n\r\na,x,5\r\n\r\na,y,bad\r\n", {}, ["line 5: 'bad'"]),
    "lines of an old Mac file": (b"user,item,rating\ra,x,5\ra,y,bad\r", {}, ["line 3: 'bad'"]),
    "lines of a file of lists": (
        "1 x y\n\n2 x y x\n",
        {"form": "lists"},
        ["in 1 line ", "line 3: user '2', item 'x', as line 3"],
    ),
    "impossible least": (GOOD, {"min_interactions": 0}, ["expected 1 or more"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_message_with_file_line_and_count(folder: Path, case: str) -> None:
    """Exit code 2, the file's path first, the wanted words in it, a single line, and nothing written beside the file."""
    text, options, wanted = BAD[case]
    with pytest.raises(DataError) as caught:
        load(folder, text, **options)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    for words in wanted:
        assert words in message
    assert "\n" not in message
    if case not in {"unknown encoding", "an impossible separator", "impossible least"}:
        assert message.startswith(str(folder / "mine.csv"))
    assert [path.name for path in folder.iterdir()] == ["mine.csv"]


def test_a_message_names_the_first_few_lines_and_counts_all(folder: Path) -> None:
    text = "user,item,rating\n" + "".join(f"a,{item},bad\n" for item in range(1200))
    with pytest.raises(DataError, match=r"in 1,200 lines \(line 2: 'bad'; .*line 6: 'bad' …\)"):
        load(folder, text)


def test_what_is_no_file_is_told_apart(folder: Path) -> None:
    (folder / "there.csv").mkdir()
    (folder / "there.parquet").mkdir()
    (folder / "mine.txt").write_text(GOOD)
    for path, words in (
        ("there.csv", "is a folder; expected a file"),
        ("there.parquet", "is a folder; expected a file"),
        ("absent.csv", "no such file"),
        ("mine.txt", "the form of a file that ends in '.txt' is not clear"),
    ):
        with pytest.raises(DataError, match=words):
            load_dataset(str(folder / path))
    with pytest.raises(DataError, match="no data set and no file 'movielens'; there are the data sets movielens-100k"):
        load_dataset("movielens")


def test_a_broken_parquet_file_says_so(folder: Path) -> None:
    """Cut short, not Parquet at all, and damaged in the middle."""
    pd.DataFrame({"user": range(5000), "item": np.random.default_rng(0).integers(0, 9, 5000)}).to_parquet(
        folder / "whole.parquet"
    )
    whole = (folder / "whole.parquet").read_bytes()
    pages = bytearray(whole)
    pages[4:200] = b"\xff" * 196
    for broken in (whole[: len(whole) // 2], GOOD.encode(), bytes(pages)):
        with pytest.raises(DataError, match="Parquet file"):
            load(folder, broken, "mine.parquet")


def test_parquet_rows_are_named_as_rows(folder: Path) -> None:
    pd.DataFrame({"user": ["a", None], "item": ["x", "y"]}).to_parquet(folder / "mine.parquet")
    with pytest.raises(DataError, match=r"no user id \(column 'user'\) in 1 row \(row 2: "):
        load_dataset(str(folder / "mine.parquet"))
    pd.DataFrame({"user": ["a", "a"], "item": ["x", "y"], "rating": [np.nan, np.inf]}).to_parquet(folder / "mine.parquet")
    with pytest.raises(DataError, match=r"no usable rating \(column 'rating'\) in 2 rows \(row 1: nan; row 2: inf\)"):
        load_dataset(str(folder / "mine.parquet"))
    pd.DataFrame({"user": [], "item": []}).to_parquet(folder / "mine.parquet")
    with pytest.raises(DataError, match="has columns and no rows"):
        load_dataset(str(folder / "mine.parquet"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,title\nx,X\nx,Y\n", r"items\.csv: an item id that stands there already \(column 'id'\) in 1 line \(line 3: 'x'\)"),
        ("id,title\n,X\n", r"items\.csv: no item id"),
        ("code,title\nx,X\n", r"items\.csv: line 1 has no column for the item-id.*--item-id-column"),
        ("id,title\nq,X\n", r"none of its 1 ids is an item of .*--item-id-column"),
        ("", r"items\.csv is empty"),
    ],
)
def test_a_bad_item_table_gives_one_message(folder: Path, text: str, words: str) -> None:
    (folder / "items.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        load(folder, GOOD, items=folder / "items.csv")


def test_a_file_called_like_a_public_data_set_does_not_pass_for_it(folder: Path) -> None:
    """Its name decides on the usual split and the terms of use."""
    assert load(folder, GOOD, "movielens-100k.csv").name == "movielens-100k.csv (file)"
