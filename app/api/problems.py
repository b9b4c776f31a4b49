"""Errors as HTTP: the one table of status codes, and problem details (RFC 9457) for everything that is no answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.bundle import UnknownId
from app.errors import (
    BodyTooLarge,
    ExtraMissing,
    FilterInvalid,
    KeyMissing,
    MalformedJson,
    MediaTypeUnsupported,
    NoRelease,
    QueryInvalid,
    RoleMissing,
    TooManyRequests,
    WrongRanker,
)
from app.experiments.errors import (
    ChangeInvalid,
    LayerFull,
    ReleaseUnsuitable,
    SurfaceTaken,
    UnknownExperiment,
    WrongState,
)
from app.releases import (
    NothingToRollBack,
    ReleaseDamaged,
    ReleasesBusy,
    ReleasesReadOnly,
    ReleasesUnusable,
    SlotInvalid,
    UnknownRelease,
)
from app.store import NameTaken, StoreUnusable

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its HTTP status, the last word of its type, and its title."""

    status: int
    name: str
    title: str

    @property
    def uri(self) -> str:
        """What a program tells kinds apart by."""
        return f"urn:irgan:problem:{self.name}"


KINDS: dict[type[Exception], Kind] = {
    MalformedJson: Kind(400, "malformed-json", "The body is not JSON"),
    KeyMissing: Kind(401, "unauthorized", "This needs an API key that counts"),
    RoleMissing: Kind(403, "forbidden", "The API key may not do this"),
    UnknownId: Kind(404, "unknown-id", "There is no such thing in the catalogue"),
    UnknownExperiment: Kind(404, "unknown-experiment", "There is no such experiment"),
    UnknownRelease: Kind(404, "unknown-release", "There is no such release"),
    NameTaken: Kind(409, "name-taken", "There is something by that name already"),
    WrongState: Kind(409, "wrong-state", "The experiment is in another state"),
    LayerFull: Kind(409, "layer-full", "Other experiments leave too little room"),
    SurfaceTaken: Kind(409, "surface-taken", "Another experiment excludes this one"),
    WrongRanker: Kind(409, "wrong-ranker", "The live release answers other questions"),
    NothingToRollBack: Kind(409, "nothing-to-roll-back", "The slot has no release to go back to"),
    ReleaseDamaged: Kind(409, "release-damaged", "The release can no longer be served"),
    ReleasesReadOnly: Kind(409, "releases-read-only", "This service may not change the releases"),
    BodyTooLarge: Kind(413, "body-too-large", "The body is too long"),
    MediaTypeUnsupported: Kind(415, "unsupported-media-type", "The body is not declared as JSON"),
    FilterInvalid: Kind(422, "invalid-filter", "A filter or a facet cannot be used"),
    QueryInvalid: Kind(422, "invalid-request", "The request is not valid"),
    ReleaseUnsuitable: Kind(422, "unsuitable-release", "A variant's release cannot be used"),
    ChangeInvalid: Kind(422, "invalid-change", "The experiment cannot be changed so"),
    TooManyRequests: Kind(429, "too-many-requests", "Too many requests"),
    SlotInvalid: Kind(500, "releases-damaged", "The folder of releases is damaged"),
    ExtraMissing: Kind(501, "extra-missing", "What this needs is not installed"),
    StoreUnusable: Kind(503, "store-unusable", "The service cannot remember anything now"),
    ReleasesBusy: Kind(503, "releases-busy", "Somebody else is changing the releases"),
    ReleasesUnusable: Kind(503, "releases-unusable", "The folder of releases cannot be used now"),
    NoRelease: Kind(503, "no-release", "No release is live"),
}
"""Every error that a request can meet."""

_NOT_FOUND = Kind(404, "no-such-path", "There is nothing at this path")
_METHOD = Kind(405, "method-not-allowed", "This path does not know the method")
_INTERNAL = Kind(500, "internal", "The service failed")
_OF_STATUS = {kind.status: kind for kind in (_NOT_FOUND, _METHOD, _INTERNAL)}


class Fault(BaseModel):
    """One place in a request that is wrong."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    location: str
    """Such as `body.history.0.item` or `query.k`."""
    message: str
    """What was found or expected there."""


class Problem(BaseModel):
    """Why there is no answer (RFC 9457)."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:irgan:problem:invalid-request",
                    "title": "The request is not valid",
                    "status": 422,
                    "detail": "query.k: Input should be greater than or equal to 1",
                    "request_id": "8f14e45fceea167a5a36dedd4bea2543",
                    "errors": [{"location": "query.k", "message": "Input should be greater than or equal to 1"}],
                }
            ]
        },
    )

    type: str = Field(pattern="^urn:irgan:problem:[a-z-]+$")
    """What programs tell kinds of problems apart by."""
    title: str
    """The kind, in words."""
    status: int = Field(ge=400, le=599)
    """The HTTP status once more."""
    detail: str
    """For people: what was found, what was expected and what to do."""
    request_id: str
    """What the service's log calls the request; empty where what arrived was not HTTP."""
    errors: list[Fault]
    """Every place that is wrong, if the request is."""


