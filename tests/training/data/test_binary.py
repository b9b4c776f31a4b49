"""Files of binary rows: every way they can be right, and one message for every way they can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.data.binary import BinaryData, load_binary, read_rows
from training.errors import DataError


def write(base: Path, train: str = "0,1\n1,1\n", valid: str = "0,0\n", test: str = "1,0\n") -> str:
    base.parent.mkdir(parents=True, exist_ok=True)
    for part, text in (("train", train), ("valid", valid), ("test", test)):
        base.with_name(f"{base.name}.{part}.data").write_text(text)
    return str(base)


@pytest.mark.parametrize("deep", [False, True])
def test_three_parts_lie_beside_each_other_or_in_a_folder_of_their_name(tmp_path: Path, deep: bool) -> None:
    """FOLDER/NAME.train.data or FOLDER/NAME/NAME.train.data; asked for as FOLDER/NAME alike."""
    write(tmp_path / "mine" / "mine" if deep else tmp_path / "mine")
    data = load_binary(str(tmp_path / "mine"))
    assert (data.name, data.num_dimensions, data.num_rows) == ("mine", 2, {"train": 2, "valid": 1, "test": 1})
    assert [rows.tolist() for rows in (data.train_ND, data.valid_ND, data.test_ND)] == [[[0, 1], [1, 1]], [[0, 0]], [[1, 0]]]
    assert {rows.dtype for rows in (data.train_ND, data.valid_ND, data.test_ND)} == {np.dtype(np.uint8)}


def test_a_byte_order_mark_blanks_blank_lines_and_other_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "rows.data"
    path.write_bytes(b"\xef\xbb\xbf\r\n0, 1,\t1\r\n\r\n1,0,0\r1,1,1")
    assert read_rows(path).tolist() == [[0, 1, 1], [1, 0, 0], [1, 1, 1]]


def test_the_digits_are_cut_alike_every_time() -> None:
    """1,797 images of 64 pixels, no image in two parts."""
    data = load_binary("digits")
    assert data.num_dimensions == 64
    assert data.num_rows == {"train": 1199, "valid": 299, "test": 299}
    assert 0.2 < data.train_ND.mean() < 0.5
    assert set(np.unique(data.train_ND)) == {0, 1}
    assert load_binary("digits").fingerprint() == data.fingerprint()


def test_the_fingerprint_knows_every_part_and_its_shape() -> None:
    rows_ND = np.array([[0, 1], [1, 1]], dtype=np.uint8)
    base = BinaryData("x", rows_ND, rows_ND, rows_ND)
    others = [
        BinaryData("x", 1 - rows_ND, rows_ND, rows_ND),
        BinaryData("x", rows_ND, 1 - rows_ND, rows_ND),
        BinaryData("x", rows_ND, rows_ND, 1 - rows_ND),
        BinaryData("x", rows_ND[:1], np.concatenate([rows_ND[1:], rows_ND]), rows_ND),
    ]
    assert len({data.fingerprint() for data in [base, *others]}) == 5
    assert base.without_test().test_ND.shape == (0, 2)


def complaint(spec: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        load_binary(str(spec))
    return str(caught.value)


@pytest.mark.parametrize("spec", ["none", "", ".", "/", "none/mine"])
def test_data_that_are_not_there_are_named_with_what_was_looked_for(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = complaint(spec)
    assert f"no binary data {spec!r}" in said
    assert "give FOLDER/NAME, or digits" in said


def test_the_name_of_a_file_is_answered_with_the_name_of_the_data(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    assert complaint(tmp_path / "mine.train.data").endswith(f"give {tmp_path / 'mine'}")


def test_two_places_are_one_too_many(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    write(tmp_path / "mine" / "mine")
    assert f"give {tmp_path / 'mine' / 'mine'} for the second" in complaint(tmp_path / "mine")
    assert load_binary(str(tmp_path / "mine" / "mine")).name == "mine"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\n \n", "is empty: it has blank lines only"),
        (b"0,1\n0,2\n", "values other than 0 and 1 in 1 line (line 2: '2' in column 2)"),
        (b"0,1\n\nx,1\n1,0.5\n", "values other than 0 and 1 in 2 lines (line 3: 'x' in column 1; line 4: '0.5' in column 2)"),
        (b"0,1\n1,\n", "values other than 0 and 1 in 1 line (line 2: nothing in column 2)"),
        (b"01,1\n", "values other than 0 and 1 in 1 line (line 1: '01' in column 1)"),
        (b"0 1\n", "values other than 0 and 1 in 1 line (line 1: '01' in column 1)"),
        (b"0,1\n" + b"2,1\n" * 7, "in 7 lines (line 2: '2' in column 1; line 3: '2' in column 1;"),
        (b"0,1\n0,1,1\n\n0\n", "another number of values in 2 lines (line 2: 3 values; line 4: 1 value); expected 2 values as in line 1"),
        (b"0,1\n0,\xe9\n", r"values other than 0 and 1 in 1 line (line 2: '\\xe9' in column 2)"),
        ("0,1\n".encode("utf-16"), "is UTF-16 from line 1 on"),
        (b"0,\0\n", "values other than 0 and 1 in 1 line (line 1: '\\x00' in column 2)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_file_that_cannot_be_used_is_one_message_with_its_lines(content: bytes, said: str, part: str, tmp_path: Path) -> None:
    """File, lines, count, and what was expected."""
    write(tmp_path / "mine")
    path = tmp_path / f"mine.{part}.data"
    path.write_bytes(content)
    message = complaint(tmp_path / "mine")
    assert message.startswith(str(path))
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_a_part_that_is_missing_or_a_folder_is_named(part: str, tmp_path: Path) -> None:
    write(tmp_path / "mine")
    path = tmp_path / f"mine.{part}.data"
    path.unlink()
    assert complaint(tmp_path / "mine") == f"{path}: no such file"
    path.mkdir()
    assert complaint(tmp_path / "mine").startswith(f"{path} is a folder; expected a file")


def test_parts_of_different_width_are_refused(tmp_path: Path) -> None:
    message = complaint(write(tmp_path / "mine", valid="0,1,1\n"))
    train, valid = tmp_path / "mine.train.data", tmp_path / "mine.valid.data"
    assert message == f"{valid}: line 1 has 3 values where {train} has 2; the three parts must have the same columns"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "num_rows", "dimensions"),
    [("mushrooms", (2000, 500, 5624), 112), ("dna", (1600, 400, 1186), 180), ("nips", (400, 100, 1240), 500)],
)
def test_the_data_of_the_papers_are_read(name: str, num_rows: tuple[int, int, int], dimensions: int, data_dir: Path) -> None:
    """Rows and columns as the papers count them."""
    if not (data_dir / "binary" / name).is_dir():
        pytest.skip(f"no binary/{name} in {data_dir}")
    data = load_binary(str(data_dir / "binary" / name))
    assert tuple(data.num_rows.values()) == num_rows
    assert data.num_dimensions == dimensions
