"""`/v1`: searches of documents and items."""

from __future__ import annotations

from typing import Annotated

import faiss
import orjson
from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import Response

from app.api import search_schemas as schemas
from app.api.answering import BODY_PROBLEMS, check_limit, wrong_ranker
from app.api.direct import DirectRoute
from app.api.pages import MixedPages, Page, cursor, read_cursor, refused
from app.api.participation import OVERRIDABLE, Participation
from app.api.schemas import condition_on
from app.api.telling import note
from app.api.turns import CHAMPION, Turn
from app.api.waiting import computed
from app.bundle import Fusion
from app.experiments.interleaving import Interleaved
from app.releases import LiveRelease, Release, SearchRelease
from app.retrieval import Found, Place, SearchEngine, SearchQuestion
from app.settings import Settings
from app.telemetry import span

_AT_ONCE_K = 100
"""Searches further down, with facets, or with a user's taste, are answered beside the event loop."""

router = APIRouter(prefix="/v1", tags=["search"], route_class=DirectRoute)


@router.post(
    "/search",
    summary="Documents for a text, or a recommender's items by their metadata",
    response_model=schemas.SearchAnswer,
    responses=BODY_PROBLEMS,
    openapi_extra=OVERRIDABLE,
)
async def search(
    request: Request,
    body: Annotated[
        schemas.SearchBody,
        Body(
            openapi_examples={
                "plain": {"summary": "Some words", "value": {"query": "stem cells tracked by nanotechnology", "k": 3}},
                "filtered": {
                    "summary": "By words alone, of the nineties, with genres counted",
                    "value": {
                        "query": "star wars",
                        "mode": "lexical",
                        "filters": {"year": {"gte": 1990, "lte": 1999}},
                        "facets": ["genres"],
                        "personalise": "196",
                    },
                },
                "fused": {
                    "summary": "A fusion of one's own, among some documents",
                    "value": {
                        "query": "how are glacier caves formed ?",
                        "mode": "hybrid",
                        "fusion": {"method": "reciprocal-ranks", "dense_weight": 1},
                        "candidates": ["s0", "s1", "s2", "s3"],
                    },
                },
            }
        ),
    ],
) -> Response:
    """The best documents for a text by words, vectors or both, with snippets, filters, facets and pages."""
    settings: Settings = request.app.state.settings
    check_limit(settings, body.k, "max_k", "body.k")
    check_limit(settings, len(body.query), "max_query", "body.query")
    check_limit(settings, len(body.candidates or ()), "max_candidates", "body.candidates")
    live: LiveRelease = request.app.state.live_search
    champion = live.release()
    if champion.engine is None:
        raise wrong_ranker(champion, live, SearchRelease.answers)
    request.scope["state"]["ranker"] = champion.ranker
    participation: Participation = request.app.state.participation
    assigned = participation.assigned(request, "search", _user(body), body.session)
    page = None if body.after is None else read_cursor(body.after, body)
    if page is not None and page.pages is not None:
        check_limit(settings, max(page.pages.sizes, default=0), "max_k", "body.after")
    pages: MixedPages | None = None
    if page is not None:
        pages = None if page.pages is None else page.pages.followed_by(body.k)
    elif assigned is not None and assigned.part.method is not None:
        pages = MixedPages(assigned.part.method, request.scope["state"]["request_id"]).followed_by(body.k)
    question = _question(body, body.k if pages is None else pages.depth, None if page is None else page.place)

    async def ask(release: Release) -> Found:
        assert release.engine is not None
        depth = question.k + (0 if question.after is None else question.after.rank)
        with span("rank", release=release.name):
            if depth > _AT_ONCE_K or question.facets or question.user is not None:
                return await computed(_alone, release.engine, question)
            return release.engine.search(question)

    if page is None:
        turn: Turn[Release, Found] | None = await participation.turns.ranked(assigned, live, champion, _searches, ask)
    else:
        turn = await participation.turns.continued(page.releases, assigned, live, _searches, ask)
    if turn is None:
        assert page is not None
        raise refused(f"the page before was of release {' and '.join(page.releases)}; begin at the top, without after")
    with span("encode"):
        answer = _encoded(request, turn, body, pages if turn.is_mixed else None)
    return Response(answer, media_type="application/json")


