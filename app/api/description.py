"""The service's description of itself (OpenAPI): what FastAPI makes of the routes, and what it cannot know of them.

That is what happens around the routes, to requests of every kind: keys, limits, headers, connections. Programs are written by it, and
`tests/fuzz` asks thousands of times whether it is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from app.api.access import role_of
from app.api.keys import LiveKeys
from app.api.problems import MEDIA_TYPE, PROBLEM, Problem
from app.api.schemas import LIMITS
from app.settings import Settings

_REQUEST_ID = "x-request-id"
_HEADERS: dict[str, dict[str, Any]] = {
    _REQUEST_ID: {
        "description": "The request's id, which the service's log and its answers name too.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
    "Retry-After": {
        "description": "Seconds after which to ask again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "How to ask for it: by a key, and by which role.",
        "schema": {"type": "string", "pattern": '^Bearer realm="irgan"'},
    },
    "Allow": {
        "description": "The methods that the path knows.",
        "schema": {"type": "string", "pattern": "^[A-Z]+(, [A-Z]+)*$"},
    },
}
_OF_STATUS = {"401": "WWW-Authenticate", "405": "Allow", "429": "Retry-After", "503": "Retry-After"}
"""Headers that an answer always has."""
_EVERYWHERE = {
    "400": "What arrived is not HTTP",
    "405": "The path knows other methods only, which `Allow` names",
    "408": "The request was not complete in time; the connection ends",
    "413": "More arrives than the service reads; the connection ends",
    "431": "The request line and the headers are too long; the connection ends",
    "500": "A mistake of the service; its log names the request by its `request_id`",
}
_BY_CONNECTION = frozenset(("400", "408", "413", "431"))
"""These may be said before there is a request that could have an id."""
_WITH_ROLE = {
    "401": "No API key came along, or one that does not count",
    "403": "The API key has not the role that this needs; or, where no keys are asked for, a browser asks for a page of another site",
    "429": "More requests than the service's limit for one caller; try again after the seconds in `Retry-After`",
    "503": "The service does not know yet whose keys count, since its store cannot be read",
}
_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key: `irgan keys create NAME --role ROLE`. As long as a service has none, nobody needs one.",
}
_RANKED = "A ranking, and who made it. Send its `request_id` with what becomes of it."
_CREDITED = {
    "operationId": "post_events",
    "description": "That somebody chose the first item, and which answer it stood in.",
    "requestBody": {
        "id": "$response.body#/request_id",
        "type": "click",
        "item": "$response.body#/items/0/id",
        "request_id": "$response.body#/request_id",
        "position": 1,
    },
}
_NAMED = {"name": "$response.body#/name"}
_ONE_ITEM = {"item_id": "$request.path.item_id"}
_LINKS: dict[str, dict[str, dict[str, Any]]] = {
    "recommend_to_user": {
        "credit": _CREDITED,
        "similar": {"operationId": "similar_items", "parameters": {"item_id": "$response.body#/items/0/id"}},
    },
    "similar_items": {"credit": _CREDITED},
    "search": {"credit": _CREDITED},
    "put_item": {
        "replace": {"operationId": "put_item", "parameters": _ONE_ITEM},
        "delete": {"operationId": "delete_item", "parameters": _ONE_ITEM},
    },
    "create_experiment": {
        short: {"operationId": f"{short}_experiment", "parameters": _NAMED} for short in ("show", "start", "change")
    },
    "start_experiment": {
        "stop": {"operationId": "stop_experiment", "parameters": _NAMED},
        "conclude": {"operationId": "conclude_experiment", "parameters": _NAMED},
        "report": {"operationId": "report_on_experiment", "parameters": _NAMED},
    },
}
"""What can be asked next, by operation."""


def describe(app: FastAPI, settings: Settings, keys: LiveKeys) -> None:
    """Let the service describe itself as it is.

    Args:
        app: its routes are described.
        settings: their limits are told.
        keys: whether they are asked for is told as it is when the description is read.
    """
    described_by_fastapi = app.openapi
    documents: dict[bool, dict[str, Any]] = {}

    def described() -> dict[str, Any]:
        is_open = keys.is_open
        if is_open not in documents:
            documents[is_open] = _completed(deepcopy(described_by_fastapi()), settings, is_open=is_open)
        return documents[is_open]

    app.openapi = described  # type: ignore[method-assign] # as FastAPI's own documentation does


def _completed(document: dict[str, Any], settings: Settings, *, is_open: bool) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs") | {"Problem": problem}
    components["headers"] = {name: {"required": True, **header} for name, header in _HEADERS.items()}
    components["securitySchemes"] = {"key": _SCHEME}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                _as_text(parameter)
            for media in operation.get("requestBody", {}).get("content", {}).values():
                _exemplify(media, schemas)
            responses = operation["responses"]
            for status, text in _EVERYWHERE.items():
                _say(responses, status, text)
            if (role := role_of(method.upper(), path)) is not None:
                operation["security"] = [{"key": []}, *([{}] if is_open else [])]
                operation["description"] += f"\n\nNeeds the role `{role}`."
                for status, text in _WITH_ROLE.items():
                    _say(responses, status, text)
            for status, response in responses.items():
                _complete_response(response, status, schemas)
                if status.startswith("2"):
                    response["links"] = _LINKS.get(operation["operationId"], {})
            operation["responses"] = dict(sorted(responses.items()))
    for schema in _schemas(document):
        _limit(schema, settings)
    return document


def _say(responses: dict[str, Any], status: str, text: str) -> None:
    """A status more, or one more reason for it."""
    response = responses.setdefault(status, {"content": {MEDIA_TYPE: {"schema": PROBLEM}}})
    said = response.get("description")
    response["description"] = text if said is None else f"{said}. Or: {text[0].lower()}{text[1:]}"


def _complete_response(response: dict[str, Any], status: str, schemas: dict[str, Any]) -> None:
    names = [_OF_STATUS[status]] if status in _OF_STATUS else []
    if status not in _BY_CONNECTION:
        names.append(_REQUEST_ID)
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    if status in _BY_CONNECTION:
        headers[_REQUEST_ID] = {key: value for key, value in _HEADERS[_REQUEST_ID].items() if key != "required"}
    response["headers"] = headers
    if response["description"] == "Successful Response":
        schema = response["content"].get("application/json", {}).get("schema", {})
        name = schema.get("$ref", "").rpartition("/")[2]
        response["description"] = schemas[name]["description"] if name in schemas else _RANKED


def _exemplify(media: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A body has the examples of its schema where it has none of its own."""
    if "examples" not in media:
        values = schemas[media["schema"]["$ref"].rpartition("/")[2]]["examples"]
        media["examples"] = {f"example-{n}": {"summary": "For example", "value": value} for n, value in enumerate(values, 1)}


def _limit(schema: dict[str, Any], settings: Settings) -> None:
    for word, setting in schema.pop(LIMITS, {}).items():
        schema[word] = getattr(settings, setting)
    if schema.get("type") == "integer":  # FastAPI makes their ends floats, which not every reader takes for the same number
        schema |= {word: int(schema[word]) for word in ("minimum", "maximum") if word in schema}


def _as_text(parameter: dict[str, Any]) -> None:
    """A parameter of a URL is text, or is not there; it is neither null nor a number that stands for text."""
    schema = parameter["schema"]
    if parameter["in"] == "query" and "anyOf" in schema:
        kinds = [kind for kind in _flat(schema.pop("anyOf")) if kind.get("type") != "null"]
        schema |= next((kind for kind in kinds if kind.get("type") == "string"), kinds[0])


def _flat(kinds: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for kind in kinds:
        yield from _flat(kind["anyOf"]) if "anyOf" in kind else [kind]


def _schemas(part: Any) -> Iterator[dict[str, Any]]:
    """Everything in a document that may be a schema."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _schemas(inner)
