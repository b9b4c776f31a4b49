"""Ids of answers: new, not to be guessed, and in the order of time."""

from __future__ import annotations

import re
from time import sleep

from app.api.middleware import new_request_id


def test_ids_are_unlike_each_other() -> None:
    """All have 32 hexadecimal digits; of ten thousand none is there twice, and the last 20 digits are all over their range."""
    ids = {new_request_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)
    assert {one[12] for one in ids} == set("0123456789abcdef")


def test_later_ids_are_greater() -> None:
    """The first 12 digits are the milliseconds since 1970: what is written later stands at the end of an index of them."""
    ids = []
    for _ in range(20):
        ids.append(new_request_id())
        sleep(0.002)
    assert ids == sorted(ids)
