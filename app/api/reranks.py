"""`/v1`: the order of candidates."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import orjson
from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import Response

from app.api import search_schemas as schemas
from app.api.answering import BODY_PROBLEMS, answering, check_limit, wrong_ranker
from app.api.direct import DirectRoute
from app.api.participation import OVERRIDABLE, Participation
from app.api.telling import note
from app.api.turns import CHAMPION, Turn
from app.api.waiting import computed
from app.errors import QueryInvalid
from app.experiments.interleaving import mixed
from app.releases import LiveRelease, Release, RerankRelease, SearchRelease
from app.retrieval import Document
from app.settings import Settings
from app.telemetry import span

router = APIRouter(prefix="/v1", tags=["search"], route_class=DirectRoute)


@router.post(
    "/rerank",
    summary="The order of a query's candidates",
    response_model=schemas.RerankAnswer,
    responses=BODY_PROBLEMS,
    openapi_extra=OVERRIDABLE,
)
async def rerank(
    request: Request,
    body: Annotated[
        schemas.RerankBody,
        Body(
            openapi_examples={
                "features": {
                    "summary": "By features, of a learning-to-rank release",
                    "value": {
                        "candidates": [{"id": "a", "features": [0.1, 0.7, 0.3]}, {"id": "b", "features": [0.9, 0.2, 0.0]}]
                    },
                },
                "texts": {
                    "summary": "By texts, of a search release",
                    "value": {
                        "query": "how are glacier caves formed ?",
                        "candidates": [
                            {"id": "a", "text": "A glacier cave is a cave formed within the ice of a glacier."},
                            {"id": "b", "text": "The ice facade is approximately 60 m high"},
                        ],
                        "k": 1,
                    },
                },
            }
        ),
    ],
) -> Response:
    """The candidates in the ranker's order: by their features with a learning-to-rank release, by their texts with a search release."""
    settings: Settings = request.app.state.settings
    check_limit(settings, len(body.candidates), "max_candidates", "body.candidates")
    check_limit(settings, len(body.query or ""), "max_query", "body.query")
    check_limit(settings, body.k or 1, "max_candidates", "body.k")
    live: LiveRelease = request.app.state.live_rerank
    by_features = body.candidates[0].features is not None
    if by_features:
        champion: Release = answering(request, live, RerankRelease)
    else:
        champion = live.release()
        if champion.engine is None:
            raise wrong_ranker(champion, live, SearchRelease.answers)
        request.scope["state"]["ranker"] = champion.ranker

    async def ask(release: Release) -> np.ndarray:
        with span("rank", release=release.name, candidates=len(body.candidates)):
            if isinstance(release, RerankRelease):
                return release.model.scores(_features(body, release))
            assert release.engine is not None and body.query is not None
            documents = [Document(one.id, one.title, one.text or "") for one in body.candidates]
            return await computed(release.engine.rerank, body.query, documents)

    participation: Participation = request.app.state.participation
    assigned = participation.assigned(request, "rerank", body.user, body.session)
    suits = _orders_features if by_features else _orders_texts
    turn = await participation.turns.ranked(assigned, live, champion, suits, ask)
    with span("encode"):
        answer = _reranked(request, turn, body)
    return Response(answer, media_type="application/json")


def _reranked(request: Request, turn: Turn[Release, np.ndarray], body: schemas.RerankBody) -> bytes:
    """A `RerankAnswer`, counted and written down."""
    ids = [candidate.id for candidate in body.candidates]
    request_id = request.scope["state"]["request_id"]
    orders = [np.argsort(-scores_C, kind="stable")[: body.k].tolist() for _, scores_C in turn.answers]
    shown = None
    if turn.is_mixed:
        assert turn.assigned is not None and turn.assigned.part.method is not None
        rankings = [[ids[place] for place in order] for order in orders]
        shown = mixed(turn.assigned.part.method, rankings, len(orders[0]), request_id)
        place_of = {item: place for place, item in enumerate(ids)}
        ranked = [(place_of[item], turn.answers[team][1]) for item, team in zip(shown.items, shown.teams, strict=True)]
    else:
        ranked = [(place, turn.answers[0][1]) for place in orders[0]]
    answer = {
        "request_id": request_id,
        "ranker": turn.release.ranker,
        "release": turn.release.name,
        "experiment": None if turn.assigned is None else turn.assigned.part.experiment,
        "variant": None if turn.assigned is None else turn.assigned.part.variant,
        "fallback": CHAMPION if turn.is_fallback else None,
        "items": [
            {"rank": rank, "score": float(scores_C[place]), "id": ids[place]}
            for rank, (place, scores_C) in enumerate(ranked, 1)
        ],
    }
    request.scope["state"]["ranker"] = turn.release.ranker
    note(request, turn.release, turn.assigned, CHAMPION if turn.is_fallback else None)
    participation: Participation = request.app.state.participation
    if participation.records(turn):
        items = [ids[place] for place, _ in ranked]
        asked = {"request_id": request_id, "user": body.user, "session": body.session}
        participation.record(request, "rerank", turn, items, **asked, mixed=shown)
    return orjson.dumps(answer)


def _orders_features(release: Release) -> bool:
    return isinstance(release, RerankRelease)


def _orders_texts(release: Release) -> bool:
    return release.engine is not None


def _features(body: schemas.RerankBody, release: RerankRelease) -> np.ndarray:
    wanted = release.model.num_features
    wrong = [
        (f"body.candidates.{place}.features", f"{len(one.features or ())} numbers; {release.name} learned from {wanted}")
        for place, one in enumerate(body.candidates)
        if len(one.features or ()) != wanted
    ]
    if wrong:
        raise QueryInvalid(f"{wrong[0][0]}: {wrong[0][1]}", wrong)
    features_CF = np.array([one.features for one in body.candidates], dtype=np.float64)
    beyond = np.argwhere(np.abs(features_CF) > np.finfo(np.float32).max)
    if len(beyond):
        place = f"body.candidates.{beyond[0][0]}.features.{beyond[0][1]}"
        raise QueryInvalid(f"{place}: too large; expected single precision", [(place, "too large")])
    return features_CF.astype(np.float32)
