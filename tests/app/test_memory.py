"""What the C library is told of memory."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from app import memory

MAPPED, KEPT, ARENAS = -3, -1, -8


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The last value of each parameter."""
    values: dict[int, int] = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=values.__setitem__))
    monkeypatch.setattr(memory, "_mapped_from", memory._mapped_from[:1])
    for name in memory._VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    return values


def test_scores_of_all_items_get_no_pages_of_their_own(told):
    """Of the largest release: a smaller one beside it changes nothing, and few items need nothing."""
    memory.settle()
    assert told == {ARENAS: 2, MAPPED: 2**18}
    memory.expect(20_000)
    assert told[MAPPED] == 2**18 > 20_000 * 8
    memory.expect(1_000_000)
    memory.expect(50_000)
    assert told[MAPPED] == 16_000_000 and told[KEPT] == 64_000_000
    memory.expect(10**8)
    assert told[MAPPED] == 2**25


def test_what_the_environment_says_counts(told, monkeypatch):
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")
    memory.settle()
    memory.expect(1_000_000)
    assert MAPPED not in told and told[KEPT] == 64_000_000


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    monkeypatch.setattr(memory, "_mapped_from", memory._mapped_from[:1])
    memory.settle()
    memory.expect(10**8)
