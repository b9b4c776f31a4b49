"""An answer's part in an experiment: which release ranks, what is said of it, and what is written down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from time import perf_counter
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import orjson
from starlette.requests import Request

from app.api.metrics import Metrics
from app.experiments.definition import Surface
from app.experiments.interleaving import Interleaved, Method, interleave
from app.experiments.live import LiveExperiments
from app.experiments.plan import OVERRIDE_FORM, OVERRIDE_HEADER, Assigned, Part, named_by
from app.releases import LiveRelease, Release
from app.store import Impression, ImpressionLog

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
Wanted = TypeVar("Wanted", bound=Release)
Recorded = Literal["experiments", "all", "none"]

_OVERRIDE = OVERRIDE_HEADER.encode()

OVERRIDABLE: dict[str, Any] = {
    "parameters": [
        {
            "name": OVERRIDE_HEADER,
            "in": "header",
            "description": "`EXPERIMENT=VARIANT`, to try a variant; the answer does not count. An experiment that does not run is passed over.",
            "schema": {
                "type": "string",
                "pattern": f"^{OVERRIDE_FORM}$",
                "examples": ["history-or-popular=treatment"],
            },
        }
    ]
}
"""What the OpenAPI document says of ranking routes besides."""
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
    """

    assigned: Assigned | None
    answers: Sequence[tuple[Wanted, Answer]]
    is_fallback: bool = False

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


class Participation:
    """Between the ranking endpoints and what runs.

    Args:
        experiments: that run.
        impressions: where answers are written down.
        metrics: where they are counted.
        recorded: which ones are written down.
    """

    def __init__(
        self, experiments: LiveExperiments, impressions: ImpressionLog, metrics: Metrics, *, recorded: Recorded
    ) -> None:
        self.experiments = experiments
        self._impressions = impressions
        self._metrics = metrics
        self._recorded = recorded
        self._failed: dict[str, str] = {}

    def assigned(self, request: Request, surface: Surface, user: str | None, session: str | None) -> Assigned | None:
        """The part of whoever asks in an experiment.

        Raises:
            QueryInvalid: the header for trying a variant cannot be used.
        """
        plan = self.experiments.plans.get(surface)
        override = None
        for name, value in request.scope["headers"]:  # `request.headers` would make all of them text first
            if name == _OVERRIDE:
                override = value.decode("latin-1")
        if plan is None:
            if override is not None:
                named_by(override)  # what cannot be used is refused whether or not anything runs
            return None
        return plan.assign(user, session, override)

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

    def ranked_together(
        self,
        assigned: Sequence[Assigned | None],
        live: LiveRelease,
        champion: Wanted,
        suits: Callable[[Release], bool],
        ask: Callable[[Any, list[int]], Sequence[Answer]],
    ) -> list[Turn[Wanted, Answer]]:
        """The same for several questions: each release is asked once, for all that it is to answer.

        Args:
            assigned: of each question.
            live: holds the releases.
            champion: what answers outside of experiments.
            suits: whether a release answers this kind of question.
            ask: asks a release the questions with these numbers.
        """
        plans: list[Sequence[Any]] = []
        errors: dict[int, Exception] = {}
        for number, one in enumerate(assigned):
            try:
                plans.append([champion] if one is None else self._releases(one.part, live, suits))
            except _NotReady as error:
                plans.append([champion])
                errors[number] = error
        found: dict[int, dict[int, Answer]] = {}
        for release in {id(release): release for plan in plans for release in plan}.values():
            numbers = [number for number, plan in enumerate(plans) if any(release is one for one in plan)]
            try:
                found[id(release)] = dict(zip(numbers, ask(release, numbers), strict=True))
            except Exception as error:
                if release is champion:
                    raise
                errors |= dict.fromkeys(numbers, error)
        again = [number for number, plan in enumerate(plans) if number in errors and champion not in plan]
        champions = found.setdefault(id(champion), {})
        if again:
            champions |= dict(zip(again, ask(champion, again), strict=True))
        turns: list[Turn[Wanted, Answer]] = []
        for number, (one, plan) in enumerate(zip(assigned, plans, strict=True)):
            if one is not None and number in errors:
                self._fell_back(one.part, champion, errors[number])
                turns.append(Turn(one, ((champion, champions[number]),), is_fallback=True))
            else:
                turns.append(Turn(one, [(release, found[id(release)][number]) for release in plan]))
        return turns

    def records(self, turn: Turn[Any, Any]) -> bool:
        """Count an answer, and tell whether it is to be written down."""
        if turn.assigned is None:
            return self._recorded == "all"
        self._metrics.assigned(turn.assigned.part)
        return self._recorded != "none"

    def record(
        self,
        request: Request,
        surface: Surface,
        turn: Turn[Any, Any],
        items: Sequence[str],
        *,
        request_id: str,
        user: str | None,
        session: str | None,
        fallback: str | None = None,
        mixed: Interleaved | None = None,
    ) -> None:
        """Write an answer down.

        Args:
            request: that was answered.
            surface: which kind of question it was.
            turn: what ranked.
            items: ids, best first.
            request_id: of the answer.
            user: who asked, where known.
            session: of the one who asked, where known.
            fallback: what ranked instead of the ranker, if anything did.
            mixed: how several answers became one.
        """
        state = request.scope["state"]
        part, unit, is_override = (_NOBODY, None, False) if turn.assigned is None else turn.assigned
        self._impressions.record(
            Impression(
                request_id=request_id,
                time=datetime.now(UTC),
                surface=surface,
                user=user,
                session=session,
                experiment=part.experiment,
                unit=unit,
                variant=part.variant,
                propensity=part.propensity,
                is_override=is_override,
                revision=part.revision,
                release=turn.release.name,
                fallback=CHAMPION if turn.is_fallback else fallback,
                milliseconds=(perf_counter() - state["started"]) * 1e3,
                items=orjson.dumps(items).decode(),
                teams=None if mixed is None else orjson.dumps(mixed.as_json()).decode(),
            )
        )

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


def mixed(method: Method, rankings: Sequence[Sequence[Hashable]], k: int, seed: str) -> Interleaved:
    """Several rankings as one.

    Args:
        method: how.
        rankings: ids, best first, of each variant.
        k: how many items to answer.
        seed: what chance depends on, the request's id, so that it can be told again.
    """
    number = int.from_bytes(blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return interleave(rankings, k, np.random.default_rng(number), method)


class _Nobody(NamedTuple):
    """The part of an answer outside of experiments."""

    experiment: None = None
    variant: None = None
    propensity: None = None
    revision: None = None


_NOBODY = _Nobody()


class _NotReady(Exception):
    """A release that a variant needs cannot answer."""
