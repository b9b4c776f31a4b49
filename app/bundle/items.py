"""Item tables: what of an item's metadata is text that can be searched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def item_texts(item_table: pd.DataFrame) -> list[str]:
    """What is searched of each item: its title, then every other text, word of a list, and whole number, in the columns' order."""
    names = [name for name in item_table.columns if name != "id"]
    names.sort(key=lambda name: name != "title")
    columns = [[_text(value) for value in item_table[name].tolist()] for name in names]
    return [" ".join(filter(None, values)) for values in zip(*columns, strict=True)] if columns else [""] * len(item_table)


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return ""
        case int():
            return str(value)
        case list() | tuple() | np.ndarray():
            return " ".join(map(_text, value))
        case _:
            return ""  # missing, a measure, a date: nothing that anybody types
