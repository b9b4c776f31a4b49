"""Who answers a question: the release of the variant that was assigned, several whose answers are to be mixed, or the champion."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, TypeVar

from app.api.metrics import Metrics
from app.experiments.plan import Assigned, Part
from app.releases import LiveRelease, Release

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
Wanted = TypeVar("Wanted", bound=Release)

CHAMPION = "champion"
"""What answers in the place of a variant whose release does not."""
OUTSIDE = b'"experiment":null,"variant":null'
"""What answers outside of experiments say."""


@dataclass(slots=True)
class Turn(Generic[Wanted, Answer]):
    """What ranked.

    Attributes:
        assigned: the part in an experiment, if any.
        answers: of the release that answered, one; of all variants in their order where they are to be mixed.
        is_fallback: whether the champion answered in a variant's place.
        milliseconds: of a question that was asked together with others, its part of the time that they took; None of one by itself.
    """

    assigned: Assigned | None
    answers: Sequence[tuple[Wanted, Answer]]
    is_fallback: bool = False
    milliseconds: float | None = None

    @property
    def release(self) -> Wanted:
        """What answered; of several, the control's."""
        return self.answers[0][0]

    @property
    def named(self) -> bytes:
        """The JSON fields that tell the part in an experiment."""
        return OUTSIDE if self.assigned is None else self.assigned.part.named

    @property
    def is_mixed(self) -> bool:
        """Whether there are several answers to be mixed."""
        return len(self.answers) > 1


