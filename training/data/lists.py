"""Files with a line for each user: `user item item …`, separated by blanks.

Shapes: N events.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from training.data.tables import Table
from training.data.text import read_text
from training.errors import DataError

_BLANKS = np.array([ord(" "), ord("\t"), ord("\n")], dtype=np.uint8)


def read_lists(path: Path, *, encoding: str = "utf-8") -> Table:
    """Columns `user` and `item` of a file of lists, one row an event; a user alone on a line has no event.

    Raises:
        DataError: no such file, not text, or no event in it.
    """
    content = read_text(path, encoding)
    data = np.frombuffer(content, dtype=np.uint8)
    is_blank = np.isin(data, _BLANKS)
    starts_word = ~is_blank & np.concatenate([[True], is_blank[:-1]])
    line_of_word = np.searchsorted(np.flatnonzero(data == ord("\n")), np.flatnonzero(starts_word)) + 1
    # split() would also split at rarer white space, which the count of words above does not know.
    words = np.array(content.decode("utf-8").replace("\t", " ").replace("\n", " ").split(" "), dtype=object)
    words = words[words != ""]
    is_user = np.concatenate([[True], line_of_word[1:] != line_of_word[:-1]])
    users = words[is_user][np.cumsum(is_user) - 1]
    if is_user.all():
        raise DataError(f"{path} is empty: {len(words):,} lines name a user and no item; expected `user item item …`")
    frame = pd.DataFrame({"user": pd.Series(users[~is_user], dtype="str"), "item": pd.Series(words[~is_user], dtype="str")})
    lines = line_of_word[~is_user]
    return Table(path, frame, "line", lambda positions: lines[positions])
