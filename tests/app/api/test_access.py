"""Who may ask what: every route, every role, every kind of key that does not count."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import BaseRoute

from app.api import keys as live_keys
from app.api.access import role_of
from app.main import create_app
from app.settings import Settings
from app.store import Database, Keys
from tests.app.api.conftest import Client
from tests.app.api.test_problems import check

PAGE = Path(__file__).parents[3] / "docs" / "security.md"
HOLDERS: dict[str, list[Any]] = {
    "read": ["read"],
    "events": ["events"],
    "admin": ["admin"],
    "read and events": ["read", "events"],
}


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and path that something answers, described or not."""

    def flat(found: list[BaseRoute]) -> Iterator[BaseRoute]:
        for route in found:
            inner = getattr(route, "original_router", None) or getattr(route, "router", None)
            yield from flat(inner.routes) if inner is not None else [route]

    return sorted((method, route.path) for route in flat(app.routes) for method in route.methods or ())  # type: ignore[attr-defined]


def concrete(path: str) -> str:
    """A path with something in the place of each parameter."""
    return re.sub(r"{[^}]*}", "x", path)


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[tuple[Client, dict[str, str]]]:
    """A service with a key for each kind of holder, and the keys."""
    folder = tmp_path_factory.mktemp("guarded")
    settings = Settings(releases=folder / "releases", store=f"sqlite:///{folder / 'irgan.db'}")
    database = Database(settings.store)
    made = {holder: Keys(database).create(holder.replace(" ", "-"), roles) for holder, roles in HOLDERS.items()}
    database.close()
    with Client(create_app(settings)) as client:
        yield client, made


ROUTES = routes(create_app(Settings(store="sqlite:///nowhere.db", releases=Path("nowhere"))))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_every_route_is_seen_and_the_page_on_security_tells_its_role():
    """The table of the page, line by line, against what answers: a route that nobody thought of has no line."""
    assert len(ROUTES) >= 27
    table = PAGE.read_text(encoding="utf-8").partition("| method | path | role |")[2].partition("\n\n")[0]
    told = {
        (method.strip(), path.strip(" `")): role.strip()
        for method, path, role in (line.strip("|").split("|") for line in table.splitlines()[2:] if line)
    }
    there = {
        (method, re.sub(r":path}", "}", path)): role_of(method, path) or "none" for method, path in ROUTES if method != "HEAD"
    }
    assert told == there


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("holder", ["nobody", "somebody", *HOLDERS])
def test_every_route_lets_pass_who_may_and_nobody_else(service, method, path, holder):
    client, made = service
    headers = {} if holder == "nobody" else bearer(made.get(holder, "irgan_" + "x" * 43))
    answer = client.request(method, concrete(path), headers=headers)
    role = role_of(method, path)
    if role is None or (holder in HOLDERS and {role, "admin"} & set(HOLDERS[holder])):
        assert answer.status_code not in (401, 403, 429)
    else:
        expected = (403, "forbidden") if holder in HOLDERS else (401, "unauthorized")
        if method == "HEAD":
            assert answer.status_code == expected[0]
        else:
            check(answer, *expected)
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="irgan"')
        assert ("invalid_token" in challenge) == (holder == "somebody")
        assert (f'scope="{role}"' in challenge) == (holder in HOLDERS)


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/v1/new", "read"),
        ("POST", "/v1/new", "admin"),
        ("BREW", "/v1/events", "admin"),
        ("OPTIONS", "/v1/events", "admin"),
        ("GET", "/health/live/", "read"),
        ("GET", "//health/live", "read"),
        ("POST", "/health/live", None),
        ("POST", "/v1/events/", "admin"),
    ],
)
def test_what_nobody_thought_of_needs_a_key(method, path, role):
    assert role_of(method, path) == role


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer x{key}",
        "Bearer {key},{key}",
        "Bearer {digest}",
    ],
)
def test_what_is_no_key_lets_nobody_pass(service, header):
    """The hash that the store keeps is none either."""
    client, made = service
    key = made["admin"]
    told = header.format(key=key, digest=hashlib.sha256(key.encode()).hexdigest())
    check(client.get("/v1/releases", headers={"authorization": told}), 401, "unauthorized")


def test_of_two_headers_neither_can_be_smuggled_past_the_last(service):
    client, made = service
    for first, last, status in (("admin", "x", 401), ("x", "admin", 200)):
        headers = [("authorization", f"Bearer {made.get(one, one)}") for one in (first, last)]
        assert client.get("/v1/releases", headers=headers).status_code == status


def test_the_word_bearer_may_be_written_in_any_case(service):
    client, made = service
    assert client.get("/v1/releases", headers={"authorization": f"bEARER  {made['read']}"}).status_code == 200


def test_a_key_in_the_url_is_none(service):
    client, made = service
    check(client.get("/v1/releases", params={"key": made["admin"], "access_token": made["admin"]}), 401, "unauthorized")


