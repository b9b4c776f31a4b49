"""`/v1/experiments/{name}/report`: what came of an experiment, as JSON or as a page."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.api.direct import DirectRoute
from app.api.problems import documented
from app.api.schemas import Strict
from app.experiments.reports.apart import whole_report
from app.store import Database

_GOOD_FOR_SECONDS = 5.0
_TIMES_AS_LONG = 20.0
"""A report that took long to make is given so many times as long, so that making reports takes one part in twenty of a core."""
_KEPT = 100
"""Reports kept; beyond, all are made anew."""
_HEADERS = {
    "Vary": "Accept",
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
}

router = APIRouter(prefix="/v1", tags=["experiments"], route_class=DirectRoute)


class ReportQuery(Strict):
    """Parameters of a report."""

    format: Literal["json", "html"] | None = None
    """`json` or `html`; by default HTML for who accepts it and not JSON, as browsers do."""


@dataclass(frozen=True, slots=True)
class _Made:
    json: bytes
    page: str
    until: float


class Reports:
    """Makes reports beside the event loop, or beside the process where they are large, one at a time, and gives each again for a little while.

    Args:
        database: the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made: dict[str, _Made] = {}
        self._turn = asyncio.Lock()

    async def get(self, name: str) -> _Made:
        """The report on an experiment, some seconds old at most, or a little older where it takes long.

        Raises:
            UnknownExperiment, WrongState: there is none by that name, or it has not started.
            StoreUnusable: the store cannot be read.
            ExtraMissing: what makes reports is not installed.
        """
        found = self._made.get(name)
        if found is None or found.until < monotonic():
            async with self._turn:
                found = self._made.get(name)
                if found is None or found.until < monotonic():
                    found = await asyncio.to_thread(self._make, name)
                    if len(self._made) >= _KEPT:
                        self._made.clear()
                    self._made[name] = found
        return found

    def forget(self, name: str) -> None:
        """Make the report anew when it is asked for again: the experiment is another now."""
        self._made.pop(name, None)

    def _make(self, name: str) -> _Made:
        began = monotonic()
        made = whole_report(self._database, name)
        now = monotonic()
        return _Made(*made, until=now + max(_GOOD_FOR_SECONDS, _TIMES_AS_LONG * (now - began)))


@router.get(
    "/experiments/{name}/report",
    summary="What came of an experiment",
    response_class=Response,
    responses={
        200: {
            "description": "The report; its keys stand in docs/reports.md",
            "content": {"application/json": {}, "text/html": {}},
        },
        **documented(
            {
                404: "There is no such experiment",
                409: "It has not started",
                422: "A parameter is not valid",
                501: "What makes reports is not installed: pip install 'irgan[experiments]'",
                503: "The store cannot be read",
            }
        ),
    },
)
async def report_on_experiment(
    request: Request,
    name: Annotated[str, Path(description="The experiment's name.", examples=["history-or-popular"])],
    query: Annotated[ReportQuery, Query()],
) -> Response:
    """The decision in one sentence, the figures and how sure they are, over time, and whether all is well with the experiment."""
    made = await request.app.state.reports.get(name)
    if query.format == "html" or (query.format is None and _wants_page(request)):
        return Response(made.page, media_type="text/html", headers=_HEADERS)
    return Response(made.json, media_type="application/json", headers={"Vary": "Accept", "Cache-Control": "no-cache"})


def _wants_page(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and "application/json" not in accepted
