"""How the process gets memory from the system and gives it back: a service holds old and new releases for a moment, time after time."""

from __future__ import annotations

import ctypes
import os

_ARENAS, _MAPPED_FROM, _KEPT = -8, -3, -1
"""Parameters of glibc's `mallopt`, as its malloc.h numbers them."""
_SETTINGS = {
    _ARENAS: ("MALLOC_ARENA_MAX", 2),
    _MAPPED_FROM: ("MALLOC_MMAP_THRESHOLD_", 4 * 2**20),
    _KEPT: ("MALLOC_TRIM_THRESHOLD_", 16 * 2**20),
}
"""By parameter, the variable that sets it from outside, and what a service wants: a number of arenas, then bytes.

An array that is mapped costs the kernel its pages each time: scores of all items, which a request makes and drops, must not be. Half a million of
them in double precision fit below the limit, and the vectors of a small bundle are above it.
"""


def settle() -> None:
    """Have memory that a release took go back to the system when the release goes; before there are threads.

    By itself glibc gives each thread that loads releases a heap of its own, and once a large array was freed it takes such arrays from the
    heaps too, where they leave holes; Arrow's allocators keep what a table took that was read once. A service grew by two thirds over
    its first swaps. What the environment says of these counts.
    """
    import pyarrow as pa  # noqa: PLC0415 - nothing else here needs it

    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library, which has its own ways
    for parameter, (variable, value) in _SETTINGS.items():
        if variable not in os.environ:
            mallopt(parameter, value)
