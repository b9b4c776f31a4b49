"""Items change over HTTP: at once, for everybody, and for good."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest

from app.bundle import write_bundle, write_rerank, write_search
from app.main import create_app
from app.releases import ReleaseStore
from app.settings import Settings
from tests.app.api.conftest import Client
from tests.app.api.test_searches import problem, search
from tests.conftest import make_draft, make_rerank_draft, make_search_draft


@pytest.fixture
def settings(tmp_path) -> Settings:
    store = ReleaseStore(tmp_path / "releases")
    store.publish(write_search(make_search_draft(num_documents=30), tmp_path / "drafts"), "champion")
    return Settings(
        releases=store.folder, slot="champion", store=f"sqlite:///{tmp_path / 'irgan.db'}", max_batch=20, poll_seconds=0.05
    )


@pytest.fixture
def client(settings) -> Iterator[Client]:
    with Client(create_app(settings)) as client:
        yield client


@pytest.fixture
def publish(settings, tmp_path) -> Callable[[Path], str]:
    return lambda bundle: ReleaseStore(settings.releases).publish(bundle, "champion")


def put(client: Client, item: str, **body):
    return client.request("PUT", f"/v1/items/{item}", json=body)


def found(client: Client, query: str = "zebra", **body) -> list[str]:
    return [item["id"] for item in search(client, query, mode="lexical", **body).json()["items"]]


def test_an_item_is_found_at_once_and_deleted_at_once(client):
    assert found(client) == []
    assert put(client, "n1", title="A zebra", text="by the river").json() == {"items": [{"id": "n1", "state": "added"}]}
    assert found(client) == ["n1"]
    told = search(client, "zebra", mode="lexical").json()["items"][0]
    assert (told["title"], told["snippet"]) == ("A zebra", "by the river")
    assert put(client, "n1", text="a horse").json()["items"][0]["state"] == "updated"
    assert found(client) == [] and found(client, "horse") == ["n1"]
    assert client.request("DELETE", "/v1/items/n1").json() == {"items": [{"id": "n1", "state": "deleted"}]}
    assert found(client, "horse") == []
    assert problem(client.request("DELETE", "/v1/items/n1"))[:2] == (404, "unknown-id")


def test_the_bundles_own_documents_can_be_changed_and_deleted(client):
    before = found(client, "document", k=100)
    assert len(before) == 30
    assert put(client, "d3", text="zebra").json()["items"][0]["state"] == "updated"
    assert client.request("DELETE", "/v1/items/d4").json()["items"][0]["state"] == "deleted"
    assert found(client, "document", k=100) == [item for item in before if item not in {"d3", "d4"}]
    assert found(client) == ["d3"]
    assert put(client, "d4", text="zebra again").json()["items"][0]["state"] == "added"
    assert set(found(client)) == {"d3", "d4"}


def test_several_items_change_together_or_not_at_all(client):
    items = [{"id": f"n{number}", "text": "zebra", "metadata": {"year": 1990 + number}} for number in range(5)]
    assert len(client.request("PUT", "/v1/items", json={"items": items}).json()["items"]) == 5
    assert sorted(found(client)) == [item["id"] for item in items]
    odd = [*items, {"id": "n9", "text": "zebra", "metadata": {"year": "soon"}}]
    response = client.request("PUT", "/v1/items", json={"items": odd})
    assert problem(response) == (422, "invalid-request", ["body.metadata.year"])
    assert "the other items have a number there" in response.json()["detail"]
    assert problem(client.request("DELETE", "/v1/items", json={"ids": ["n0", "nobody"]}))[:2] == (404, "unknown-id")
    assert len(found(client)) == 5
    assert client.request("DELETE", "/v1/items", json={"ids": ["n0", "n1"]}).status_code == 200
    assert sorted(found(client)) == ["n2", "n3", "n4"]


def test_metadata_of_a_new_item_can_be_filtered_by_and_counted(client):
    put(client, "n1", text="zebra", metadata={"year": 1990, "genres": ["Nature"], "stripes": 40})
    put(client, "n2", text="zebra", metadata={"genres": ["Nature"]})
    assert found(client, filters={"stripes": {"gte": 30}}) == ["n1"]
    assert sorted(found(client, filters={"genres": "Nature"})) == ["n1", "n2"]
    told = search(client, "zebra", mode="lexical", facets=["stripes", "genres", "year"]).json()["facets"]
    assert told == {
        "stripes": [{"value": 40, "count": 1}],
        "genres": [{"value": "Nature", "count": 2}],
        "year": [{"value": 1990, "count": 1}],
    }
    card = search(client, "zebra", mode="lexical", filters={"stripes": 40}).json()["items"][0]["metadata"]
    assert card["year"] == 1990 and isinstance(card["year"], int)


@pytest.mark.parametrize(
    ("method", "path", "body", "places"),
    [
        ("PUT", "/v1/items/", {"text": "x"}, ["path.item_id"]),
        ("PUT", f"/v1/items/{'x' * 513}", {"text": "x"}, ["path.item_id"]),
        ("PUT", "/v1/items/x", {"body": "x"}, ["body.body"]),
        ("PUT", "/v1/items/x", {"metadata": {"id": "y"}}, ["body.metadata"]),
        ("PUT", "/v1/items/x", {"metadata": {"deep": {"er": 1}}}, ["body.metadata"]),
        ("PUT", "/v1/items/x", {"metadata": {"sizes": [1, 2.5, "big"]}}, ["body.metadata"]),
        ("PUT", "/v1/items/x", {"metadata": {"sizes": [1, True]}}, ["body.metadata"]),
        ("PUT", "/v1/items/d1", {}, ["body"]),
        ("PUT", "/v1/items/d1", {"title": " ", "text": ""}, ["body"]),
        ("PUT", "/v1/items", {"items": []}, ["body.items"]),
        ("PUT", "/v1/items", {"items": [{"text": "x"}]}, ["body.items.0.id"]),
        ("PUT", "/v1/items", {"items": [{"id": str(number), "text": "x"} for number in range(21)]}, ["body.items"]),
        ("DELETE", "/v1/items", {"ids": []}, ["body.ids"]),
        ("DELETE", "/v1/items", {"ids": [str(number) for number in range(21)]}, ["body.ids"]),
        ("DELETE", "/v1/items/d1?force=yes", None, ["query.force"]),
    ],
)
def test_changes_that_cannot_be(client, method, path, body, places):
    assert problem(client.request(method, path, json=body)) == (422, "invalid-request", places)


def test_items_that_come_together_agree_on_their_fields(client):
    """Else the same request would be refused when it is sent again."""
    items = [{"id": "m1", "text": "x", "metadata": {"mass": 1}}, {"id": "m2", "text": "x", "metadata": {"mass": "heavy"}}]
    answer = client.request("PUT", "/v1/items", json={"items": items})
    assert problem(answer) == (422, "invalid-request", ["body.metadata.mass"])
    items[1]["metadata"]["mass"] = 2
    for _ in range(2):
        assert client.request("PUT", "/v1/items", json={"items": items}).status_code == 200


def test_the_examples_of_bodies_are_bodies(client):
    """As the description gives them: what is put can be deleted again."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    (item,), (items,), (ids,) = (schemas[name]["examples"] for name in ("ItemBody", "ItemsBody", "ItemIdsBody"))
    assert schemas["NamedItemBody"]["examples"] == items["items"]
    assert put(client, "w1", **item).json()["items"] == [{"id": "w1", "state": "added"}]
    assert client.request("PUT", "/v1/items", json=items).json()["items"] == [{"id": "w1", "state": "updated"}]
    assert client.request("DELETE", "/v1/items", json=ids).json()["items"] == [{"id": "w1", "state": "deleted"}]


