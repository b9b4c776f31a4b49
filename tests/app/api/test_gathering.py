"""Questions asked at the same time are answered together, and each for itself."""

from __future__ import annotations

import asyncio

import pytest

from app.api import Gathering


def test_what_is_asked_in_one_turn_is_answered_by_one_call():
    calls = []

    def answers(questions):
        calls.append(list(questions))
        return [question * 10 for question in questions]

    async def story():
        gathering = Gathering()
        first = await asyncio.gather(*(gathering.ask(answers, n) for n in range(4)))
        return first, await gathering.ask(answers, 9)

    assert asyncio.run(story()) == ([0, 10, 20, 30], 90)
    assert calls == [[0, 1, 2, 3], [9]]


def test_a_question_that_cannot_be_answered_fails_alone():
    def answers(questions):
        if 2 in questions:
            raise ValueError("not two")
        return questions

    async def story():
        gathering = Gathering()
        return await asyncio.gather(*(gathering.ask(answers, n) for n in range(4)), return_exceptions=True)

    told = asyncio.run(story())
    assert [told[n] for n in (0, 1, 3)] == [0, 1, 3]
    assert isinstance(told[2], ValueError)


def test_a_caller_who_has_gone_is_not_answered_and_hinders_nobody():
    async def story():
        gathering = Gathering()
        gone = asyncio.create_task(gathering.ask(list, 1))
        stays = asyncio.create_task(gathering.ask(list, 2))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await stays

    assert asyncio.run(story()) == 2


def test_different_answerers_do_not_mix():
    async def story():
        gathering = Gathering()
        return await asyncio.gather(gathering.ask(list, 1), gathering.ask(lambda asked: [-n for n in asked], 2))

    assert asyncio.run(story()) == [1, -2]
