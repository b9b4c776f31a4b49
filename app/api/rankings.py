"""`/v1`: recommendations and similar items."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, NamedTuple

import faiss
import orjson
from fastapi import APIRouter, Body, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.api import schemas
from app.api.answering import BODY_PROBLEMS, PROBLEMS, answering, check_id, check_limit
from app.api.direct import DirectRoute
from app.api.gathering import Gathering
from app.api.participation import OVERRIDABLE, Participation
from app.api.problems import documented
from app.api.telling import note
from app.api.turns import CHAMPION, Turn
from app.api.waiting import computed
from app.bundle import UnknownId
from app.experiments.definition import Surface
from app.experiments.interleaving import Interleaved, mixed
from app.releases import LiveRelease, RecommenderRelease, Release
from app.retrieval import Likeness, Ranking, as_ranked
from app.retrieval import Query as Question
from app.settings import Settings
from app.telemetry import span

_AT_ONCE_K = 200
"""Questions for more items than this, and diverse ones for a tenth of it, are answered beside the event loop."""


router = APIRouter(prefix="/v1", tags=["rankings"], route_class=DirectRoute)


@router.get(
    "/recommendations/{user_id:path}",
    summary="Recommendations for a known user",
    response_model=schemas.RankingAnswer,
    responses=PROBLEMS,
    openapi_extra=OVERRIDABLE,
)
async def recommend_to_user(
    request: Request,
    user_id: Annotated[
        str,
        Path(
            description="The user's id in the data that the ranker learned from.",
            min_length=1,
            max_length=schemas.ID_LENGTH,
            examples=["196"],
        ),
    ],
    query: Annotated[schemas.RecommendationParameters, Query()],
) -> Response:
    """The best items for a user. A user whom the ranker does not know gets the most popular ones, and `fallback` says so."""
    check_id(user_id, "path.user_id")
    question = Question(
        user=user_id, k=query.k, exclude_seen=query.exclude_seen, filters=query.conditions(), diversity=query.diversity
    )
    return await _answered(request, question, user_id, query.session)


@router.post(
    "/recommendations",
    summary="Recommendations for a history, or for several at once",
    response_model=schemas.RankingAnswer | schemas.BatchAnswer,
    responses=BODY_PROBLEMS,
    openapi_extra=OVERRIDABLE,
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
        return await _answered(request, body.query(), body.user, body.session)
    check_limit(settings, len(body.requests), "max_batch", "body.requests")
    for position, one in enumerate(body.requests):
        check_limit(settings, one.k, "max_k", f"body.requests.{position}.k")
        _check_lists(settings, one, f"body.requests.{position}")
    live: LiveRelease = request.app.state.live
    champion = answering(request, live, RecommenderRelease)
    participation: Participation = request.app.state.participation
    assigned = [participation.assigned(request, "recommendations", one.user, one.session) for one in body.requests]
    questions = [one.query() for one in body.requests]

    def ask(release: RecommenderRelease, numbers: list[int]) -> list[Ranking]:
        with span("rank", release=release.name, questions=len(numbers)):
            return _rank_all(release, [_without_deleted(release, questions[number]) for number in numbers])

    state = request.scope["state"]
    rank = partial(participation.turns.ranked_together, began=state["started"])
    taken = participation.turns.taken_together(assigned, live, champion, _recommends)
    turns = await computed(rank, assigned, taken, champion, ask)
    request_id = state["request_id"]
    answers = [
        _encoded(request, turn, _Told("recommendations", f"{request_id}-{number}", one.k, one.user, one.session))
        for number, (turn, one) in enumerate(zip(turns, body.requests, strict=True))
    ]
    return Response(b'{"answers":[%b]}' % b",".join(answers), media_type="application/json")


@router.get(
    "/items/{item_id:path}/similar",
    summary="Items like an item",
    response_model=schemas.RankingAnswer,
    responses=PROBLEMS | documented({404: "The catalogue holds no such item"}),
    openapi_extra=OVERRIDABLE,
)
async def similar_items(
    request: Request,
    item_id: Annotated[
        str,
        Path(description="The item's id in the catalogue.", min_length=1, max_length=schemas.ID_LENGTH, examples=["50"]),
    ],
    query: Annotated[schemas.SimilarParameters, Query()],
) -> Response:
    """The items most like one, by the cosine of what the ranker learned of them; popularity as such plays no part."""
    check_id(item_id, "path.item_id")
    check_limit(request.app.state.settings, query.k, "max_k", "query.k")
    live: LiveRelease = request.app.state.live
    champion = answering(request, live, RecommenderRelease)
    participation: Participation = request.app.state.participation
    gathering: Gathering = request.app.state.gathering

    async def ask(release: RecommenderRelease) -> Ranking:
        deleted = _deleted(release)
        if item_id in deleted:
            raise UnknownId("item", [item_id])
        likeness = Likeness(item_id, query.k, query.conditions(), query.diversity, deleted)
        with span("rank", release=release.name):
            return await gathering.ask(release.similar.similar_all, likeness)

    assigned = participation.assigned(request, "similar", query.user, query.session)
    turn = await participation.turns.ranked(assigned, live, champion, _recommends, ask)
    told = _Told("similar", request.scope["state"]["request_id"], query.k, query.user, query.session)
    return Response(_encoded(request, turn, told), media_type="application/json")


async def _answered(request: Request, question: Question, user: str | None, session: str | None) -> Response:
    place = "query.k" if request.method == "GET" else "body.k"
    check_limit(request.app.state.settings, question.k, "max_k", place)
    live: LiveRelease = request.app.state.live
    champion = answering(request, live, RecommenderRelease)
    participation: Participation = request.app.state.participation
    gathering: Gathering = request.app.state.gathering

    async def ask(release: RecommenderRelease) -> Ranking:
        asked = _without_deleted(release, question)
        with span("rank", release=release.name):
            if question.k * (10 if question.diversity else 1) > _AT_ONCE_K:
                return (await computed(_rank_all, release, [asked]))[0]
            return await gathering.ask(release.recommender.recommend_all, asked)

    assigned = participation.assigned(request, "recommendations", user, session)
    if assigned is None:  # most of the time, and this path is the busiest
        turn = Turn(None, ((champion, await ask(champion)),))
    else:
        turn = await participation.turns.ranked(assigned, live, champion, _recommends, ask)
    told = _Told("recommendations", request.scope["state"]["request_id"], question.k, user, session)
    return Response(_encoded(request, turn, told), media_type="application/json")


def _recommends(release: Release) -> bool:
    return isinstance(release, RecommenderRelease)


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


class _Told(NamedTuple):
    """What an answer says beside its ranking."""

    surface: Surface
    request_id: str
    k: int
    user: str | None
    session: str | None


def _encoded(request: Request, turn: Turn[RecommenderRelease, Ranking], told: _Told) -> bytes:
    """A `RankingAnswer`, put together from what was encoded when the release was loaded; counted and written down."""
    with span("encode"):
        return _answer(request, turn, told)


def _answer(request: Request, turn: Turn[RecommenderRelease, Ranking], told: _Told) -> bytes:
    release, ranking = turn.answers[0]
    fallback: str | None = ranking.fallback
    shown = None
    rows = ranking.rows.tolist()
    if turn.is_mixed:
        shown, items = _mixed(turn, told)
        if not all(other.fallback for _, other in turn.answers):
            fallback = None
    else:
        items = release.cards.ranked(rows, ranking.scores.tolist())
    if fallback is not None:
        request.app.state.metrics.fallback(release.ranker, fallback)
    if turn.assigned is not None:
        request.scope["state"]["ranker"] = release.ranker
    participation: Participation = request.app.state.participation
    if participation.records(turn):
        ids = release.bundle.items.ids
        participation.record(
            request,
            told.surface,
            turn,
            [ids[row] for row in rows] if shown is None else shown.items,
            request_id=told.request_id,
            user=told.user,
            session=told.session,
            fallback=fallback,
            mixed=shown,
        )
    if turn.is_fallback:
        fallback = CHAMPION
    note(request, release, turn.assigned, fallback)
    return b'{"request_id":"%b","ranker":%b,"release":"%b",%b,"fallback":%b,"unknown_items":%b,"items":%b}' % (
        told.request_id.encode(),
        orjson.dumps(release.ranker),
        release.name.encode(),
        turn.named,
        b"null" if fallback is None else b'"%b"' % fallback.encode(),
        orjson.dumps(ranking.unknown_items) if ranking.unknown_items else b"[]",
        items,
    )


def _mixed(turn: Turn[RecommenderRelease, Ranking], told: _Told) -> tuple[Interleaved, bytes]:
    """One list of the rankings, and its items as JSON, each with the card and the score that its own ranker has for it."""
    rankings, cards = [], []
    for release, ranking in turn.answers:
        ids, rows = release.bundle.items.ids, ranking.rows.tolist()
        rankings.append([ids[row] for row in rows])
        scored = zip(rankings[-1], rows, ranking.scores.tolist(), strict=True)
        cards.append({item: (release.cards.fragment(row), score) for item, row, score in scored})
    assert turn.assigned is not None and turn.assigned.part.method is not None
    shown = mixed(turn.assigned.part.method, rankings, told.k, told.request_id)
    chosen = [cards[team][item] for item, team in zip(shown.items, shown.teams, strict=True)]
    return shown, as_ranked([fragment for fragment, _ in chosen], [score for _, score in chosen])


def _check_lists(settings: Settings, asked: schemas.RecommendationRequest, place: str) -> None:
    for name, length in (("history", len(asked.history or ())), ("exclude", len(asked.exclude))):
        check_limit(settings, length, "max_history", f"{place}.{name}")