class Turns:
    """Asks releases.

    Args:
        metrics: where it is counted that the champion answers in a variant's place.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._failed: dict[str, str] = {}

    async def ranked(
        self,
        assigned: Assigned | None,
        live: LiveRelease,
        champion: Wanted,
        suits: Callable[[Release], bool],
        ask: Callable[[Any], Awaitable[Answer]],
    ) -> Turn[Wanted, Answer]:
        """Ask what the unit is assigned to; where that fails, the champion.

        Args:
            assigned: the part in an experiment.
            live: holds the releases.
            champion: what answers outside of experiments.
            suits: whether a release answers this kind of question.
            ask: asks a release.

        Raises:
            Exception: whatever `ask` raises of the champion.
        """
        if assigned is None:
            return Turn(None, ((champion, await ask(champion)),))
        part = assigned.part
        try:
            releases = self._releases(part, live, suits)
            if part.method is None:
                return Turn(assigned, ((releases[0], await ask(releases[0])),))
            answers = await asyncio.gather(*map(ask, releases))
        except Exception as error:  # whatever it is: if the question is to blame, the champion says so
            answer = await ask(champion)
            self._fell_back(part, champion, error)
            return Turn(assigned, ((champion, answer),), is_fallback=True)
        return Turn(assigned, list(zip(releases, answers, strict=True)))

    async def continued(
        self,
        names: Sequence[str],
        assigned: Assigned | None,
        live: LiveRelease,
        suits: Callable[[Release], bool],
        ask: Callable[[Any], Awaitable[Answer]],
    ) -> Turn[Any, Answer] | None:
        """Ask what has answered before; None where that is there no more.

        Args:
            names: NAME/VERSION of the releases.
            assigned: the part in an experiment; it is left out where other releases than these stand for it.
            live: holds the releases.
            suits: whether a release answers this kind of question.
            ask: asks a release.

        Raises:
            Exception: whatever `ask` raises.
        """
        releases = [release for name in names if (release := live.find(name)) is not None and suits(release)]
        if len(releases) < len(names):
            return None
        answers = list(zip(releases, await asyncio.gather(*map(ask, releases)), strict=True))
        if assigned is None or assigned.part.releases == tuple(names):
            return Turn(assigned, answers)
        return Turn(assigned, answers, is_fallback=True) if releases == [live.current] else Turn(None, answers)

    def taken_together(
        self,
        assigned: Sequence[Assigned | None],
        live: LiveRelease,
        champion: Wanted,
        suits: Callable[[Release], bool],
    ) -> list[Sequence[Any] | Exception]:
        """The releases that each of several questions is to be asked of, or why they cannot be; before they wait for anything.

        An experiment may end meanwhile, and its releases go.

        Args:
            assigned: of each question.
            live: holds the releases.
            champion: what answers outside of experiments.
            suits: whether a release answers this kind of question.
        """
        taken: list[Sequence[Any] | Exception] = []
        for one in assigned:
            try:
                taken.append([champion] if one is None else self._releases(one.part, live, suits))
            except _NotReady as error:
                taken.append(error)
        return taken

    def ranked_together(
        self,
        assigned: Sequence[Assigned | None],
        taken: Sequence[Sequence[Any] | Exception],
        champion: Wanted,
        ask: Callable[[Any, list[int]], Sequence[Answer]],
        *,
        began: float,
    ) -> list[Turn[Wanted, Answer]]:
        """The same for several questions: each release is asked once, for all that it is to answer; where it fails, for fewer at a time.

        Args:
            assigned: of each question.
            taken: what `taken_together` says of them.
            champion: what answers outside of experiments.
            ask: asks a release the questions with these numbers.
            began: when the questions came, by `perf_counter`.

        Raises:
            Exception: whatever `ask` raises of the champion.
        """
        errors = {number: one for number, one in enumerate(taken) if isinstance(one, Exception)}
        plans = [[champion] if isinstance(one, Exception) else one for one in taken]
        found: dict[int, dict[int, Answer]] = {id(champion): {}}
        seconds = [0.0] * len(assigned)

        def have_answered(release: Any, numbers: list[int]) -> None:
            started = perf_counter()
            if release is champion:
                answers = dict(zip(numbers, ask(release, numbers), strict=True))
            else:
                answers = _answered_in_parts(ask, release, numbers, errors)
            found.setdefault(id(release), {}).update(answers)
            each = (perf_counter() - started) / len(numbers)
            for number in numbers:
                seconds[number] += each

        for release in {id(release): release for plan in plans for release in plan}.values():
            have_answered(release, [number for number, plan in enumerate(plans) if any(release is one for one in plan)])
        again = [number for number, plan in enumerate(plans) if number in errors and champion not in plan]
        if again:
            have_answered(champion, again)
        turns: list[Turn[Wanted, Answer]] = []
        rest = (perf_counter() - began - sum(seconds)) / len(assigned)
        for number, (one, plan) in enumerate(zip(assigned, plans, strict=True)):
            milliseconds = (seconds[number] + rest) * 1e3
            if one is not None and number in errors:
                self._fell_back(one.part, champion, errors[number])
                answers = [(champion, found[id(champion)][number])]
                turns.append(Turn(one, answers, is_fallback=True, milliseconds=milliseconds))
            else:
                answers = [(release, found[id(release)][number]) for release in plan]
                turns.append(Turn(one, answers, milliseconds=milliseconds))
        return turns

    def _releases(self, part: Part, live: LiveRelease, suits: Callable[[Release], bool]) -> list[Any]:
        found = []
        for name in part.releases:
            release = live.find(name)
            if release is None or not suits(release):
                raise _NotReady(f"release {name} is not loaded, or does not answer this question")
            found.append(release)
        return found

    def _fell_back(self, part: Part, champion: Release, error: Exception) -> None:
        self._metrics.fallback(champion.ranker, CHAMPION)
        kind, variant = type(error).__name__, f"{part.experiment}={part.variant}"
        if self._failed.get(variant) != kind:  # once, not at every answer, each of which may name another item
            logger.error("experiment %s, variant %s: the champion answers: %s: %s", part.experiment, part.variant, kind, error)
        self._failed[variant] = kind


def _answered_in_parts(
    ask: Callable[[Any, list[int]], Sequence[Answer]], release: Any, numbers: list[int], errors: dict[int, Exception]
) -> dict[int, Answer]:
    """The answers to those questions that a release can answer; of the others, the errors are noted.

    Halves are asked by themselves until those that are to blame stand alone.
    """
    try:
        return dict(zip(numbers, ask(release, numbers), strict=True))
    except Exception as error:  # whatever it is, as in `ranked`
        if len(numbers) == 1:
            errors[numbers[0]] = error
            return {}
    half = len(numbers) // 2
    first, second = (_answered_in_parts(ask, release, part, errors) for part in (numbers[:half], numbers[half:]))
    return first | second


class _NotReady(Exception):
    """A release that a variant needs cannot answer."""
