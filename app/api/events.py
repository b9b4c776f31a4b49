"""`/v1/events`: what people did with the answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api.answering import check_limit
from app.api.direct import DirectRoute
from app.api.event_schemas import EXAMPLE, EXAMPLES, EventBatch, EventBody, EventsAnswer, EventsBody
from app.api.metrics import Metrics
from app.api.problems import documented, faults_of, invalid
from app.api.waiting import stored
from app.store import Event, Writer, insert_events
from app.telemetry import span

_PROBLEMS = documented(
    {
        400: "The body is not JSON",
        413: "The body is too long",
        415: "The body is not declared as JSON",
        422: "Some events are not valid, each place being named; nothing is stored",
        503: "The events could not be stored, or too many wait to be; send them again after the seconds in `Retry-After`",
    }
)
_EVENTS = TypeAdapter(list[EventBody])

router = APIRouter(prefix="/v1", tags=["events"], route_class=DirectRoute)


@router.post("/events", summary="Report what people did", response_model=EventsAnswer, responses=_PROBLEMS)
async def post_events(
    request: Request,
    body: Annotated[
        EventsBody,
        Body(
            openapi_examples={
                "one": {"summary": "One event", "value": EXAMPLE},
                "several": {"summary": "Several, of different kinds", "value": {"events": EXAMPLES}},
                "partial": {"summary": "Those that are valid", "value": {"events": EXAMPLES[:1], "partial": True}},
            }
        ),
    ],
) -> Response:
    """Answered once the events are durable. Sending an event again does no harm: of one id the first counts."""
    rejected: list[dict[str, Any]] = []
    if isinstance(body, EventBatch):
        check_limit(request.app.state.settings, len(body.events), "max_events", "body.events")
        bodies, rejected = _checked(body)
    else:
        bodies = [body]
    received = datetime.now(UTC)
    events = [body.event(received) for body in bodies]
    duplicates: list[str] = []
    if events:
        writer: Writer = request.app.state.writer
        written = writer.submit(lambda connection: insert_events(connection, events), size=len(events))
        with span("store", events=len(events)):
            duplicates = await stored(
                asyncio.wrap_future(written),
                undone="the events may still be written; send them again, of one id the first counts",
            )
    metrics: Metrics = request.app.state.metrics
    num_rejected = len({fault["index"] for fault in rejected})
    metrics.events(_types(events, duplicates), num_duplicates=len(duplicates), num_rejected=num_rejected)
    content = {"accepted": len(events) - len(duplicates), "duplicates": duplicates, "rejected": rejected}
    return Response(orjson.dumps(content), media_type="application/json")


def _checked(batch: EventBatch) -> tuple[list[EventBody], list[dict[str, Any]]]:
    """The events that are valid, and what is wrong with the others.

    Raises:
        QueryInvalid: some are not valid, and it is to be all or none.
    """
    try:
        return _EVENTS.validate_python(batch.events, strict=True), []
    except ValidationError as error:
        if not batch.partial:
            raise invalid(error, "body.events") from error
        indices = [
            int(found["loc"][0]) for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        rejected = [
            {"index": index, "location": location, "message": message}
            for index, (location, message) in zip(indices, faults_of(error, "body.events"), strict=True)
        ]
    wrong = set(indices)
    valid = [event for index, event in enumerate(batch.events) if index not in wrong]
    return _EVENTS.validate_python(valid, strict=True), rejected


def _types(events: Sequence[Event], duplicates: Sequence[str]) -> Counter[str]:
    """How many events of each type are new: of one id the first."""
    known = Counter(duplicates)
    types: Counter[str] = Counter()
    for event in reversed(events):
        if known[event.id]:
            known[event.id] -= 1
        else:
            types[event.type] += 1
    return types
