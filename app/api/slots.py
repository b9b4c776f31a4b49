"""`/v1/releases/{slot}/promote` and `/rollback`: letting a slot point to another release."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from app.api.access import asked_by
from app.api.direct import DirectRoute
from app.api.problems import documented
from app.api.schemas import Strict
from app.errors import QueryInvalid
from app.releases import KeptReleases, ReleasesReadOnly, ReleasesUnusable, SlotInvalid, check_slot

_DENIED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_PROBLEMS = documented(
    {
        400: "The body is not JSON",
        409: "The release can no longer be served, there is nothing to go back to, or this service may not change the releases; no slot "
        "has changed",
        413: "The body is too long",
        415: "The body is not declared as JSON",
        422: "The body is not valid, or no slot can have this name",
        500: "The folder of releases is damaged",
        503: "Somebody else is changing the releases, or the folder cannot be used; no slot has changed",
    }
)
_UNKNOWN = documented({404: "There is no such release, or nothing in the slot that was named for one"})

router = APIRouter(prefix="/v1", tags=["releases"], route_class=DirectRoute)

SlotInPath = Annotated[
    str, Path(description="The slot that is to point elsewhere.", pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$", examples=["champion"])
]


class Promotion(Strict):
    """What a slot is to point to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"release": "challenger"}]})

    release: str = Field(min_length=1, max_length=201)
    """A kept release NAME/VERSION, or another slot, for the release that it points to."""


class Rollback(Strict):
    """How far back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"to": "irgan-history/2026-11-24"}]})

    to: str | None = Field(default=None, min_length=1, max_length=201)
    """A kept release NAME/VERSION; by default the one that the slot pointed to before."""


class SlotMoved(BaseModel):
    """What a slot points to now."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "slot": "champion",
                    "release": "irgan-history/2026-11-25",
                    "before": "irgan-history/2026-11-24",
                    "by": "key deploy",
                }
            ]
        },
    )

    slot: str
    release: str
    before: str | None
    """What it pointed to until then; null where it is new. The same as `release` where there was nothing to do."""
    by: str
    """Whom the history names."""


class Slots:
    """Moves slots beside the event loop, one at a time: verifying takes a moment, and must not take all threads.

    Args:
        store: where the releases are.
    """

    def __init__(self, store: KeptReleases) -> None:
        self._store = store
        self._turn = asyncio.Lock()

    async def move(self, request: Request, slot: str, act: Callable[[KeptReleases, str], str]) -> Response:
        """Let a slot point elsewhere.

        Args:
            request: whose key, or address, the history names.
            slot: the slot.
            act: does it for somebody, and says what it points to now.

        Raises:
            QueryInvalid: no slot can have this name.
            ReleaseError: no slot has changed, and why.
        """
        by = asked_by(request)
        try:
            check_slot(slot)
        except SlotInvalid as error:
            raise QueryInvalid(f"path.slot: {error}", [("path.slot", str(error))]) from error
        async with self._turn:
            before, release = await asyncio.to_thread(self._move, slot, act, by)
        moved = SlotMoved(slot=slot, release=release, before=before, by=by)
        return Response(moved.model_dump_json(), media_type="application/json")

    def _move(self, slot: str, act: Callable[[KeptReleases, str], str], by: str) -> tuple[str | None, str]:
        try:
            before = self._before(slot)
            return before, act(self._store, by)
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in _DENIED:
                raise ReleasesReadOnly(
                    f"this service may not change the releases in {self._store.place} ({reason}); no slot has changed; "
                    "use irgan promote and irgan rollback where the folder can be written"
                ) from error
            raise ReleasesUnusable(f"the releases in {self._store.place} cannot be changed now ({reason})") from error

    def _before(self, slot: str) -> str | None:
        try:
            return self._store.current(slot)
        except SlotInvalid:
            return None  # a damaged pointer is cured by writing it anew


@router.post(
    "/releases/{slot}/promote",
    summary="Let a slot point to a kept release",
    response_model=SlotMoved,
    responses=_PROBLEMS | _UNKNOWN,
)
async def promote(
    request: Request,
    slot: SlotInPath,
    body: Annotated[
        Promotion,
        Body(
            openapi_examples={
                "slot": {"summary": "What the challenger is", "value": {"release": "challenger"}},
                "release": {"summary": "A release by its name", "value": {"release": "irgan-history/2026-11-25"}},
            }
        ),
    ],
) -> Response:
    """The release is verified first; services follow within a second. A new slot is made."""
    return await _slots(request).move(request, slot, lambda store, by: store.promote(body.release, slot, by=by))


@router.post(
    "/releases/{slot}/rollback",
    summary="Let a slot point to the release before",
    response_model=SlotMoved,
    responses=_PROBLEMS | _UNKNOWN,
)
async def rollback(
    request: Request,
    slot: SlotInPath,
    body: Annotated[
        Rollback,
        Body(
            openapi_examples={
                "before": {"summary": "The release before", "value": {}},
                "to": {"summary": "A release by its name", "value": {"to": "irgan-history/2026-11-24"}},
            }
        ),
    ],
) -> Response:
    """Again, and it goes further back. The release is verified first; services follow within a second."""
    return await _slots(request).move(request, slot, lambda store, by: store.rollback(slot, to=body.to, by=by))


def _slots(request: Request) -> Slots:
    slots: Slots = request.app.state.slots
    return slots