def test_bodies_that_are_none(client):
    json_type = {"content-type": "application/json"}
    assert problem(client.request("PUT", "/v1/items/x", content=b"{", headers=json_type))[:2] == (400, "malformed-json")
    assert problem(client.request("PUT", "/v1/items/x", content=b"text"))[:2] == (415, "unsupported-media-type")
    assert problem(client.request("PUT", "/v1/items/x", json={"text": "x" * 2**20}))[:2] == (413, "body-too-large")
    assert problem(client.request("PATCH", "/v1/items/x"))[:2] == (405, "method-not-allowed")


@pytest.mark.parametrize("item", ["a/b", "ÿ🎉", "a b", "%", "שלום"])
def test_ids_are_what_people_write(client, item):
    from urllib.parse import quote  # noqa: PLC0415 - only here

    assert client.request("PUT", f"/v1/items/{quote(item)}", json={"text": "zebra"}).json()["items"][0]["id"] == item
    assert found(client) == [item]
    assert client.request("DELETE", f"/v1/items/{quote(item)}").status_code == 200


def test_another_service_on_the_same_store_knows_within_a_second(settings, client):
    """It looks by itself; nobody tells it."""

    async def seconds_until_found() -> float:
        other = create_app(settings)
        async with (
            other.router.lifespan_context(other),
            httpx.AsyncClient(transport=httpx.ASGITransport(other), base_url="http://other") as asking,
        ):

            async def ids() -> list[str]:
                told = (await asking.post("/v1/search", json={"query": "zebra", "mode": "lexical"})).json()
                return [item["id"] for item in told["items"]]

            assert await ids() == []
            await asyncio.to_thread(lambda: ReleaseChange(settings).put("n1", "zebra"))
            started = monotonic()
            while await ids() != ["n1"] and monotonic() - started < 20:
                await asyncio.sleep(0.01)
            return monotonic() - started

    assert asyncio.run(seconds_until_found()) < 1.0


