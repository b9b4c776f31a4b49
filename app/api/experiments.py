"""`/v1/experiments`: comparing releases on live traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import orjson
from fastapi import APIRouter, Body, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.api import experiment_schemas as schemas
from app.api.access import asked_by
from app.api.direct import DirectRoute
from app.api.participation import Participation
from app.api.problems import documented
from app.experiments.definition import Experiment
from app.experiments.errors import ChangeInvalid
from app.experiments.kept import KeptExperiment
from app.experiments.lifecycle import Experiments

_STORE = documented(
    {422: "The request has parameters that are not known here", 503: "The store cannot be used; nothing has changed"}
)
_UNKNOWN = _STORE | documented({404: "There is no such experiment"})
_CHANGES = _UNKNOWN | documented({409: "The experiment's state, or another experiment, does not allow it; nothing has changed"})
_INVALID = documented({422: "The change, or a variant's release, cannot be used"})
_BODY = documented(
    {
        400: "The body is not JSON",
        413: "The body is too long",
        415: "The body is not declared as JSON",
        422: "The definition or the change is not valid, each place being named",
    }
)

router = APIRouter(prefix="/v1", tags=["experiments"], route_class=DirectRoute)

NameInPath = Annotated[str, Path(description="The experiment's name.", examples=["history-or-popular"])]


@router.post(
    "/experiments",
    summary="Create an experiment",
    status_code=201,
    response_model=schemas.ExperimentState,
    responses=_STORE | _BODY | documented({409: "There is an experiment by that name"}),
)
async def create_experiment(
    request: Request,
    body: Annotated[
        Experiment,
        Body(openapi_examples={"ab": {"summary": "A new ranker beside the champion", "value": schemas.DEFINITION}}),
    ],
) -> Response:
    """A draft, which nobody takes part in until it is started."""
    return await _told(request, lambda experiments: experiments.create(body), status=201)


@router.get("/experiments", summary="All experiments", response_model=schemas.ExperimentList, responses=_STORE)
async def list_experiments(request: Request, query: Annotated[schemas.Nothing, Query()]) -> Response:  # noqa: ARG001 - no parameters
    """By name."""
    experiments: Experiments = request.app.state.experiments
    found = await asyncio.to_thread(experiments.all)
    return _json({"experiments": [one.as_json() for one in found]})


@router.get("/experiments/{name}", summary="One experiment", response_model=schemas.ExperimentState, responses=_UNKNOWN)
async def show_experiment(request: Request, name: NameInPath, query: Annotated[schemas.Nothing, Query()]) -> Response:  # noqa: ARG001 - no parameters
    """Its definition, its state, and which releases its variants are."""
    experiments: Experiments = request.app.state.experiments
    return _json((await asyncio.to_thread(experiments.get, name)).as_json())


@router.patch(
    "/experiments/{name}",
    summary="Change weights, traffic or overrides",
    response_model=schemas.ExperimentState,
    responses=_CHANGES | _BODY,
)
async def change_experiment(request: Request, name: NameInPath, body: Annotated[schemas.ExperimentChanges, Body()]) -> Response:
    """Also while it runs: units that have seen a variant keep it, and of the others no more change theirs than must."""
    return await _told(
        request,
        lambda experiments: experiments.update(name, weights=body.weights, traffic=body.traffic, overrides=body.overrides),
    )


@router.post(
    "/experiments/{name}/start",
    summary="Start an experiment",
    response_model=schemas.ExperimentState,
    responses=_CHANGES | _INVALID,
)
async def start_experiment(request: Request, name: NameInPath, query: Annotated[schemas.Nothing, Query()]) -> Response:  # noqa: ARG001 - no parameters
    """From now on units take part. A slot among the variants stands for the release it points to now."""
    return await _told(request, lambda experiments: experiments.start(name))


@router.post(
    "/experiments/{name}/stop", summary="Stop an experiment", response_model=schemas.ExperimentState, responses=_CHANGES
)
async def stop_experiment(request: Request, name: NameInPath, query: Annotated[schemas.Nothing, Query()]) -> Response:  # noqa: ARG001 - no parameters
    """The champion answers everybody again. It can be started again: units then see what they saw."""
    return await _told(request, lambda experiments: experiments.stop(name))


@router.post(
    "/experiments/{name}/conclude",
    summary="Conclude an experiment",
    response_model=schemas.ExperimentState,
    responses=_CHANGES | _BODY,
)
async def conclude_experiment(request: Request, name: NameInPath, body: Annotated[schemas.Conclusion, Body()]) -> Response:
    """It ends for good, with a winner or none. What answers in the slots does not change: publish the winner's release."""
    return await _told(request, lambda experiments: experiments.conclude(name, winner=body.winner, reason=body.reason))


async def _told(request: Request, change: Callable[[Experiments], KeptExperiment], *, status: int = 200) -> Response:
    """Change something, act on it in this process, and tell what it is now."""
    try:
        return await _changed(request, change, status)
    except ChangeInvalid as error:  # what is wrong stood in the body
        places = [(f"body.{place}" if place else "body", message) for place, message in error.problems]
        raise ChangeInvalid(str(error), places) from error


async def _changed(request: Request, change: Callable[[Experiments], KeptExperiment], status: int) -> Response:
    experiments: Experiments = request.app.state.experiments
    participation: Participation = request.app.state.participation
    changed = await asyncio.to_thread(change, experiments.for_somebody(asked_by(request)))
    request.app.state.reports.forget(changed.name)
    await asyncio.to_thread(participation.experiments.follow)
    return _json(changed.as_json(), status)


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")
