"""The service as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import faiss
from fastapi import FastAPI

from app.api import Gathering, Metrics, Observed, Shortcut, add_problem_handlers, operations, rankings
from app.releases import LiveRelease, ReleaseStore
from app.settings import Settings, read_settings

_DESCRIPTION = """
Ranked items for known users, for histories and for items, answered from a published bundle.

Every ranking names the `release` and the `ranker` that made it and carries a `request_id`; errors are problem details
(`application/problem+json`, RFC 9457) whose `type` tells kinds apart.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; it serves what the releases folder's slot points to and follows it.

    Args:
        settings: by default what the environment says.

    Raises:
        SettingsInvalid: the environment holds what cannot be used.
        ReleasesUnusable: the releases folder is no folder.
    """
    settings = settings or read_settings()
    live = LiveRelease(ReleaseStore(settings.releases), settings.slot)
    metrics = Metrics(live)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        faiss.omp_set_num_threads(1)  # for this thread, which searches: one search is too short to be shared out
        await asyncio.to_thread(live.refresh)
        watching = asyncio.create_task(live.watch(settings.poll_seconds))
        yield
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    app = FastAPI(
        title="irgan",
        version="1",
        summary="Adversarially trained ranking as a service",
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.settings, app.state.live, app.state.metrics, app.state.gathering = settings, live, metrics, Gathering()
    add_problem_handlers(app)
    app.add_middleware(Shortcut, routes=rankings.routes)
    app.add_middleware(Observed, metrics=metrics)
    app.include_router(rankings)
    app.include_router(operations)
    return app
