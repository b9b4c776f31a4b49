"""How the process gets memory from the system and gives it back: a service holds old and new releases for a moment, time after time."""

from __future__ import annotations

import ctypes
import os

_KEPT, _MAPPED_FROM, _ARENAS = -1, -3, -8
"""Parameters of glibc's `mallopt`, as its malloc.h numbers them."""
_VARIABLES = {_KEPT: "MALLOC_TRIM_THRESHOLD_", _MAPPED_FROM: "MALLOC_MMAP_THRESHOLD_", _ARENAS: "MALLOC_ARENA_MAX"}
"""By parameter, the variable that sets it from outside."""
_NUM_ARENAS = 2
_LEAST_MAPPED, _MOST_MAPPED = 256 * 2**10, 32 * 2**20
"""Bytes from which an array gets pages of its own; glibc takes no more than the second."""
_SCORE_BYTES = 8
_mapped_from = [2 * _LEAST_MAPPED]
"""What was asked for; half of it is set until more is needed."""


def settle() -> None:
    """Have memory that a release took go back to the system when the release goes; before there are threads.

    By itself glibc gives each thread that loads releases a heap of its own, and once a large array was freed it takes such arrays from the
    heaps too, where they leave holes; Arrow's allocators keep what a table took that was read once. A service grew by two thirds over
    its first swaps. What the environment says of these counts.
    """
    import pyarrow as pa  # noqa: PLC0415 - nothing else here needs it

    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())
    _set({_ARENAS: _NUM_ARENAS, _MAPPED_FROM: _LEAST_MAPPED})


def expect(num_items: int) -> None:
    """Keep arrays with one score for each item in the heaps, for the largest release so far.

    A request makes and drops some, and with pages of their own sums over them take ten times as long.
    """
    needed = min(2 * _SCORE_BYTES * num_items, _MOST_MAPPED)
    if needed > _mapped_from[-1]:
        _mapped_from.append(needed)
        _set({_MAPPED_FROM: needed, _KEPT: 4 * needed})


def _set(values: dict[int, int]) -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library, which has its own ways
    for parameter, value in values.items():
        if _VARIABLES[parameter] not in os.environ:
            mallopt(parameter, value)
