"""What events may hold and what is answered to them, as the OpenAPI document describes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SkipValidation,
    Tag,
    model_validator,
)
from pydantic.config import JsonDict, JsonValue

from app.api.schemas import STORABLE, StoredId, Strict, id_text, limited, said_of_id, some_of, storable
from app.numbers import whole
from app.store import Event

_AHEAD = timedelta(days=1)
"""What clocks may be wrong by."""
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_PROPERTIES_BYTES = 4096
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,49}")


def _word(text: str) -> str:
    if _WORD.fullmatch(text) is None:
        raise ValueError(
            "expected impression, click, rating, conversion or another word of at most 50 lower-case letters, digits, - and _"
        )
    return text


def _time(value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError("expected ISO 8601 text with a time zone, such as 2026-11-25T10:15:00Z")
    if time < _FIRST:
        raise ValueError("the time is before 1970")
    if time > datetime.now(UTC) + _AHEAD:
        raise ValueError("the time is more than a day ahead of this service's clock")
    return time


def _small(properties: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(orjson.dumps(properties))
    except orjson.JSONEncodeError as error:
        raise ValueError(f"cannot be kept as JSON: {error}") from error
    if size > _PROPERTIES_BYTES:
        raise ValueError(f"{size} bytes of JSON are more than an event's limit of {_PROPERTIES_BYTES}")
    return properties


_GIVEN = {"not": {"type": "null"}}
_SOMEBODY = some_of("user", "session")


def _kind(type_: JsonDict, whose: JsonDict, **needed: Any) -> JsonDict:
    return {"properties": {"type": type_, **needed}, "required": [*needed], **whose}


_COMPLETE: JsonDict = {
    "anyOf": [
        _kind({"enum": ["impression", "click"]}, some_of("user", "session", "request_id"), item=_GIVEN),
        _kind({"const": "rating"}, _SOMEBODY, item=_GIVEN, value=_GIVEN),
        _kind({"not": {"enum": ["impression", "click", "rating"]}}, some_of("user", "session", "request_id")),
    ]
}
"""What `EventBody._complete` demands."""


EXAMPLE: JsonDict = {
    "id": "c-20261125-0007",
    "type": "click",
    "time": "2026-11-25T10:15:00Z",
    "user": "196",
    "item": "50",
    "request_id": "8f14e45fceea167a5a36dedd4bea2543",
    "position": 1,
}
EXAMPLES: list[JsonValue] = [
    EXAMPLE,
    {"id": "r-20261125-0002", "type": "rating", "user": "196", "item": "50", "value": 5},
    {"id": "o-20261125-0001", "type": "conversion", "session": "f3a9", "value": 24.9},
]


class EventBody(Strict):
    """Something that somebody did."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE], **_COMPLETE})

    id: Annotated[
        str,
        BeforeValidator(id_text),
        AfterValidator(storable),
        Field(min_length=1, max_length=128),
        said_of_id(128, pattern=STORABLE),
    ]
    """Yours, unique to the event: of two events with one id the first counts, so that everything can be sent again."""
    type: Annotated[str, AfterValidator(_word)] = Field(
        examples=["click"], json_schema_extra={"pattern": rf"^{_WORD.pattern}$"}
    )
    """`impression` (the item was seen), `click`, `rating`, `conversion` (a purchase, a subscription, …), or any other lower-case word."""
    time: Annotated[datetime, BeforeValidator(_time)] | None = None
    """When it happened, ISO 8601 with a time zone; by default when it arrives."""
    user: StoredId | None = None
    """Who did it. An event needs a user, a session or a request_id, a rating a user or a session."""
    session: StoredId | None = None
    item: StoredId | None = None
    """What it is about; impressions, clicks and ratings need one."""
    request_id: (
        Annotated[str, AfterValidator(storable), Field(min_length=1, max_length=64, json_schema_extra={"pattern": STORABLE})]
        | None
    ) = None
    """Of the answer that the item stood in, so that its variant, or its team, is credited."""
    value: float | None = Field(default=None, allow_inf_nan=False)
    """A rating (which needs one), what a conversion was worth, a duration, …"""
    position: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(whole)] | None = None
    """Of the item in what was shown, from 1."""
    properties: Annotated[dict[str, Any], AfterValidator(_small)] | None = None
    """Anything else, kept as it is; at most 4,096 bytes of JSON."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type in {"impression", "click", "rating"} and self.item is None:
            raise ValueError(f"the {self.type} has no item; say what it is of")
        is_rating = self.type == "rating"
        if is_rating and self.value is None:
            raise ValueError("the rating has no value")
        if self.user is None and self.session is None and (is_rating or self.request_id is None):
            raise ValueError(
                f"the {self.type} is nobody's; give a user or a session" + ("" if is_rating else ", or a request_id")
            )
        return self

    def event(self, received: datetime) -> Event:
        """As it is stored."""
        return Event(
            id=self.id,
            type=self.type,
            time=self.time or received,
            user=self.user,
            session=self.session,
            item=self.item,
            request_id=self.request_id,
            value=self.value,
            position=self.position,
            properties=None if self.properties is None else orjson.dumps(self.properties).decode(),
        )


class EventBatch(Strict):
    """Several events."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"events": EXAMPLES}]})

    events: list[SkipValidation[EventBody]] = Field(min_length=1, json_schema_extra=limited(maxItems="max_events"))
    """What happened, in any order."""
    partial: bool = False
    """Whether the others are stored where some events are not valid; by default it is all or none."""


def _body_kind(value: Any) -> str:
    return "one" if isinstance(value, EventBody) or (isinstance(value, dict) and "events" not in value) else "batch"


EventsBody = Annotated[Annotated[EventBody, Tag("one")] | Annotated[EventBatch, Tag("batch")], Discriminator(_body_kind)]


class RejectedEvent(BaseModel):
    """A place in the request for which an event was not stored."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    index: int
    """Of the event in `events`, from 0."""
    location: str
    """Such as `body.events.3.time`."""
    message: str


class EventsAnswer(BaseModel):
    """What became of the events; those accepted are durable."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"accepted": 2, "duplicates": ["r-20261125-0002"], "rejected": []}]},
    )

    accepted: int
    """How many are stored that were not."""
    duplicates: list[str]
    """Ids of those that are stored already, or stood in the request before; nothing needs to be done about them."""
    rejected: list[RejectedEvent]
    """With `partial`, every place that is wrong; its event is not stored."""
