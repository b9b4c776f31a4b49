"""Routes that parse a request themselves: what they read is documented from the endpoint's signature, without its cost per request.

FastAPI solves dependencies and validates each parameter for itself on every request, and its router enters several contexts on the way,
which together take longer than ranking 20,000 items does. An endpoint here takes the request, its path parameters, and one model:
`query` from the URL or `body` from JSON; `Shortcut` calls it before the router is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, get_type_hints
from urllib.parse import parse_qsl

import orjson
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import invalid, known_problem, method_problem
from app.errors import BodyTooLarge, MalformedJson, MediaTypeUnsupported
from app.telemetry import span

_ANYTHING = r"[\s\S]*"
"""Ids may hold line breaks too."""
_ITEM = r"(?:(?!/similar\Z)[\s\S])*"
"""What ends so is the question for similar items, by whatever method; an item with such an id is put with others, by `/v1/items`."""


class DirectRoute(APIRoute):
    """See the module."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        is_item = path.endswith("/items/{item_id:path}")
        self.path_regex = re.compile(self.path_regex.pattern.replace(".*", _ITEM if is_item else _ANYTHING))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint with its model parsed from the URL or the body, and nothing else between."""
        endpoint = self.endpoint
        hints = get_type_hints(endpoint, include_extras=True)
        if "query" in hints:
            parameters: type[BaseModel] = get_type_hints(endpoint)["query"]
            lists = {name for name, field in parameters.model_fields.items() if field.annotation == list[str]}

            async def with_query(request: Request) -> Response:
                with span("parse"):
                    query = _parsed(request, parameters, lists)
                answer: Response = await endpoint(request, query=query, **request.path_params)
                return answer

            return with_query
        adapter: TypeAdapter[Any] = TypeAdapter(hints["body"])

        async def with_body(request: Request) -> Response:
            with span("parse"):
                try:
                    body = adapter.validate_python(await _json(request), strict=True)
                except ValidationError as error:
                    raise invalid(error, "body") from error
            answer: Response = await endpoint(request, body=body, **request.path_params)
            return answer

        return with_body


class Shortcut:
    """Middleware that answers direct routes itself and hands everything else on.

    Args:
        app: what answers everything else.
        routes: where the direct ones among them are taken from. They stay in the router too, which documents them.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        direct = [route for route in routes if isinstance(route, DirectRoute)]
        self._routes = [
            (method, route.path_regex, route, route.get_route_handler()) for route in direct for method in route.methods or ()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or request."""
        if scope["type"] == "http":
            method, path = scope["method"], scope["path"]
            for wanted, pattern, route, handler in self._routes:
                if wanted == method and (match := pattern.match(path)) is not None:
                    scope["route"], scope["path_params"] = route, match.groupdict()
                    request = Request(scope, receive)
                    try:
                        response = await handler(request)
                    except Exception as error:
                        response = known_problem(request, error)
                    await response(scope, receive, send)
                    return
            if matching := [(wanted, route) for wanted, pattern, route, _ in self._routes if pattern.match(path)]:
                # The router would name the methods of one route alone, where several share the path.
                scope["route"] = matching[0][1]
                response = method_problem(Request(scope), sorted(wanted for wanted, _ in matching))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _parsed(request: Request, parameters: type[BaseModel], lists: set[str]) -> BaseModel:
    values: dict[str, Any] = {}
    for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name in lists:
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    try:
        return parameters.model_validate(values)
    except ValidationError as error:
        raise invalid(error, "query") from error


async def _json(request: Request) -> Any:
    """The body, parsed, within the service's limit.

    Raises:
        MediaTypeUnsupported: it is not declared as JSON.
        BodyTooLarge: it is longer than the limit; no more than that is read.
        MalformedJson: it is not JSON.
    """
    declared = request.headers.get("content-type", "")
    kind = declared.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise MediaTypeUnsupported(f"the body's content type is {declared or 'not given'!r}; expected application/json")
    limit: int = request.app.state.settings.max_body
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(
                f"the body is longer than {limit} bytes, which is this service's limit; send less in one request"
            )
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"the body is not JSON: {error}") from error
