"""Requests wait for the store, but not for ever; what only computes has threads of its own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import Future

import pytest

from app.api import waiting
from app.api.waiting import computed, stored
from app.store import StoreBusy, StoreUnusable


def test_a_store_that_does_not_answer_is_given_up_and_what_has_not_begun_is_not_done(monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.05)
    begun: Future[int] = Future()
    begun.set_running_or_notify_cancel()
    not_begun: Future[int] = Future()

    async def wait(work: Future[int]) -> int:
        return await stored(asyncio.wrap_future(work), undone="send it again")

    for work in (begun, not_begun):
        with pytest.raises(StoreBusy, match=r"did not answer in 0\.05 s; send it again"):
            asyncio.run(wait(work))
    assert not_begun.cancelled() and not begun.cancelled()
    begun.set_result(1)  # nobody waits for it any more, and nobody minds


def test_what_the_store_says_in_time_is_passed_on():
    async def wait(work: Future[int]) -> int:
        return await stored(asyncio.wrap_future(work), undone="")

    good: Future[int] = Future()
    good.set_result(3)
    bad: Future[int] = Future()
    bad.set_exception(StoreUnusable("away"))
    assert asyncio.run(wait(good)) == 3
    with pytest.raises(StoreUnusable, match="away"):
        asyncio.run(wait(bad))


def test_a_ranking_does_not_wait_for_what_waits():
    """All of the loop's own threads are taken; and what is known of the request goes along."""
    variable = contextvars.ContextVar("variable", default="unset")
    is_over = threading.Event()

    async def both() -> str:
        variable.set("set")
        waits = [asyncio.create_task(asyncio.to_thread(is_over.wait, 60)) for _ in range(64)]
        await asyncio.sleep(0)
        try:
            return await asyncio.wait_for(computed(lambda name: f"{name} {variable.get()}", "variable"), 30)
        finally:
            is_over.set()
            await asyncio.gather(*waits)

    assert asyncio.run(both()) == "variable set"
