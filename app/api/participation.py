"""An answer's part in an experiment: which one it has, and what is written down of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Literal, NamedTuple

import orjson
from starlette.requests import Request

from app.api.metrics import Metrics
from app.api.turns import CHAMPION, Turn, Turns
from app.experiments.definition import Surface
from app.experiments.interleaving import Interleaved
from app.experiments.live import LiveExperiments
from app.experiments.plan import OVERRIDE_FORM, OVERRIDE_HEADER, Assigned, named_by
from app.store import Impression, ImpressionLog

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


class Participation:
    """Between the ranking endpoints and what runs.

    Args:
        experiments: that run.
        impressions: where answers are written down.
        metrics: where they are counted.
        recorded: which ones are written down.

    Attributes:
        turns: asks releases.
    """

    def __init__(
        self, experiments: LiveExperiments, impressions: ImpressionLog, metrics: Metrics, *, recorded: Recorded
    ) -> None:
        self.experiments = experiments
        self._impressions = impressions
        self._metrics = metrics
        self._recorded = recorded
        self.turns = Turns(metrics)

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
        milliseconds = turn.milliseconds
        if milliseconds is None:
            milliseconds = (perf_counter() - request.scope["state"]["started"]) * 1e3
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
                milliseconds=milliseconds,
                items=orjson.dumps(items).decode(),
                teams=None if mixed is None else orjson.dumps(mixed.as_json()).decode(),
            )
        )


class _Nobody(NamedTuple):
    """The part of an answer outside of experiments."""

    experiment: None = None
    variant: None = None
    propensity: None = None
    revision: None = None


_NOBODY = _Nobody()
