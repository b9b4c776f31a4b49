"""Ctrl-C at a moment when it does no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Let Ctrl-C take effect after the block.

    An exception can strike between any two instructions. Some places do not bear it: TensorBoard's writer hands points to a thread
    through a queue, and if it is torn there nobody wakes the thread, for which closing the writer then waits; a file descriptor
    that was just closed is closed again, and the error is no longer a Ctrl-C; what strikes in a finaliser is lost.
    """
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield  # Ctrl-C is ignored, or strikes another thread
        return
    struck: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: struck.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if struck:
            handler(signal.SIGINT, struck[0])
