"""What the description shows works as it stands, and it leaves nothing without a word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.main import create_app
from app.settings import Settings
from tests.app.api.conftest import Client
from tests.fuzz.world import publish

ORDER = ("create", "show", "list", "start", "change", "report", "stop", "conclude")
"""In which experiments take what is done with them."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service of which the examples are true."""
    folder = tmp_path_factory.mktemp("examples")
    settings = Settings(
        releases=publish(folder).folder,
        store=f"sqlite:///{folder / 'irgan.db'}",
        search_slot="search",
        rerank_slot="rerank",
    )
    with Client(create_app(settings)) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/openapi.json").json()
    return told


def place(operation: dict[str, Any]) -> int:
    """What is asked in which order: things are made before they are looked at, and deleted last."""
    name = operation["operationId"]
    return 99 if name.startswith("delete") else next((n for n, word in enumerate(ORDER) if name.startswith(word)), 0)


def test_every_example_of_every_operation_is_answered(client, document):
    """Paths and parameters as their examples have them, and every example of every body, each in turn."""
    asked = []
    operations = [(path, method, said) for path, methods in document["paths"].items() for method, said in methods.items()]
    for path, method, said in sorted(operations, key=lambda one: place(one[2])):
        query = {}
        for parameter in said.get("parameters", ()):
            example = parameter["schema"].get("examples", [None])[0]
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", example)  # noqa: PLW2901 - until it is whole
            elif parameter["in"] == "query" and example is not None:
                query[parameter["name"]] = example
        examples = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {None: None})
        for name, example in examples.items():
            if (path, name) == ("/v1/rerank", "texts"):
                continue  # for a search ranker, below
            if said["operationId"] in ("delete_item", "delete_items"):
                client.request("PUT", "/v1/items", json={"items": [{"id": one, "text": "ice"} for one in ("w1", "31715818")]})
            answer = client.request(method, path, params=query, **({} if example is None else {"json": example["value"]}))
            assert answer.status_code in (200, 201), (method, path, name, answer.text)
            asked.append((method, path, name))
    assert len(asked) >= 30


def test_the_example_of_texts_works_with_a_search_ranker(client, document):
    example = document["paths"]["/v1/rerank"]["post"]["requestBody"]["content"]["application/json"]["examples"]["texts"]
    client.app.state.live_rerank, kept = client.app.state.live_search, client.app.state.live_rerank
    try:
        assert client.post("/v1/rerank", json=example["value"]).status_code == 200
    finally:
        client.app.state.live_rerank = kept


def test_everything_is_described_in_words(document):
    """Operations, parameters, headers, answers and objects; all operations by names of their own."""
    names = []
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            names.append(said["operationId"])
            assert said["summary"] and said["description"] and said["tags"], (method, path)
            for parameter in said.get("parameters", ()):
                assert parameter["description"], (method, path, parameter["name"])
                assert parameter["in"] != "path" or parameter["schema"]["examples"], (method, path, parameter["name"])
            for status, response in said["responses"].items():
                assert response["description"] != "Successful Response", (method, path, status)
            if "requestBody" in said:
                assert said["requestBody"]["content"]["application/json"]["examples"], (method, path)
    assert len(names) == len(set(names)) == 24
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name


def test_the_description_tells_the_limits_that_the_service_has(document, tmp_path):
    settings = Settings(releases=tmp_path, store=f"sqlite:///{tmp_path / 'irgan.db'}", max_k=7, max_events=3)
    with Client(create_app(settings)) as other:
        tight = other.get("/openapi.json").json()
    for one, k, events in ((document, 1000, 1000), (tight, 7, 3)):
        schemas = one["components"]["schemas"]
        assert schemas["SearchBody"]["properties"]["k"]["maximum"] == k
        assert schemas["EventBatch"]["properties"]["events"]["maxItems"] == events
        assert "x-limits" not in str(one)


def test_every_link_leads_to_an_operation(document):
    names = {said["operationId"] for methods in document["paths"].values() for said in methods.values()}
    links = [
        link["operationId"]
        for methods in document["paths"].values()
        for said in methods.values()
        for response in said["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) >= 10 and set(links) <= names
