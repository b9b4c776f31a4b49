"""`/v1`: recommendations and similar items."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import faiss
import orjson
from fastapi import APIRouter, Body, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.api import schemas
from app.api.answering import BODY_PROBLEMS, PROBLEMS, answering, check_limit, documented
from app.api.direct import DirectRoute
from app.api.gathering import Gathering
from app.bundle import UnknownId
from app.errors import QueryInvalid
from app.releases import RecommenderRelease
from app.retrieval import Likeness, Ranking
from app.retrieval import Query as Question
from app.settings import Settings

_AT_ONCE_K = 200
"""Questions for more items than this, and diverse ones for a tenth of it, are answered beside the event loop."""


router = APIRouter(prefix="/v1", tags=["rankings"], route_class=DirectRoute)


@router.get(
    "/recommendations/{user_id:path}",
    summary="Recommendations for a known user",
    response_model=schemas.RankingAnswer,
    responses=PROBLEMS,
)
async def recommend_to_user(
    request: Request,
    user_id: Annotated[str, Path(description="The user's id in the data that the ranker learned from.", examples=["196"])],
    query: Annotated[schemas.RecommendationParameters, Query()],
) -> Response:
    """The best items for a user. A user whom the ranker does not know gets the most popular ones, and `fallback` says so."""
    if not user_id:
        message = "the path ends before a user's id"
        raise QueryInvalid(f"path.user_id: {message}", [("path.user_id", message)])
    question = Question(
        user=user_id, k=query.k, exclude_seen=query.exclude_seen, filters=query.conditions(), diversity=query.diversity
    )
    return await _answered(request, question)


@router.post(
    "/recommendations",
    summary="Recommendations for a history, or for several at once",
    response_model=schemas.RankingAnswer | schemas.BatchAnswer,
    responses=BODY_PROBLEMS,
)
async def recommend(
    request: Request,
    body: Annotated[
        schemas.RecommendationBody,
        Body(
            openapi_examples={
                "history": {
                    "summary": "Someone never seen before, by three films",
                    "value": {"history": [{"item": "50", "rating": 5}, {"item": "172", "rating": 4}, {"item": "1"}], "k": 5},
                },
                "filtered": {
                    "summary": "Comedies and dramas of the nineties, unlike each other",
                    "value": {
                        "user": "196",
                        "filters": {"genres": ["Comedy", "Drama"], "year": {"gte": 1990, "lte": 1999}},
                        "exclude": ["127"],
                        "diversity": 0.3,
                    },
                },
                "batch": {
                    "summary": "Two questions",
                    "value": {"requests": [{"user": "196"}, {"history": [{"item": "50"}], "k": 3}]},
                },
            }
        ),
    ],
) -> Response:
    """The best items for whoever has the history, without retraining; with `requests`, an answer to each of several questions."""
    settings: Settings = request.app.state.settings
    if isinstance(body, schemas.RecommendationRequest):
        _check_lists(settings, body, "body")
        return await _answered(request, body.query())
    check_limit(settings, len(body.requests), "max_batch", "body.requests")
    for position, one in enumerate(body.requests):
        check_limit(settings, one.k, "max_k", f"body.requests.{position}.k")
        _check_lists(settings, one, f"body.requests.{position}")
    release = answering(request, request.app.state.live, RecommenderRelease)
    questions = [_without_deleted(release, one.query()) for one in body.requests]
    rankings = await asyncio.to_thread(_rank_all, release, questions)
    request_id = request.scope["state"]["request_id"]
    answers = [_encoded(request, release, ranking, f"{request_id}-{n}") for n, ranking in enumerate(rankings)]
    return Response(b'{"answers":[%b]}' % b",".join(answers), media_type="application/json")


@router.get(
    "/items/{item_id:path}/similar",
    summary="Items like an item",
    response_model=schemas.RankingAnswer,
    responses=PROBLEMS | documented({404: "The catalogue holds no such item"}),
)
async def similar_items(
    request: Request,
    item_id: Annotated[str, Path(description="The item's id in the catalogue.", examples=["50"])],
    query: Annotated[schemas.SimilarParameters, Query()],
) -> Response:
    """The items most like one, by the cosine of what the ranker learned of them; popularity as such plays no part."""
    check_limit(request.app.state.settings, query.k, "max_k", "query.k")
    release = answering(request, request.app.state.live, RecommenderRelease)
    gathering: Gathering = request.app.state.gathering
    deleted = _deleted(release)
    if item_id in deleted:
        raise UnknownId("item", [item_id])
    likeness = Likeness(item_id, query.k, query.conditions(), query.diversity, deleted)
    ranking = await gathering.ask(release.similar.similar_all, likeness)
    return _response(request, release, ranking)


async def _answered(request: Request, question: Question) -> Response:
    place = "query.k" if request.method == "GET" else "body.k"
    check_limit(request.app.state.settings, question.k, "max_k", place)
    release = answering(request, request.app.state.live, RecommenderRelease)
    question = _without_deleted(release, question)
    gathering: Gathering = request.app.state.gathering
    if question.k * (10 if question.diversity else 1) > _AT_ONCE_K:
        ranking = (await asyncio.to_thread(_rank_all, release, [question]))[0]
    else:
        ranking = await gathering.ask(release.recommender.recommend_all, question)
    return _response(request, release, ranking)


def _without_deleted(release: RecommenderRelease, question: Question) -> Question:
    """The question, not to be answered with items that were deleted."""
    deleted = _deleted(release)
    return replace(question, exclude=[*question.exclude, *deleted]) if deleted else question


def _deleted(release: RecommenderRelease) -> frozenset[str]:
    """Items that were deleted since the bundle was made."""
    return frozenset() if release.engine is None else release.engine.deleted


def _rank_all(release: RecommenderRelease, questions: list[Question]) -> list[Ranking]:
    faiss.omp_set_num_threads(1)  # counts for the calling thread
    return release.recommender.recommend_all(questions)


def _response(request: Request, release: RecommenderRelease, ranking: Ranking) -> Response:
    return Response(_encoded(request, release, ranking, request.scope["state"]["request_id"]), media_type="application/json")


def _encoded(request: Request, release: RecommenderRelease, ranking: Ranking, request_id: str) -> bytes:
    """A `RankingAnswer`, put together from what was encoded when the release was loaded."""
    fallback = b"null"
    if ranking.fallback is not None:
        fallback = b'"%b"' % ranking.fallback.encode()
        request.app.state.metrics.fallback(release.ranker, ranking.fallback)
    return (
        b'{"request_id":"%b","ranker":%b,"release":"%b","experiment":null,"variant":null,"fallback":%b,"unknown_items":%b,"items":%b}'
        % (
            request_id.encode(),
            orjson.dumps(release.ranker),
            release.name.encode(),
            fallback,
            orjson.dumps(ranking.unknown_items) if ranking.unknown_items else b"[]",
            release.cards.ranked(ranking.rows.tolist(), ranking.scores.tolist()),
        )
    )


def _check_lists(settings: Settings, asked: schemas.RecommendationRequest, place: str) -> None:
    for name, length in (("history", len(asked.history or ())), ("exclude", len(asked.exclude))):
        check_limit(settings, length, "max_history", f"{place}.{name}")