def problem_response(
    request: Request,
    kind: Kind,
    detail: str,
    faults: list[tuple[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response."""
    state = request.scope.get("state", {})
    state["problem"] = kind.name
    content: dict[str, Any] = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "request_id": state.get("request_id", ""),
        "errors": [{"location": location, "message": message} for location, message in faults or []],
    }
    return Response(orjson.dumps(content), status_code=kind.status, media_type=MEDIA_TYPE, headers=headers)


def method_problem(request: Request, allowed: Sequence[str]) -> Response:
    """What is said of a method that a path does not know; `allowed` are those it knows."""
    detail = f"{request.method} {request.url.path}: this path knows {', '.join(allowed)}"
    return problem_response(request, _METHOD, detail, headers={"Allow": ", ".join(allowed)})


def internal_problem(request: Request) -> Response:
    """What is said of a mistake of ours: nothing but where to look."""
    return problem_response(request, _INTERNAL, "this is a mistake of the service; its log names the request by its request_id")


def known_problem(request: Request, error: Exception) -> Response:
    """What is said of an error of the table.

    Raises:
        Exception: the error itself, where the table does not know it.
    """
    kind = next((KINDS[base] for base in type(error).__mro__ if base in KINDS), None)
    if kind is None:
        raise error
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if kind.status == 503 else {}
    return problem_response(request, kind, str(error), getattr(error, "problems", None), headers)


def invalid(error: ValidationError, place: str) -> QueryInvalid:
    """A validation error of `place` (`query` or `body`) as one of ours."""
    faults = faults_of(error, place)
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return QueryInvalid(f"{faults[0][0]}: {faults[0][1]}{more}", faults)


def faults_of(error: ValidationError, place: str) -> list[tuple[str, str]]:
    """Where something is wrong, and how."""
    faults = []
    for found in error.errors(include_url=False, include_input=False):
        location = ".".join(map(str, (place, *(part for part in found["loc"] if part not in _TAGS))))
        faults.append((location, _words(found)))
    return faults


def _words(found: ErrorDetails) -> str:
    if found["type"] in _NO_OBJECT:
        return "expected an object"
    if found["type"] == "extra_forbidden":
        return "there is no such field here; /openapi.json names those there are"
    if found["type"] == "string_pattern_mismatch" and (words := _PATTERNS.get(found["ctx"]["pattern"])):
        return f"expected {words}"
    return found["msg"].removeprefix("Value error, ")


_TAGS = ("one", "batch")
"""Pydantic names the branch of a union it took; callers do not know these names."""
_NO_OBJECT = ("model_type", "model_attributes_type", "dict_type")
"""Pydantic's words for these are of Python, and name our classes."""
_OF_NAMES = "lower-case letters, digits, dots, dashes and underscores, first of them a letter or a digit"
_PATTERNS = {
    "^[a-z0-9][a-z0-9._-]{0,99}$": f"1 to 100 {_OF_NAMES}",
    "^[a-z0-9][a-z0-9._-]{0,99}(/[a-z0-9][a-z0-9._-]{0,99})?$": f"a release NAME/VERSION or a slot, each of {_OF_NAMES}",
    "^[a-z0-9][a-z0-9-]{0,49}$": "1 to 50 lower-case letters, digits and dashes, first of them a letter or a digit",
    "^[a-z][a-z0-9_-]{0,49}$": "1 to 50 lower-case letters, digits, dashes and underscores, first of them a letter",
}
"""What patterns of ours want, in words."""


def documented(texts: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Problems as the OpenAPI document lists them."""
    return {status: {"description": text, "content": {MEDIA_TYPE: {"schema": PROBLEM}}} for status, text in texts.items()}


PROBLEM = {"$ref": "#/components/schemas/Problem"}
"""Where the OpenAPI document has the fields of a `Problem`."""


def add_problem_handlers(app: FastAPI) -> None:
    """Let every error leave as problem details."""

    async def ours(request: Request, error: Exception) -> Response:
        return known_problem(request, error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = _OF_STATUS.get(error.status_code) or Kind(error.status_code, "http", error.detail)
        detail = f"{request.method} {request.url.path}: {error.detail}; the paths and methods there are stand in /openapi.json"
        return problem_response(request, kind, detail, None, error.headers)

    for error in KINDS:
        app.add_exception_handler(error, ours)
    app.add_exception_handler(HTTPException, http)
