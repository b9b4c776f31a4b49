"""Questions that wait at the same time are answered together: one scan of the items serves them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from app.retrieval import Ranking

Question = TypeVar("Question")
Answers = Callable[[list[Question]], list[Ranking]]


class Gathering:
    """Collects what is asked in one turn of the event loop and answers it in the next; nobody waits for company."""

    def __init__(self) -> None:
        # A method of a release, and what is asked of it; of two releases only while one takes over from the other.
        self._waiting: dict[Answers[Any], list[tuple[Any, asyncio.Future[Ranking]]]] = {}

    async def ask(self, answers: Answers[Question], question: Question) -> Ranking:
        """The answer to one question.

        Args:
            answers: what answers several at once, in their order.
            question: what is asked of it.

        Raises:
            Exception: whatever `answers` raises of this question alone; the others waiting get their answers.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._answer)
        future: asyncio.Future[Ranking] = loop.create_future()
        self._waiting.setdefault(answers, []).append((question, future))
        return await future

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for answers, asked in waiting.items():
            still = [(question, future) for question, future in asked if not future.done()]  # callers may have gone
            try:
                rankings = answers([question for question, _ in still])
            except Exception:
                for question, future in still:
                    _answer_alone(answers, question, future)
            else:
                for (_, future), ranking in zip(still, rankings, strict=True):
                    future.set_result(ranking)


def _answer_alone(answers: Answers[Question], question: Question, future: asyncio.Future[Ranking]) -> None:
    try:
        ranking = answers([question])[0]
    except Exception as error:  # it belongs to whoever asked
        future.set_exception(error)
    else:
        future.set_result(ranking)