def _searches(release: Release) -> bool:
    return release.engine is not None


def _user(body: schemas.SearchBody) -> str | None:
    return body.personalise if body.user is None else body.user


def _alone(engine: SearchEngine, question: SearchQuestion) -> Found:
    faiss.omp_set_num_threads(1)  # counts for the calling thread
    return engine.search(question)


def _question(body: schemas.SearchBody, k: int, after: Place | None) -> SearchQuestion:
    return SearchQuestion(
        text=body.query,
        mode=body.mode,
        fusion=None if body.fusion is None else Fusion(body.fusion.method, body.fusion.dense_weight),
        k=k,
        after=after,
        filters=tuple(condition_on(field, wanted) for field, wanted in body.filters.items()),
        facets=tuple(dict.fromkeys(body.facets)),
        among=None if body.candidates is None else tuple(body.candidates),
        user=body.personalise,
        user_weight=body.user_weight,
    )


def _encoded(request: Request, turn: Turn[Release, Found], body: schemas.SearchBody, pages: MixedPages | None) -> bytes:
    """A `SearchAnswer`, put together from cards that were encoded when the release was loaded; counted and written down."""
    release, found = turn.answers[0]
    engine = _engine(release)
    request_id, shown = request.scope["state"]["request_id"], None
    if pages is None:
        places = [(engine, row, score) for row, score in zip(found.rows, found.scores, strict=True)]
        snippets = engine.snippets(found.rows, body.query)
        first_rank = found.first_rank
        end = None if found.end is None else Page((release.name,), found.end)
    else:
        shown, places, has_more = _mixed(turn, pages)
        snippets = [engine.snippets([row], body.query)[0] for engine, row, _ in places]
        first_rank = pages.depth - pages.sizes[-1] + 1
        end = Page(tuple(release.name for release, _ in turn.answers), pages=pages) if has_more else None
    items = b",".join(
        b'{"rank":%d,"score":%b,%b,"snippet":%b}' % (rank, repr(score).encode(), engine.card(row), orjson.dumps(snippet))
        for rank, ((engine, row, score), snippet) in enumerate(zip(places, snippets, strict=True), first_rank)
    )
    request.scope["state"]["ranker"] = release.ranker
    note(request, release, turn.assigned, CHAMPION if turn.is_fallback else None)
    participation: Participation = request.app.state.participation
    if participation.records(turn):
        ids = [engine.id(row) for engine, row, _ in places]
        asked = {"request_id": request_id, "user": _user(body), "session": body.session}
        participation.record(request, "search", turn, ids, **asked, mixed=shown)
    rest = {"facets": found.facets, "next": None if end is None else cursor(end, body)}
    return (
        b'{"request_id":"%b","ranker":%b,"release":"%b",%b,"fallback":%b,"mode":"%b","personalised":%b,"total":%d,'
        b'"items":[%b],%b'
        % (
            request_id.encode(),
            orjson.dumps(release.ranker),
            release.name.encode(),
            turn.named,
            b'"%b"' % CHAMPION.encode() if turn.is_fallback else b"null",
            found.mode.encode(),
            b"true" if found.personalised else b"false",
            found.total,
            items,
            orjson.dumps(rest)[1:],
        )
    )


def _mixed(turn: Turn[Release, Found], pages: MixedPages) -> tuple[Interleaved, list[tuple[SearchEngine, int, float]], bool]:
    """The last of the pages, where its items stand in their own rankers, and whether there is more."""
    places: list[dict[str, tuple[SearchEngine, int, float]]] = []
    for release, found in turn.answers:
        engine = _engine(release)
        places.append({engine.id(row): (engine, row, score) for row, score in zip(found.rows, found.scores, strict=True)})
    shown, has_more = pages.last([list(ranking) for ranking in places])
    chosen = [places[team][item] for item, team in zip(shown.items, shown.teams, strict=True)]
    has_more = has_more or any(found.end is not None for _, found in turn.answers)
    return shown, chosen, has_more and not pages.is_last


def _engine(release: Release) -> SearchEngine:
    assert release.engine is not None
    return release.engine
