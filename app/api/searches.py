"""`/v1`: searches of documents and items, and the order of candidates."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from typing import Annotated

import faiss
import numpy as np
import orjson
from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import Response

from app.api import search_schemas as schemas
from app.api.answering import BODY_PROBLEMS, answering, check_limit, wrong_ranker
from app.api.direct import DirectRoute
from app.api.schemas import condition_on
from app.bundle import Fusion
from app.errors import QueryInvalid
from app.releases import LiveRelease, Release, RerankRelease, SearchRelease
from app.retrieval import Document, Found, Place, SearchEngine, SearchQuestion
from app.settings import Settings

_AT_ONCE_K = 100
"""Searches further down, with facets, or with a user's taste, are answered beside the event loop."""

router = APIRouter(prefix="/v1", tags=["search"], route_class=DirectRoute)


@router.post(
    "/search",
    summary="Documents for a text, or a recommender's items by their metadata",
    response_model=schemas.SearchAnswer,
    responses=BODY_PROBLEMS,
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
    release = live.release()
    if release.engine is None:
        raise wrong_ranker(release, live, SearchRelease.answers)
    request.scope["state"]["ranker"] = release.ranker
    question = _question(body, release)
    depth = question.k + (0 if question.after is None else question.after.rank)

    def answer() -> bytes:
        assert release.engine is not None
        return _encoded(request, release, release.engine, body, release.engine.search(question))

    if depth > _AT_ONCE_K or question.facets or question.user is not None:
        content = await asyncio.to_thread(_alone, answer)
    else:
        content = answer()
    return Response(content, media_type="application/json")


@router.post(
    "/rerank",
    summary="The order of a query's candidates",
    response_model=schemas.RerankAnswer,
    responses=BODY_PROBLEMS,
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
    live: LiveRelease = request.app.state.live_rerank
    if body.candidates[0].features is not None:
        release: Release = answering(request, live, RerankRelease)
        assert isinstance(release, RerankRelease)
        scores_C = release.model.scores(_features(body, release))
    else:
        release = live.release()
        if release.engine is None:
            raise wrong_ranker(release, live, SearchRelease.answers)
        request.scope["state"]["ranker"] = release.ranker
        assert body.query is not None
        check_limit(settings, len(body.query), "max_query", "body.query")
        documents = [Document(one.id, one.title, one.text or "") for one in body.candidates]
        scores_C = await asyncio.to_thread(release.engine.rerank, body.query, documents)
    order = np.argsort(-scores_C, kind="stable")[: body.k]
    answer = {
        "request_id": request.scope["state"]["request_id"],
        "ranker": release.ranker,
        "release": release.name,
        "experiment": None,
        "variant": None,
        "items": [
            {"rank": rank, "score": float(scores_C[place]), "id": body.candidates[place].id}
            for rank, place in enumerate(order.tolist(), 1)
        ],
    }
    return Response(orjson.dumps(answer), media_type="application/json")


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


def _alone(answer: Callable[[], bytes]) -> bytes:
    faiss.omp_set_num_threads(1)  # counts for the calling thread
    return answer()


def _question(body: schemas.SearchBody, release: Release) -> SearchQuestion:
    return SearchQuestion(
        text=body.query,
        mode=body.mode,
        fusion=None if body.fusion is None else Fusion(body.fusion.method, body.fusion.dense_weight),
        k=body.k,
        after=None if body.after is None else _read_cursor(body.after, body, release),
        filters=tuple(condition_on(field, wanted) for field, wanted in body.filters.items()),
        facets=tuple(dict.fromkeys(body.facets)),
        among=None if body.candidates is None else tuple(body.candidates),
        user=body.personalise,
        user_weight=body.user_weight,
    )


def _encoded(request: Request, release: Release, engine: SearchEngine, body: schemas.SearchBody, found: Found) -> bytes:
    """A `SearchAnswer`, put together from cards that were encoded when the release was loaded."""
    snippets = engine.snippets(found.rows, body.query)
    items = b",".join(
        b'{"rank":%d,"score":%b,%b,"snippet":%b}' % (rank, repr(score).encode(), engine.card(row), orjson.dumps(snippet))
        for rank, (row, score, snippet) in enumerate(zip(found.rows, found.scores, snippets, strict=True), found.first_rank)
    )
    rest = {
        "facets": found.facets,
        "next": None if found.end is None else _cursor(found.end, body, release),
    }
    return (
        b'{"request_id":"%b","ranker":%b,"release":"%b","experiment":null,"variant":null,"mode":"%b","personalised":%b,"total":%d,'
        b'"items":[%b],%b'
        % (
            request.scope["state"]["request_id"].encode(),
            orjson.dumps(release.ranker),
            release.name.encode(),
            found.mode.encode(),
            b"true" if found.personalised else b"false",
            found.total,
            items,
            orjson.dumps(rest)[1:],
        )
    )


def _cursor(end: Place, body: schemas.SearchBody, release: Release) -> str:
    content = orjson.dumps([release.name, _digest(body), end.score, end.id, end.row, end.rank])
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read_cursor(cursor: str, body: schemas.SearchBody, release: Release) -> Place:
    """The place that a cursor names.

    Raises:
        QueryInvalid: it is none, or of another release or another search.
    """
    try:
        name, digest, score, item, row, rank = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        place = Place(float(score), str(item), int(row), int(rank))
        if place.rank < 1:
            raise ValueError("ranks begin at 1")
    except (ValueError, TypeError) as error:
        message = "this is no place in a ranking; send what stood in next of the page before, or nothing to begin at the top"
        raise QueryInvalid(f"body.after: {message}", [("body.after", message)]) from error
    if (name, digest) != (release.name, _digest(body)):
        found = f"release {name}" if name != release.name else "another search"
        message = f"the page before was of {found}; begin at the top, without after"
        raise QueryInvalid(f"body.after: {message}", [("body.after", message)])
    return place


def _digest(body: schemas.SearchBody) -> str:
    """What must be the same from page to page."""
    same = body.model_dump_json(exclude={"after", "k", "facets"})
    return hashlib.blake2b(same.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
