"""Candidates with features: what is read from SVMlight files, what is wrong with them, and how queries are cut."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import (
    FeatureData,
    JudgedFeatures,
    default_feature_split,
    load_features,
    make_feature_splits,
)
from training.data import svmlight as module
from training.data.svmlight import read_svmlight
from training.errors import ConfigError, DataError

GOOD = "2 qid:1 1:0.5 2:1 #docid = A inc = 1\n0 qid:1 1:.25 #docid = B\n1 qid:x 2:3e-2 # C\n"


def file(folder: Path, content: str | bytes, name: str = "mine.txt") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def features(*queries: str, num_features: int = 2) -> JudgedFeatures:
    """Two candidates for each query."""
    num = 2 * len(queries)
    return JudgedFeatures(
        queries,
        np.arange(0, num + 1, 2, dtype=np.int64),
        np.arange(num * num_features, dtype=np.float32).reshape(num, num_features),
        np.arange(num, dtype=np.int64) % 2,
        tuple(f"{query}-{at}" for query in queries for at in range(2)),
    )


# Files


def test_a_file_by_hand(tmp_path: Path) -> None:
    """What a line does not name is 0; the document is what `docid =` says, or a comment of one word."""
    data = load_features(str(file(tmp_path, GOOD)))
    assert (data.name, list(data.parts), data.num_features) == ("mine", ["all"], 2)
    judged = data.parts["all"]
    assert judged.query_ids == ("1", "x")
    assert judged.offsets.tolist() == [0, 2, 3]
    assert judged.grades.tolist() == [2, 0, 1]
    assert judged.document_ids == ("A", "B", "C")
    assert judged.query_rows.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(judged.features_NF, np.array([[0.5, 1], [0.25, 0], [0, 0.03]], dtype=np.float32))
    assert judged.features_NF.dtype == np.float32


def test_what_does_not_matter_in_a_file(tmp_path: Path) -> None:
    """Comments, blank lines, tabs, carriage returns, a byte order mark, the order of features, a line without any."""
    plain, _ = read_svmlight(file(tmp_path, GOOD + "0 qid:y\n"))
    odd = (
        "# by somebody\n\n2\tqid:1\t2:1.0  1:5e-1 #docid=A\n0 qid:1 1:0.25\t#docid = B\n1 qid:x 2:0.03 #C\n0 qid:y #two words\n"
    )
    other, _ = read_svmlight(file(tmp_path, b"\xef\xbb\xbf" + odd.replace("\n", "\r\n").encode()))
    assert other.fingerprint() == plain.fingerprint()


def test_negative_grades_count_as_none(tmp_path: Path) -> None:
    judged, _ = read_svmlight(file(tmp_path, "-1 qid:1 1:1\n+2 qid:1 1:1\n1.0 qid:1 1:2\n"))
    assert judged.grades.tolist() == [0, 2, 1]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 4),
            st.dictionaries(st.integers(1, 9), st.floats(-1e6, 1e6, width=32, allow_subnormal=False), max_size=5),
        ),
        min_size=1,
        max_size=12,
    ),
    block=st.sampled_from([1, 2, 5, 2**14]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, dict[int, float]]], block: int
) -> None:
    """Any sparse rows come back exactly, whatever the size of the blocks that lines are taken apart in."""
    if not any(values for _, values in rows):
        return
    path = tmp_path_factory.mktemp("svm") / "mine.txt"
    lines = [
        f"{grade} qid:q{at // 3} " + " ".join(f"{number}:{value!r}" for number, value in values.items())
        for at, (grade, values) in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        judged, is_full = read_svmlight(path)
    width = max(number for _, values in rows for number in values)
    wanted = np.zeros((len(rows), width), dtype=np.float32)
    for at, (_, values) in enumerate(rows):
        for number, value in values.items():
            wanted[at, number - 1] = value
    np.testing.assert_array_equal(judged.features_NF, wanted)
    assert judged.grades.tolist() == [grade for grade, _ in rows]
    assert np.diff(judged.offsets).tolist() == [len(rows[start : start + 3]) for start in range(0, len(rows), 3)]
    assert is_full == all(len(values) == width for _, values in rows)


TROUBLES: dict[str, tuple[str | bytes, str]] = {
    "feature 0": ("1 qid:z 0:1", r"a feature number out of range in 1 line \(line 4: 0\); expected whole numbers from 1 to 10,000"),
    "a negative feature": ("1 qid:z 1:1 -2:1", r"a feature number out of range in 1 line \(line 4: -2\)"),
    "too large a feature": ("1 qid:z 10001:1", r"a feature number out of range in 1 line \(line 4: 10001\)"),
    "half a feature": ("1 qid:z 1.5:1", r"a feature number out of range in 1 line \(line 4: 1\.5\)"),
    "a feature twice": ("1 qid:z 2:1 1:1 2:3", r"a feature that stands there already in 1 line \(line 4: 2\)"),
    "no number": ("1 qid:z 1:1 2:abc", r"no pair of a feature's number and its value in 1 line \(line 4: '2:abc'\)"),
    "a number of another kind": ("1 qid:z 1:1_0", r"line 4: '1:1_0'"),
    "no value": ("1 qid:z 1:1 2: 3", r"line 4: '2:'"),
    "no colon": ("1 qid:z 1:1 2", r"line 4: '2'"),
    "two colons and none": ("1 qid:z 1:1:2 3", r"line 4: '1:1:2'"),
    "not a number": ("1 qid:z 1:nan", r"a feature that is no finite number in 1 line \(line 4: nan\)"),
    "infinite": ("1 qid:z 1:1e39", r"a feature that is no finite number in 1 line \(line 4: 1e\+39\)"),
    "no query": ("1 1:0.5 2:1", r"no query \(qid:\) after the grade in 1 line \(line 4: '1:0\.5'\); expected `grade qid:query"),
    "a grade alone": ("1", r"no query \(qid:\) after the grade in 1 line \(line 4: '1'\)"),
    "an empty query": ("1 qid: 1:1", r"no query \(qid:\) after the grade in 1 line \(line 4: 'qid:'\)"),
    "a grade of parts": ("0.5 qid:z 1:1", r"a grade that is no whole number in 1 line \(line 4: '0\.5'\)"),
    "a grade in words": ("good qid:z 1:1", r"a grade that is no whole number in 1 line \(line 4: 'good'\)"),
    "a query again": ("1 qid:1 1:1", r"a query that was there before, other queries in between, in 1 line \(line 4: '1'\); .* sort the file by query"),
    "a document twice": ("1 qid:x 1:1 #docid = C", r"a document that its query has already in 1 line \(line 4: 'C'\)"),
    "other text": (b"1 qid:\xff 1:1", r"text that is not utf-8 in 1 line \(line 4\); save it as UTF-8$"),
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_wrong_with_a_line_is_one_message(tmp_path: Path, trouble: str) -> None:
    """The same message from a file taken apart in one block or line by line."""
    line, words = TROUBLES[trouble]
    path = file(tmp_path, GOOD.encode() + (line if isinstance(line, bytes) else line.encode()) + b"\n")
    told = []
    for block in (2**14, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_BLOCK", block)
            with pytest.raises(DataError) as caught:
                load_features(str(path))
        told.append(str(caught.value))
    assert re.search(words, told[0]), told[0]
    assert told[0] == told[1]
    assert str(path) in told[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "is empty"), ("# a\n", "it has comments only"), ("1 qid:1\n2 qid:2 #docid = A\n", "no line has a feature")],
)
def test_files_without_candidates_or_features(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_features(str(file(tmp_path, content)))


def test_a_folder_has_a_file_for_each_part(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """LETOR calls its validation file `vali`; a file that names no later feature has zeros there; a readme is none."""
    file(tmp_path, GOOD, "train.txt")
    file(tmp_path, "0 qid:7 1:1\n1 qid:7 3:1\n", "vali.txt")
    file(tmp_path, "1 qid:8 1:1 2:1 3:1\n", "test.txt")
    file(tmp_path, "hello", "README.txt")
    with caplog.at_level("INFO"):
        data = load_features(str(tmp_path))
    assert {part: judged.features_NF.shape for part, judged in data.parts.items()} == {
        "train": (3, 3),
        "valid": (2, 3),
        "test": (1, 3),
    }
    assert data.parts["train"].features_NF[:, 2].tolist() == [0, 0, 0]
    assert "names no feature after 2; those up to 3 are 0 in it" in caplog.text


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    """Every line of one file has two features, of the other three: not sparse, but other features."""
    file(tmp_path / "a", "1 qid:1 1:1 2:0\n", "train.txt")
    file(tmp_path / "a", "1 qid:8 1:1 2:1 3:1\n", "test.txt")
    with pytest.raises(DataError, match=r"train\.txt has 2 features in every line where .*test\.txt has 3"):
        load_features(str(tmp_path / "a"))
    file(tmp_path / "b", GOOD, "vali.txt")
    file(tmp_path / "b", GOOD, "valid.txt")
    with pytest.raises(DataError, match="are both the part valid; remove one of them"):
        load_features(str(tmp_path / "b"))
    (tmp_path / "c" / "Fold1").mkdir(parents=True)
    with pytest.raises(DataError, match=r"has no file that ends in \.txt, .*; give one of its folders Fold1"):
        load_features(str(tmp_path / "c"))
    with pytest.raises(DataError, match="there are letor-mq2008, or give the path"):
        load_features("letor")


# Splits


def test_five_parts_of_letor_make_its_five_folds() -> None:
    """LETOR 4.0: fold 1 trains on S1, S2, S3, validates on S4, tests on S5; fold 2 on S2, S3, S4, S5, S1; and so on."""
    data = FeatureData("made-up", {f"S{k}": features(f"q{k}") for k in range(1, 6)})
    splits = make_feature_splits(data)
    assert default_feature_split(data) == "given"
    assert [(split.train.query_ids, split.valid.query_ids, split.test.query_ids) for split in splits] == [
        (("q1", "q2", "q3"), ("q4",), ("q5",)),
        (("q2", "q3", "q4"), ("q5",), ("q1",)),
        (("q3", "q4", "q5"), ("q1",), ("q2",)),
        (("q4", "q5", "q1"), ("q2",), ("q3",)),
        (("q5", "q1", "q2"), ("q3",), ("q4",)),
    ]
    assert splits[1].parameters == {"folds": 5, "fold": 1, "train": ["S2", "S3", "S4"], "valid": "S5", "test": "S1"}
    (one,) = make_feature_splits(data, fold=3)
    assert one.parameters == splits[3].parameters
    assert one.train.offsets.tolist() == [0, 2, 4, 6]
    assert one.train.document_ids == ("q4-0", "q4-1", "q5-0", "q5-1", "q1-0", "q1-1")


def test_given_parts_are_taken_as_they_are() -> None:
    """Without a validation part a fifth of the training queries becomes one, by the seed."""
    three = FeatureData("made-up", {"train": features("a", "b"), "valid": features("c"), "test": features("d")})
    (split,) = make_feature_splits(three)
    assert split.parameters == {"given_train": 2, "given_valid": 1, "given_test": 1}
    assert (split.train.query_ids, split.valid.query_ids, split.test.query_ids) == (("a", "b"), ("c",), ("d",))
    two = FeatureData("made-up", {"train": features(*"abcdefghij"), "test": features("z")})
    seen = set()
    for seed in range(5):
        (split,) = make_feature_splits(two, seed=seed)
        assert len(split.valid.query_ids) == 2
        assert sorted(split.train.query_ids + split.valid.query_ids) == list("abcdefghij")
        assert split.parameters["seed"] == seed
        seen.add(split.valid.query_ids)
    assert len(seen) > 1


@settings(max_examples=40, deadline=None)
@given(num_queries=st.integers(4, 20), folds=st.integers(2, 6), seed=st.integers(0, 1000))
def test_folds_test_on_every_query_once(num_queries: int, folds: int, seed: int) -> None:
    """Three parts, no query in two of them, all of them together everything; candidates stay with their query."""
    if folds > num_queries:
        return
    names = tuple(f"q{row}" for row in range(num_queries))
    data = FeatureData("made-up", {"all": features(*names)})
    assert default_feature_split(data) == "kfold"
    splits = make_feature_splits(data, seed=seed, folds=folds)
    again = make_feature_splits(data, seed=seed, folds=folds)
    assert sorted(query for split in splits for query in split.test.query_ids) == sorted(names)
    for split, other in zip(splits, again, strict=True):
        parts = (split.train, split.valid, split.test)
        assert all(part.num_queries for part in parts)
        assert sorted(query for part in parts for query in part.query_ids) == sorted(names)
        for part in parts:
            assert part.document_ids == tuple(f"{query}-{at}" for query in part.query_ids for at in range(2))
        assert [part.fingerprint() for part in parts] == [part.fingerprint() for part in (other.train, other.valid, other.test)]


def test_what_the_data_do_not_allow_is_said() -> None:
    """A query in two parts, fewer queries than folds, no test part, one query to learn from, impossible settings."""
    shared = FeatureData("made-up", {"train": features("a", "b"), "test": features("b")})
    for name in ("given", "kfold"):
        with pytest.raises(DataError, match="1 queries are in two parts, the first one is 'b' in train and test"):
            make_feature_splits(shared, name)
    few = FeatureData("made-up", {"all": features("a", "b", "c")})
    with pytest.raises(DataError, match="3 queries cannot be cut in 5 folds"):
        make_feature_splits(few)
    with pytest.raises(
        DataError, match="brings no split of its own: its parts are all, and not train and test; use the split kfold"
    ):
        make_feature_splits(few, "given")
    with pytest.raises(DataError, match="no query can be set apart for validation out of 1; give more"):
        make_feature_splits(FeatureData("made-up", {"train": features("a"), "test": features("b")}))
    for wrong in ({"name": "random"}, {"folds": 1}, {"fold": 5}, {"seed": -1}):
        with pytest.raises(ConfigError):
            make_feature_splits(few, **({"name": "kfold"} | wrong))  # type: ignore[arg-type]


@pytest.mark.data
def test_mq2008_has_its_published_counts(data_dir: Path) -> None:
    """784 queries with 15,211 documents and 46 features; the first line of S1, read by eye."""
    data = load_features("letor-mq2008")
    assert sorted(data.parts) == ["S1", "S2", "S3", "S4", "S5"]
    assert sum(part.num_queries for part in data.parts.values()) == 784
    assert sum(len(part.grades) for part in data.parts.values()) == 15_211
    assert {part.num_features for part in data.parts.values()} == {46}
    first = data.parts["S1"]
    assert (first.query_ids[0], first.document_ids[0]) == ("10002", "GX008-86-4444840")
    assert first.features_NF[0, [0, 2, 45]].tolist() == np.array([0.007477, 1, 0.007042], dtype=np.float32).tolist()
    splits = make_feature_splits(data)
    assert [split.test.num_queries for split in splits] == [156, 157, 157, 157, 157]
    lines = sum(len((data_dir / "letor-mq2008" / f"S{k}.txt").read_text().splitlines()) for k in range(1, 6))
    assert lines == 15_211
