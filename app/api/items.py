"""`/v1/items`: adding, updating and deleting what is searched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated

import orjson
from fastapi import APIRouter, Body, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.api import search_schemas as schemas
from app.api.answering import BODY_PROBLEMS, PROBLEMS, check_id, check_limit, wrong_ranker
from app.api.direct import DirectRoute
from app.api.problems import documented
from app.api.schemas import ID_LENGTH, STORABLE
from app.api.waiting import stored
from app.bundle import UnknownId
from app.errors import QueryInvalid
from app.releases import LiveRelease, SearchRelease
from app.retrieval import Document, SearchEngine

_STORE = documented({503: "No release is live, or the change could not be written down; nothing has changed"})
_UNKNOWN = documented({404: "There is no such item"})

router = APIRouter(prefix="/v1", tags=["items"], route_class=DirectRoute)

ItemIdInPath = Annotated[
    str, Path(description="The item's id.", min_length=1, max_length=ID_LENGTH, pattern=STORABLE, examples=["31715818"])
]


@router.put(
    "/items/{item_id:path}",
    summary="Add or replace an item",
    response_model=schemas.ItemsAnswer,
    responses=BODY_PROBLEMS | _STORE,
)
async def put_item(request: Request, item_id: ItemIdInPath, body: schemas.ItemBody) -> Response:
    """The item is searchable, also by other workers within a second, and stays so after a restart and in later releases of the slot."""
    check_id(item_id, "path.item_id")
    if "\x00" in item_id:
        message = "a NUL character cannot be stored; leave it out"
        raise QueryInvalid(f"path.item_id: {message}", [("path.item_id", message)])
    return await _changed(request, {item_id: _document(item_id, body)})


@router.put(
    "/items",
    summary="Add or replace several items",
    response_model=schemas.ItemsAnswer,
    responses=BODY_PROBLEMS | _STORE,
)
async def put_items(request: Request, body: Annotated[schemas.ItemsBody, Body()]) -> Response:
    """All of them or none."""
    check_limit(request.app.state.settings, len(body.items), "max_batch", "body.items")
    return await _changed(request, {item.id: _document(item.id, item) for item in body.items})


@router.delete(
    "/items",
    summary="Delete several items",
    response_model=schemas.ItemsAnswer,
    responses=BODY_PROBLEMS | _STORE | _UNKNOWN,
)
async def delete_items(request: Request, body: Annotated[schemas.ItemIdsBody, Body()]) -> Response:
    """All of them or none: nothing is deleted where one is not there."""
    check_limit(request.app.state.settings, len(body.ids), "max_batch", "body.ids")
    return await _changed(request, dict.fromkeys(body.ids))


@router.delete(
    "/items/{item_id:path}",
    summary="Delete an item",
    response_model=schemas.ItemsAnswer,
    responses=PROBLEMS | _STORE | _UNKNOWN,
)
async def delete_item(request: Request, item_id: ItemIdInPath, query: Annotated[schemas.Nothing, Query()]) -> Response:  # noqa: ARG001 - no parameters
    """It is found no more, and recommended no more."""
    check_id(item_id, "path.item_id")
    return await _changed(request, {item_id: None})


async def _changed(request: Request, changes: Mapping[str, Document | None]) -> Response:
    live: LiveRelease = request.app.state.live_search
    release = live.release()
    if release.engine is None:
        raise wrong_ranker(release, live, SearchRelease.answers)
    request.scope["state"]["ranker"] = release.ranker
    states = _states(release.engine, changes)
    await stored(
        asyncio.to_thread(live.change, changes), undone="the change may still be written; make it again, which does no harm"
    )
    return Response(orjson.dumps({"items": states}), media_type="application/json")


def _states(engine: SearchEngine, changes: Mapping[str, Document | None]) -> list[dict[str, str]]:
    """What becomes of each item.

    Raises:
        QueryInvalid: a field has a value of another type than the other items' have.
        UnknownId: one is to be deleted that is not there.
    """
    missing = [item for item, document in changes.items() if document is None and not engine.holds(item)]
    if missing:
        raise UnknownId("item", missing)
    engine.check([document for document in changes.values() if document is not None])
    return [
        {"id": item, "state": "deleted" if document is None else "updated" if engine.holds(item) else "added"}
        for item, document in changes.items()
    ]


def _document(item: str, body: schemas.ItemBody) -> Document:
    return Document(item, body.title, body.text, body.metadata)
