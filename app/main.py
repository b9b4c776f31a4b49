"""The service as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import faiss
import numpy as np
from fastapi import FastAPI

from app.api import (
    Gathering,
    Guard,
    LiveKeys,
    Metrics,
    Observed,
    Participation,
    RateLimit,
    Reports,
    Shortcut,
    Slots,
    add_problem_handlers,
    allow_origins,
    describe,
    events,
    experiments,
    items,
    operations,
    rankings,
    reports,
    reranks,
    searches,
    slots,
)
from app.experiments.definition import Surface
from app.experiments.lifecycle import Experiments
from app.experiments.live import LiveExperiments
from app.experiments.reallocating import Reallocations
from app.releases import KeptReleases, LiveRelease, open_releases
from app.settings import Settings, is_loopback, read_settings
from app.store import Database, ImpressionLog, ItemChanges, Keys, Writer

logger = logging.getLogger(__name__)

_BANDIT_SECONDS = 1.0
"""How often to look whether a bandit is due."""
_PATIENCE_SECONDS = 5.0
"""How long a request to change a slot waits for another process that changes one."""
_OWN_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own traces know neither routes that are answered before its router, nor what is not to be told."""
_DESCRIPTION = """
Ranked items for known users, for histories, for items and for texts, and the order of candidates, answered from published bundles.

Every ranking names the `release` and the `ranker` that made it and carries a `request_id`; errors are problem details
(`application/problem+json`, RFC 9457) whose `type` tells kinds apart.
"""


def _releases_of(settings: Settings) -> KeptReleases:
    return open_releases(
        settings.releases,
        cache=settings.releases_cache,
        patience=_PATIENCE_SECONDS,
        max_age=settings.releases_poll_seconds,
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; it serves what the releases folder's slot points to and follows it.

    Args:
        settings: by default what the environment says.

    Raises:
        SettingsInvalid: the environment holds what cannot be used, such as no store's address.
        ReleasesUnusable: the releases folder is no folder.
    """
    settings = settings or read_settings()
    releases, database = _releases_of(settings), Database(settings.store)
    changes = ItemChanges(database)
    search_slot, rerank_slot = settings.search_slot or settings.slot, settings.rerank_slot or settings.slot
    lives = {slot: LiveRelease(releases, slot, changes) for slot in (settings.slot, search_slot, rerank_slot)}
    writer = Writer(database)
    impressions = ImpressionLog(writer)
    keys = LiveKeys(Keys(database), may_be_open=settings.insecure or is_loopback(settings.host), is_open=settings.insecure)
    metrics = Metrics(list(lives.values()), writer=writer, impressions=impressions, is_store_read=lambda: keys.is_followed)
    surfaces: dict[Surface, LiveRelease] = {
        "recommendations": lives[settings.slot],
        "similar": lives[settings.slot],
        "search": lives[search_slot],
        "rerank": lives[rerank_slot],
    }
    live_experiments = LiveExperiments(database, surfaces, impressions)
    all_experiments = Experiments(database, releases)
    reallocations = Reallocations(database, all_experiments, lambda: live_experiments.running, np.random.default_rng())

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        faiss.omp_set_num_threads(1)  # for this thread, which searches: one search is too short to be shared out
        await asyncio.to_thread(keys.follow)
        for live in lives.values():
            await asyncio.to_thread(_follow_first, live, settings)
        await asyncio.to_thread(live_experiments.follow)
        watching = [asyncio.create_task(live.watch(settings.poll_seconds)) for live in lives.values()]
        watching.append(asyncio.create_task(keys.watch(settings.poll_seconds)))
        watching.append(asyncio.create_task(live_experiments.watch(settings.poll_seconds)))
        watching.append(asyncio.create_task(reallocations.watch(_BANDIT_SECONDS)))
        yield
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await asyncio.to_thread(impressions.close)
        await asyncio.to_thread(writer.close)
        # A thread outlives the task that waited for it; none may be using the store when it is closed.
        await asyncio.get_running_loop().shutdown_default_executor()
        database.close()

    app = FastAPI(
        title="irgan",
        version="1",
        summary="Adversarially trained ranking as a service",
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # FastAPI's pages load scripts from a public network; /docs is ours
        redoc_url=None,
        telemetry=_OWN_TELEMETRY,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.settings, app.state.metrics, app.state.gathering = settings, metrics, Gathering()
    app.state.writer, app.state.impressions, app.state.keys = writer, impressions, keys
    app.state.experiments, app.state.reports, app.state.slots = all_experiments, Reports(database), Slots(releases)
    app.state.participation = Participation(live_experiments, impressions, metrics, recorded=settings.impressions)
    app.state.live, app.state.live_search, app.state.live_rerank = (
        lives[slot] for slot in (settings.slot, search_slot, rerank_slot)
    )
    add_problem_handlers(app)
    direct = (rankings, searches, reranks, items, events, experiments, reports, slots)
    app.add_middleware(Shortcut, routes=[route for router in direct for route in router.routes])
    origins = tuple(settings.cors_origins.split(",")) if settings.cors_origins else ()
    limit = None
    if settings.rate_limit is not None:
        limit = RateLimit(settings.rate_limit, settings.rate_burst or max(1.0, settings.rate_limit))
    app.add_middleware(Guard, keys=keys, limit=limit, open_metrics=settings.open_metrics, origins=origins)
    if origins:
        allow_origins(app, origins)
    app.add_middleware(Observed, metrics=metrics, access_log=settings.access_log)
    for router in direct:
        app.include_router(router)
    app.include_router(operations)
    describe(app, settings, keys)
    return app


def _follow_first(live: LiveRelease, settings: Settings) -> None:
    """Load what a slot points to, and say it if that is nothing."""
    live.follow()
    if live.current is None and not live.is_refused:
        told = live.slot, settings.releases
        logger.warning(
            "slot %s of %s is empty: nothing answers; publish a bundle: irgan publish BUNDLE --slot %s --releases %s",
            *told,
            *told,
        )
