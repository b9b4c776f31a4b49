"""Binary rows for density estimation, already cut in three: files of 0 and 1, or the digits that come with scikit-learn.

Shapes: N rows, D dimensions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.data.text import SHOWN, check_is_file, trouble
from training.errors import DataError

DIGITS = "digits"
"""The name of scikit-learn's 8 × 8 handwritten digits."""
PARTS = ("train", "valid", "test")

_HALF_INK = 8
"""Of 16 grey levels: a pixel counts as set from here on."""
_SUFFIX = ".data"
_BLANKS = b" \t"


@dataclass(frozen=True, slots=True, eq=False)
class BinaryData:
    """Rows of zeros and ones: to learn from, to choose by, and to test on once.

    Attributes:
        name: of the data set.
        train_ND, valid_ND, test_ND: uint8, 0 or 1; files give at least one row each.
    """

    name: str
    train_ND: np.ndarray
    valid_ND: np.ndarray
    test_ND: np.ndarray

    @property
    def num_dimensions(self) -> int:
        """D."""
        return int(self.train_ND.shape[1])

    @property
    def num_rows(self) -> dict[str, int]:
        """Rows of each part."""
        return {"train": len(self.train_ND), "valid": len(self.valid_ND), "test": len(self.test_ND)}

    def without_test(self) -> BinaryData:
        """The same with no test row, for who must not see one."""
        return replace(self, test_ND=self.test_ND[:0])

    def fingerprint(self) -> str:
        """SHA-256 of all three parts, in hexadecimal."""
        digest = hashlib.sha256()
        for rows_ND in (self.train_ND, self.valid_ND, self.test_ND):
            digest.update(repr(rows_ND.shape).encode())
            digest.update(np.ascontiguousarray(rows_ND).tobytes())
        return digest.hexdigest()


def load_binary(spec: str) -> BinaryData:
    """The data set that `spec` names.

    Args:
        spec: `digits`, or FOLDER/NAME for the files `FOLDER/NAME.train.data`, `.valid.data` and `.test.data`, which may also lie one
            folder deeper, as `FOLDER/NAME/NAME.train.data`. A line is a row: 0 or 1, separated by commas.

    Raises:
        DataError: a file is missing or cannot be used; one message with file and lines.
    """
    if spec == DIGITS:
        return _digits()
    base = Path(spec)
    name = base.resolve().name
    flat, deep = ({part: folder / f"{name}.{part}{_SUFFIX}" for part in PARTS} for folder in (base.parent, base))
    there = [paths for paths in (flat, deep) if any(path.exists() for path in paths.values())]
    if not name or not there:
        looked = " or ".join(str(paths["train"]) for paths in (flat, deep))
        hint = f"give {base.with_name(name.split('.')[0])}" if base.is_file() else "give FOLDER/NAME, or digits"
        raise DataError(f"no binary data {spec!r}: there is no {looked}; {hint}")
    if len(there) > 1:
        raise DataError(f"{spec!r} means {flat['train']} or {deep['train']}; give {base / name} for the second, or remove one")
    rows = {part: read_rows(path) for part, path in there[0].items()}
    width = rows["train"].shape[1]
    for part, rows_ND in rows.items():
        if rows_ND.shape[1] != width:
            raise DataError(
                f"{there[0][part]}: line 1 has {rows_ND.shape[1]:,} values where {there[0]['train']} has {width:,}; "
                "the three parts must have the same columns"
            )
    return BinaryData(name, rows["train"], rows["valid"], rows["test"])


def read_rows(path: Path) -> np.ndarray:
    """The rows of one file, uint8 [N, D].

    Raises:
        DataError: no such file, empty, not text, a value that is neither 0 nor 1, or lines of different length.
    """
    check_is_file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    remedy = "expected rows of 0 and 1 separated by commas"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is UTF-16 from line 1 on; {remedy}, in ASCII or UTF-8")
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").translate(None, _BLANKS)
    numbered = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line]
    if not numbered:
        raise DataError(f"{path} is empty: it has blank lines only; {remedy}")
    bad = [(number, line) for number, line in numbered if line.translate(None, b"01,")]
    bad = bad or [(number, line) for number, line in numbered if set(map(len, line.split(b","))) != {1}]
    if bad:
        where = [f"line {number}: {_first_bad(line)}" for number, line in bad[:SHOWN]]
        raise trouble(path, count=len(bad), unit="line", where=where, found="values other than 0 and 1", remedy=remedy)
    first, width = numbered[0][0], len(numbered[0][1])
    ragged = [(number, len(line) // 2 + 1) for number, line in numbered if len(line) != width]
    if ragged:
        where = [f"line {number}: {values} value{'' if values == 1 else 's'}" for number, values in ragged[:SHOWN]]
        found = "another number of values"
        remedy = f"expected {width // 2 + 1} values as in line {first}; correct or remove these lines"
        raise trouble(path, count=len(ragged), unit="line", where=where, found=found, remedy=remedy)
    cells_NC = np.frombuffer(b"".join(line for _, line in numbered), dtype=np.uint8).reshape(len(numbered), width)
    return cells_NC[:, ::2] - np.uint8(ord("0"))


def _first_bad(line: bytes) -> str:
    """The first value of a line that is neither 0 nor 1, and its place."""
    place, value = next((place, value) for place, value in enumerate(line.split(b","), 1) if value not in {b"0", b"1"})
    text = value.decode("utf-8", errors="backslashreplace")
    return f"{text[:20]!r} in column {place}" if text else f"nothing in column {place}"


def _digits() -> BinaryData:
    """Every sixth row is of the test, the one before it of the validation; writers are in all three parts."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import

    grey_ND = load_digits().data
    rows_ND = (grey_ND >= _HALF_INK).astype(np.uint8)
    place_N = np.arange(len(rows_ND)) % 6
    return BinaryData(DIGITS, rows_ND[place_N < 4], rows_ND[place_N == 4], rows_ND[place_N == 5])