class ReleaseChange:
    """A change by another process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def put(self, item: str, text: str) -> None:
        with Client(create_app(self._settings)) as client:
            assert put(client, item, text=text).status_code == 200


def test_changes_survive_a_restart_and_a_new_release(settings, client, publish, tmp_path):
    put(client, "n1", text="zebra")
    put(client, "d3", text="zebra zebra")
    client.request("DELETE", "/v1/items/d4")
    ids = found(client)
    with Client(create_app(settings)) as again:
        assert found(again) == ids and set(ids) == {"n1", "d3"}
        assert "d4" not in found(again, "document", k=100)
        publish(write_search(make_search_draft(num_documents=30, version="v2"), tmp_path / "drafts"))
        again.app.state.live_search.follow()
        told = search(again, "zebra", mode="lexical").json()
        assert told["release"] == "texts/v2" and [item["id"] for item in told["items"]] == ids


def test_changes_wait_for_a_release_that_can_be_searched(settings, client, publish, tmp_path):
    put(client, "n1", text="zebra", metadata={"year": 1999})
    publish(write_rerank(make_rerank_draft(), tmp_path / "drafts"))
    client.app.state.live_search.follow()
    assert problem(put(client, "n2", text="zebra"))[:2] == (409, "wrong-ranker")
    draft = make_search_draft(num_documents=30, version="v3")
    draft.item_table["year"] = ["soon"] * 30  # a field of another type than the change has
    publish(write_search(draft, tmp_path / "drafts"))
    client.app.state.live_search.follow()
    assert found(client) == ["n1"]


def test_what_was_deleted_is_recommended_no_more(settings, client, publish, tmp_path):
    """Nor to known users, nor for a history, nor in batches, nor as similar to others; of itself nothing is similar."""
    publish(write_bundle(make_draft(num_items=30), tmp_path / "drafts"))
    client.app.state.live.follow()
    questions = {
        "user": lambda: client.get("/v1/recommendations/u1?k=30").json(),
        "history": lambda: client.post("/v1/recommendations", json={"history": [{"item": "i1"}], "k": 30}).json(),
        "batch": lambda: client.post("/v1/recommendations", json={"requests": [{"user": "u2", "k": 30}]}).json()["answers"][0],
        "nobody": lambda: client.get("/v1/recommendations/nobody?k=30").json(),
        "similar": lambda: client.get("/v1/items/i1/similar?k=30").json(),
        "diverse": lambda: client.get("/v1/items/i1/similar?k=5&diversity=1").json(),
        "search": lambda: search(client, "item", k=30).json(),
    }
    first = {name: asked()["items"][0]["id"] for name, asked in questions.items()}
    assert client.request("DELETE", "/v1/items", json={"ids": sorted(set(first.values()))}).status_code == 200
    for name, asked in questions.items():
        ids = [item["id"] for item in asked()["items"]]
        assert ids and not set(ids) & set(first.values()), name
    assert problem(client.get(f"/v1/items/{first['similar']}/similar"))[:2] == (404, "unknown-id")
    assert put(client, first["user"], title="Item again").json()["items"][0]["state"] == "added"
    assert questions["user"]()["items"][0]["id"] == first["user"]


def test_a_store_that_fails_changes_nothing_and_answers_go_on(settings, client, tmp_path):
    """Locked by somebody else for longer than anybody waits; then free again."""
    put(client, "n1", text="zebra")
    with sqlite3.connect(tmp_path / "irgan.db", isolation_level=None) as locked:
        locked.execute("drop table item_changes")
    response = put(client, "n2", text="zebra")
    assert problem(response)[:2] == (503, "store-unusable")
    assert response.headers["retry-after"] == "1"
    assert found(client) == ["n1"]
    client.app.state.live_search.follow()
    assert found(client) == ["n1"]
    locked.close()


def test_a_store_that_cannot_be_read_keeps_no_release_from_answering(settings, tmp_path, caplog):
    """Where something in front checks who asks: else nobody's key is known, see test_access."""
    (tmp_path / "irgan.db").write_text("no database" * 500)
    with Client(create_app(settings.model_copy(update={"insecure": True}))) as client:
        assert len(found(client, "document")) == 10
        for _ in range(3):
            client.app.state.live_search.follow()
        assert problem(put(client, "n1", text="zebra"))[:2] == (503, "store-unusable")
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 3  # of keys, of its items and of experiments, not at every try
    assert "changed of its items cannot be answered: StoreUnusable" in caplog.text


@pytest.mark.parametrize("first", [[], [None], ["a"], [1.5], [True]])
@pytest.mark.parametrize("second", ["a", 1.5, True])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_items_of_one_request_that_disagree_about_a_new_field_are_refused_or_fit(client, first, second, is_reversed):
    """A list in one and a single value in the other: of one type they fit, else it is said what does not."""
    values = [second, first] if is_reversed else [first, second]
    items = [{"id": f"new-{n}", "text": "ice", "metadata": {"odd": value}} for n, value in enumerate(values)]
    answer = client.request("PUT", "/v1/items", json={"items": items})
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 422:
        assert "does not fit" in answer.json()["detail"]
    else:
        found = client.post("/v1/search", json={"query": "ice", "filters": {"odd": second}})
        assert found.status_code == 200 and len(found.json()["items"]) >= 1
        client.request("DELETE", "/v1/items", json={"ids": ["new-0", "new-1"]})
