"""Who may ask what: keys, their roles, and how often. Between the request's id and the routes; see `docs/security.md`."""

from __future__ import annotations

from math import ceil

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.keys import LiveKeys
from app.api.limits import RateLimit, caller_of
from app.api.problems import KINDS, RETRY_AFTER_SECONDS, problem_response
from app.errors import KeyMissing, RoleMissing, TooManyRequests
from app.experiments.plan import OVERRIDE_HEADER
from app.store import KeyRecord, Role, StoreUnusable

_FREE = frozenset(("/health/live", "/health/ready", "/openapi.json", "/docs"))
"""For everybody: whether the service runs, and what every irgan's description says."""
_ASKING = frozenset(("/v1/recommendations", "/v1/search", "/v1/rerank"))
"""Questions whose body is too long for a URL."""
_METRICS = "/metrics"
_LOOKING = frozenset(("GET", "HEAD"))
_SCHEME = b"bearer "


def role_of(method: str, path: str) -> Role | None:
    """The role that a request needs; None where it needs no key. What is not known here needs an administrator, or to look, a reader."""
    if path in _FREE:
        return None  # by any method: others than GET are told which ones there are
    if method in _LOOKING:
        return "read"
    if method == "POST":
        if path in _ASKING:
            return "read"
        if path == "/v1/events":
            return "events"
    return "admin"


def asked_by(request: Request) -> str:
    """Who sent a request, for histories: a key by its name, or an address."""
    key = request.scope["state"].get("key")
    return f"{request.client.host if request.client else 'somebody'} over HTTP" if key is None else f"key {key}"


def allow_origins(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Let browsers send requests of pages from these origins, and show the pages the answers. Keys are never sent by themselves."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        allow_headers=("authorization", "content-type", OVERRIDE_HEADER),
        expose_headers=("x-request-id", "retry-after"),
    )


class Guard:
    """Middleware that lets only pass who may.

    Args:
        app: what answers who may.
        keys: that count.
        limit: of requests, for each key, or address without one; None for none.
        open_metrics: whether `/metrics` needs no key.
        origins: of web pages that may change something where no keys are asked for.
    """

    def __init__(
        self, app: ASGIApp, *, keys: LiveKeys, limit: RateLimit | None, open_metrics: bool, origins: tuple[str, ...]
    ) -> None:
        self._app = app
        self._keys = keys
        self._limit = limit
        self._open_metrics = open_metrics
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or request."""
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        role = role_of(scope["method"], scope["path"])
        if role is None:
            return None
        sent = _sent(scope)
        key = None if sent is None else self._keys.find(sent)
        scope["state"]["key"] = None if key is None else key.name
        if self._limit is not None and (wait := self._limit.take(_caller(scope, key))):
            return _too_many(scope, wait)
        if key is None:
            return self._without_key(scope, is_sent=sent is not None)
        return None if key.may(role) else _forbidden(scope, role, f"the key {key.name!r} has no role {role!r}")

    def _without_key(self, scope: Scope, *, is_sent: bool) -> Response | None:
        if self._keys.is_open:
            return self._foreign(scope)
        if self._open_metrics and scope["path"] == _METRICS:
            return None
        return _unauthorized(scope, is_sent=is_sent) if self._keys.is_known else _unknown(scope)

    def _foreign(self, scope: Scope) -> Response | None:
        """Pages of other sites can let a browser on this machine send requests; without keys nothing else stops them."""
        headers = {} if scope["method"] in _LOOKING else dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None or origin in self._origins or origin.partition(b"://")[2] == headers.get(b"host"):
            return None
        return problem_response(
            Request(scope),
            KINDS[RoleMissing],
            "without API keys, pages of other sites may not ask this (IRGAN_CORS_ORIGINS names those that may)",
        )


def _sent(scope: Scope) -> bytes | None:
    """The key that came along; empty where something else did, None where nothing did. Of several the last one counts."""
    sent = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            sent = value[len(_SCHEME) :].strip() if value[: len(_SCHEME)].lower() == _SCHEME else b""
    return sent


def _caller(scope: Scope, key: KeyRecord | None) -> object:
    if key is not None:
        return key.number
    return caller_of(scope["client"][0]) if scope.get("client") else ""


def _too_many(scope: Scope, wait: float) -> Response:
    return problem_response(
        Request(scope),
        KINDS[TooManyRequests],
        f"that is more than this service's limit for one caller (IRGAN_RATE_LIMIT); try again in {wait:.2g} s",
        headers={"Retry-After": str(ceil(wait))},
    )


def _unauthorized(scope: Scope, *, is_sent: bool) -> Response:
    why = (
        "the key that was sent does not count: there is no such key, or it was revoked, or it has expired"
        if is_sent
        else "this needs an API key"
    )
    challenge = 'Bearer realm="irgan"' + (', error="invalid_token"' if is_sent else "")
    return problem_response(
        Request(scope),
        KINDS[KeyMissing],
        f"{why}; send one as Authorization: Bearer KEY (irgan keys create makes them)",
        headers={"WWW-Authenticate": challenge},
    )


def _forbidden(scope: Scope, role: Role, why: str) -> Response:
    return problem_response(
        Request(scope),
        KINDS[RoleMissing],
        f"{why}; {scope['method']} needs a key that may (irgan keys create NAME --role {role})",
        headers={"WWW-Authenticate": f'Bearer realm="irgan", error="insufficient_scope", scope="{role}"'},
    )


def _unknown(scope: Scope) -> Response:
    return problem_response(
        Request(scope),
        KINDS[StoreUnusable],
        "the store could not be read since the service started, so nobody's key is known; the service's log says why",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )
