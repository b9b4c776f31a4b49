"""`/docs`: the description as a page that needs nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from app.api.reference import reference_page


class Page(HTMLParser):
    """What there is on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self._open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "action", "data", "srcset"):
                self.addresses.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.fixture(scope="module")
def answer(client):
    return client.get("/docs")


def test_the_page_loads_nothing_and_runs_nothing(answer):
    """And the browser is told so: no script, image, font or frame, and of styles only its own."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';") and "script" not in policy
    page = Page(answer.text)
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    assert {address for address in page.addresses if not address.startswith("#")} == {"openapi.json"}
    assert "url(" not in answer.text and "@import" not in answer.text


def test_the_page_names_every_operation_and_every_field_and_its_links_lead_somewhere(client, answer):
    page = Page(answer.text)
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        assert path in answer.text
        assert {said["operationId"] for said in methods.values()} <= set(page.ids)
    for name, schema in document["components"]["schemas"].items():
        assert name == "Problem" or f"schema-{name}" in page.ids
        assert all(f"<code>{field}</code>" in answer.text for field in schema.get("properties", {}))


def test_what_the_description_says_cannot_become_markup(client):
    """Nothing of it comes from callers, but a page that escapes everything need not know that."""
    document = client.get("/openapi.json").json()
    evil = "<script>alert('\"&</script>"
    document["info"]["title"] = evil
    for methods in document["paths"].values():
        for said in methods.values():
            said["summary"] = said["description"] = evil
            for parameter in said.get("parameters", ()):
                parameter["description"] = evil
    page = reference_page(document)
    assert "script" not in Page(page).tags
    assert len(re.findall("&lt;script&gt;", page)) > 50


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/docs/"])
def test_pages_of_others_are_not_there(client, path):
    assert client.get(path).status_code == 404
