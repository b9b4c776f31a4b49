"""Files with a JSON object a line, as tables.

Shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from training.data.tables import Table
from training.data.text import SHOWN, read_text, trouble
from training.errors import DataError

JSON_SUFFIXES = (".jsonl", ".ndjson")

_INT64 = 2**63
_DTYPES: tuple[tuple[set[type], str], ...] = (({str}, "str"), ({bool}, "boolean"), ({int}, "Int64"), ({int, float}, "Float64"))
"""The first that holds all kinds of a column's values; text holds any."""


class JsonLinesFile:
    """A file with a JSON object a line; its keys are the columns, and values stay as JSON has them.

    Args:
        path: the file, in UTF-8 as JSON always is.

    Raises:
        DataError: no such file, nothing in it, not text, or lines that are no JSON objects.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head = "the file"
        content = read_text(path, remedy="JSON is always UTF-8; save it so")
        records: list[dict[str, Any]] = []
        numbers: list[int] = []
        bad: list[tuple[int, str]] = []
        for number, line in enumerate(content.split(b"\n"), 1):
            if not line or line.isspace():
                continue
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                bad.append((number, error.msg.partition(":")[0]))
                continue
            if type(record) is dict:
                records.append(record)
                numbers.append(number)
            else:
                bad.append((number, f"a JSON {_KINDS.get(type(record), 'value')}"))
        if bad and content.lstrip().startswith(b"["):
            raise DataError(
                f"{path} is one JSON array; expected a JSON object in each line: write each element on a line of its own"
            )
        if bad:
            where = [f"line {number}: {reason}" for number, reason in bad[:SHOWN]]
            remedy = 'expected a JSON object in each line, such as {"_id": "1", "text": "…"}; correct or remove these lines'
            raise trouble(path, count=len(bad), unit="line", where=where, found="no JSON object", remedy=remedy)
        self._records = records
        self._numbers = np.array(numbers, dtype=np.int64)
        self.names = key_names(records)

    def read(self, columns: list[str]) -> Table:
        """Some of the columns, all rows; a key that a line lacks is missing there."""
        frame = pd.DataFrame(
            {name: pd.Series([record.get(name) for record in self._records], dtype=object) for name in columns},
            index=range(len(self._records)),
        )
        return Table(self.path, frame, "line", lambda positions: self._numbers[positions], values="json")


_KINDS = {list: "array", str: "text", int: "number", float: "number", bool: "truth value", type(None): "null"}


def key_names(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """All keys, in the order in which they first appear."""
    names: dict[str, None] = {}
    for record in records:
        if record.keys() - names.keys():
            names.update(dict.fromkeys(record))
    return list(names)


def json_column(values: list[Any]) -> pd.Series:
    """JSON values as one column that Parquet can hold: text, whole numbers, numbers, truth values, or lists of one of these.

    Where kinds are mixed, all become text, and objects become their JSON.
    """
    values = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]  # Parquet's lists within objects
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {list}:
        inner = {type(element) for value in values if value for element in value}
        if len(inner) > 1 or inner & {list, dict}:
            values = [value and [as_text(element) for element in value] for value in values]
        return pd.Series(values, dtype=object)
    is_wide = int in kinds and any(isinstance(value, int) and not -_INT64 <= value < _INT64 for value in values)
    dtype = next((dtype for wanted, dtype in _DTYPES if kinds <= wanted), "str")
    if dtype == "str" or is_wide:
        return pd.Series([None if value is None else as_text(value) for value in values], dtype="str")
    return pd.Series(values, dtype=dtype)


def as_text(value: Any) -> str:
    """A JSON value as people write it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY).decode()
