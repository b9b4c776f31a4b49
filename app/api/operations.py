"""What operators and their machines ask: health, metrics, and what is released."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from app.api.problems import documented
from app.api.reference import HEADERS, reference_page
from app.api.schemas import Alive, BundleState, Ready, Releases, SlotState
from app.releases import KeptReleases, LiveRelease

router = APIRouter()


@router.get("/health/live", tags=["operations"], summary="Whether the process runs")
async def is_live() -> Alive:
    """Answers as long as the process does; depends on nothing else."""
    return Alive()


@router.get(
    "/health/ready",
    tags=["operations"],
    summary="Whether the service can answer",
    responses=documented({503: "No release is live"}),
)
async def is_ready(request: Request) -> Ready:
    """Answers once a release is live, and says which."""
    release = request.app.state.live.release()
    return Ready(release=release.name, ranker=release.ranker)


@router.get(
    "/metrics",
    tags=["operations"],
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus's text format"}},
)
async def metrics(request: Request) -> Response:
    """Requests, problems, times by route and ranker, fallbacks, and the live release."""
    return Response(request.app.state.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/releases", tags=["releases"], summary="What is published, and what is live")
async def list_releases(request: Request) -> Releases:
    """Slots and bundles in the folder of releases, and the releases that this process answers from."""
    state = request.app.state
    return await asyncio.to_thread(_releases, state.live, (state.live, state.live_search, state.live_rerank))


def _releases(live: LiveRelease, lives: Sequence[LiveRelease]) -> Releases:
    answering = {one.slot: one.current.name for one in lives if one.current is not None}
    return Releases(
        live=answering.get(live.slot),
        slots=[
            _slot(live.store, slot, release, live=answering.get(slot) == release)
            for slot, release in live.store.slots().items()
        ],
        bundles=[
            BundleState(
                release=f"{manifest.name}/{manifest.version}",
                ranker=manifest.ranker,
                created=manifest.created.isoformat(),
                size=manifest.size,
                metrics=manifest.metrics,
            )
            for manifest in live.store.published()
        ],
    )


def _slot(store: KeptReleases, slot: str, release: str, *, live: bool) -> SlotState:
    history = store.history(slot)
    last = history[-1] if history and history[-1].release == release and history[-1].action != "found" else None
    return SlotState(
        slot=slot, release=release, live=live, since=last.time if last else None, by=last.by or None if last else None
    )


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The description for people."""
    return Response(reference_page(request.app.openapi()), media_type="text/html", headers=HEADERS)