def test_keys_are_compared_in_constant_time(service, monkeypatch):
    """By the standard library's comparison, once for every key that is sent, also for one that nobody has."""
    client, made = service
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(live_keys, "compare_digest", compare)
    client.get("/v1/releases", headers=bearer(made["read"]))
    client.get("/v1/releases", headers=bearer("nobody's"))
    known, unknown = (hashlib.sha256(key.encode()).digest() for key in (made["read"], "nobody's"))
    assert compared == [(known, known), (unknown, bytes(32))]


@pytest.fixture
def running(tmp_path) -> Iterator[tuple[Client, Keys]]:
    """A service without keys, and its store's."""
    settings = Settings(releases=tmp_path / "releases", store=f"sqlite:///{tmp_path / 'irgan.db'}")
    database = Database(settings.store)
    with Client(create_app(settings)) as client:
        yield client, Keys(database)
    database.close()


def test_keys_made_and_revoked_while_the_service_runs(running):
    client, keys = running
    assert client.get("/v1/releases").status_code == 200
    first = keys.create("shop", ["read"])
    client.app.state.keys.follow()
    check(client.get("/v1/releases"), 401, "unauthorized")
    assert client.get("/v1/releases", headers=bearer(first)).status_code == 200
    second = keys.create("shop", ["read"])
    client.app.state.keys.follow()
    assert [client.get("/v1/releases", headers=bearer(key)).status_code for key in (first, second)] == [200, 200]
    keys.revoke("shop", keep_newest=True)
    client.app.state.keys.follow()
    assert [client.get("/v1/releases", headers=bearer(key)).status_code for key in (first, second)] == [401, 200]
    keys.revoke("shop")
    client.app.state.keys.follow()
    check(client.get("/v1/releases"), 401, "unauthorized")  # that all are revoked opens nothing


def test_a_key_counts_until_it_expires(running, monkeypatch):
    client, keys = running
    until = datetime.now(UTC) + timedelta(minutes=1)
    key = keys.create("shop", ["read"], expires=until)
    client.app.state.keys.follow()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ARG003 - the signature of the base class
            return until + late

    monkeypatch.setattr(live_keys, "datetime", Clock)
    late = -timedelta(microseconds=1)
    assert client.get("/v1/releases", headers=bearer(key)).status_code == 200
    late = timedelta()
    check(client.get("/v1/releases", headers=bearer(key)), 401, "unauthorized")


def test_a_store_that_goes_away_changes_nothing(running, monkeypatch, caplog):
    client, keys = running
    key = keys.create("shop", ["read"])
    client.app.state.keys.follow()
    monkeypatch.setattr(Keys, "all", lambda _: 1 / 0)
    for _ in range(3):
        client.app.state.keys.follow()
    assert caplog.text.count("keys cannot be followed") == 1
    assert client.get("/v1/releases", headers=bearer(key)).status_code == 200
    check(client.get("/v1/releases"), 401, "unauthorized")


def test_a_store_that_lost_its_keys_opens_nothing(running, monkeypatch):
    client, keys = running
    keys.create("shop", ["read"])
    client.app.state.keys.follow()
    monkeypatch.setattr(Keys, "all", lambda _: [])
    client.app.state.keys.follow()
    check(client.get("/v1/releases"), 401, "unauthorized")


@pytest.mark.parametrize("insecure", [False, True])
def test_a_service_that_starts_while_the_store_is_away_answers_nobody_until_it_knows(tmp_path, monkeypatch, insecure):
    """Unless it was told that something in front checks."""
    settings = Settings(releases=tmp_path / "releases", store=f"sqlite:///{tmp_path / 'irgan.db'}", insecure=insecure)
    with monkeypatch.context() as patch:
        patch.setattr(Keys, "all", lambda _: 1 / 0)
        client = Client(create_app(settings)).__enter__()
    if insecure:
        assert client.get("/v1/releases").status_code == 200
    else:
        problem = check(client.get("/v1/releases"), 503, "store-unusable")
        assert problem["detail"] and client.get("/health/live").status_code == 200
    client.app.state.keys.follow()
    assert client.get("/v1/releases").status_code == 200
    client.__exit__()


@pytest.mark.parametrize(
    ("host", "insecure", "status"),
    [
        ("127.0.0.1", False, 200),
        ("::1", False, 200),
        ("localhost", False, 200),
        ("0.0.0.0", True, 200),
        ("0.0.0.0", False, 401),
        ("::", False, 401),
        ("host", False, 401),
    ],
)
def test_without_keys_only_this_machine_is_answered_or_whom_a_proxy_lets_pass(tmp_path, host, insecure, status):
    settings = Settings(releases=tmp_path, store=f"sqlite:///{tmp_path / 'irgan.db'}", host=host, insecure=insecure)
    with Client(create_app(settings)) as client:
        assert client.get("/v1/releases").status_code == status
        assert client.get("/health/live").status_code == 200


