"""What requests wait for: a ranking, on threads that nothing else takes, and the store, but not for ever."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from app.store import StoreBusy

Result = TypeVar("Result")

PATIENCE_SECONDS = 10.0
"""A store that is locked is given up after 5 s, and who comes meanwhile has the next turn. What takes longer than two of them hangs."""

# As many as the loop's own threads. Those wait for disks and for the store, and where it is away all of them may: no ranking shall then.
_ranking = ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 4), thread_name_prefix="ranking")


async def computed(work: Callable[..., Result], *arguments: Any) -> Result:
    """What a function gives that only computes, beside the event loop.

    Args:
        work: waits for nothing but the processor.
        arguments: of the function.
    """
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_ranking, partial(context.run, work, *arguments))


async def stored(work: Awaitable[Result], *, undone: str) -> Result:
    """What the store gives, if it does so in time.

    Args:
        work: its answer; it is cancelled where it has not begun when nobody waits for it any more.
        undone: what is to be said of work that may still be done: what sending it again would do.

    Raises:
        StoreBusy: it takes longer than `PATIENCE_SECONDS`.
        StoreUnusable: whatever else `work` raises.
    """
    try:
        return await asyncio.wait_for(work, PATIENCE_SECONDS)
    except TimeoutError as error:
        raise StoreBusy(f"the store did not answer in {PATIENCE_SECONDS:g} s; {undone}") from error