def test_metrics_need_a_reader_unless_a_setting_says_otherwise(tmp_path):
    settings = Settings(releases=tmp_path, store=f"sqlite:///{tmp_path / 'irgan.db'}", open_metrics=True)
    database = Database(settings.store)
    Keys(database).create("shop", ["read"])
    database.close()
    with Client(create_app(settings)) as client:
        assert client.get("/metrics").status_code == 200
        check(client.get("/v1/releases"), 401, "unauthorized")


def test_handlers_know_whose_key_it_is(tmp_path):
    """For histories: the name that the key was made with, or None where everybody is answered."""
    app = create_app(Settings(releases=tmp_path, store=f"sqlite:///{tmp_path / 'irgan.db'}"))

    @app.get("/v1/whose")
    async def whose(request: Request) -> str | None:
        return request.scope["state"]["key"]

    with Client(app) as client:
        assert client.get("/v1/whose").json() is None
        database = Database(app.state.settings.store)
        key = Keys(database).create("shop", ["read"])
        database.close()
        app.state.keys.follow()
        assert client.get("/v1/whose", headers=bearer(key)).json() == "shop"


def test_a_page_of_another_site_changes_nothing_where_no_keys_are_asked_for(running):
    """A browser sends such a request for any page; with keys it has none to send."""
    client, _ = running
    check(client.post("/v1/experiments/x/start", headers={"origin": "https://evil.example"}), 403, "forbidden")
    for origin in ("http://service", None):
        headers = {} if origin is None else {"origin": origin}
        assert client.post("/v1/experiments/x/start", headers=headers).status_code == 404
    assert client.get("/v1/releases", headers={"origin": "https://evil.example"}).status_code == 200


def test_the_description_tells_what_needs_a_key(service, running):
    """And that none is needed, as long as there are none."""
    client, _ = service
    paths = client.get("/openapi.json").json()["paths"]
    assert "security" not in paths["/health/live"]["get"]
    assert paths["/v1/events"]["post"]["security"] == [{"key": []}]
    assert "`events`" in paths["/v1/events"]["post"]["description"]
    assert {"401", "403", "429"} <= paths["/v1/events"]["post"]["responses"].keys()
    client, keys = running
    for security in ([{"key": []}, {}], [{"key": []}]):
        assert client.get("/openapi.json").json()["paths"]["/v1/events"]["post"]["security"] == security
        keys.create("shop", ["read"])
        client.app.state.keys.follow()


PREFLIGHT = {
    "origin": "https://shop.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization",
}


def test_browsers_are_told_nothing_by_default(service):
    """A page of another site cannot read an answer, nor send a key or JSON."""
    client, made = service
    answer = client.get("/v1/releases", headers={"origin": "https://shop.example", **bearer(made["read"])})
    assert not any(name.startswith("access-control") for name in answer.headers)
    assert client.request("OPTIONS", "/v1/recommendations", headers=PREFLIGHT).status_code == 401


def test_pages_of_named_origins_may_ask_and_no_others(tmp_path):
    origins = "https://shop.example,https://other.example:8443"
    settings = Settings(releases=tmp_path, store=f"sqlite:///{tmp_path / 'irgan.db'}", cors_origins=origins)
    database = Database(settings.store)
    key = Keys(database).create("shop", ["read"])
    database.close()
    with Client(create_app(settings)) as client:
        answer = client.request("OPTIONS", "/v1/recommendations", headers=PREFLIGHT)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-credentials" not in answer.headers
        for headers in (bearer(key), {}):  # refusals can be read too
            answer = client.get("/v1/releases", headers={"origin": "https://other.example:8443", **headers})
            assert answer.headers["access-control-allow-origin"] == "https://other.example:8443"
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
        stranger = {**PREFLIGHT, "origin": "https://shop.example.evil.example"}
        assert client.request("OPTIONS", "/v1/recommendations", headers=stranger).status_code == 400
        assert (
            "access-control-allow-origin" not in client.get("/v1/releases", headers={"origin": "https://evil.example"}).headers
        )


def test_every_answer_tells_browsers_what_not_to_do(service):
    client, made = service
    for path in ("/health/live", "/v1/releases", "/nothing", "/docs", "/openapi.json"):
        for headers in ({}, bearer(made["read"])):
            told = client.get(path, headers=headers).headers
            assert (told["x-content-type-options"], told["referrer-policy"], told["x-frame-options"]) == (
                "nosniff",
                "no-referrer",
                "DENY",
            )


def test_the_history_of_an_experiment_names_the_key(service):
    client, made = service
    variants = [{"name": name, "release": "champion"} for name in ("control", "treatment")]
    made_one = client.post("/v1/experiments", json={"name": "named", "variants": variants}, headers=bearer(made["admin"]))
    assert made_one.status_code == 201
    assert [change.detail for change in client.app.state.experiments.history("named")] == [{"by": "key admin"}]
