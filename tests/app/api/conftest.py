"""A service in this process over a made-up bundle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from fastapi import FastAPI

from app.bundle import BundleDraft, write_bundle
from app.main import create_app
from app.releases import ReleaseStore
from app.settings import Settings
from tests.conftest import make_draft


class Client:
    """Asks an application in this process; what it fails at comes back as an answer, as it does over the wire.

    Its event loop runs while a request does, and no longer: what the service does by itself, a test asks for.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._runner = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://service")

    def __enter__(self) -> Self:
        self._runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._http.aclose())
        self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._http.request(method, url, **options))

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.request("POST", url, **options)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A folder of releases with the bundle of 600 items in its champion slot, and tight limits."""
    folder = tmp_path_factory.mktemp("service")
    settings = Settings(
        releases=folder / "releases",
        slot="champion",
        store=f"sqlite:///{folder / 'irgan.db'}",
        max_k=500,
        max_batch=20,
        max_history=50,
        max_body=20_000,
        poll_seconds=0.05,
    )
    ReleaseStore(settings.releases).publish(write_bundle(draft(), folder / "drafts"), settings.slot)
    return settings


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    """Asks the service."""
    with Client(create_app(settings)) as client:
        yield client


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[tuple[Client, Callable[[Path], str]]]:
    """A service where nothing is published yet, and a way to publish to it."""
    settings = Settings(
        releases=tmp_path / "releases", slot="champion", store=f"sqlite:///{tmp_path / 'irgan.db'}", poll_seconds=0.02
    )
    with Client(create_app(settings)) as client:
        yield client, lambda bundle: ReleaseStore(settings.releases).publish(bundle, "champion")


def draft(**changes: object) -> BundleDraft:
    """600 items, 12 users; a column with odd values beside title, year and genres."""
    made = make_draft(num_items=600, num_users=12)
    made.item_table["rare"] = ["yes" if row in (7, 70, 77, 170, 270) else "no" for row in range(600)]
    made.item_table["price"] = [float("nan") if row == 7 else row / 4 for row in range(600)]
    return replace(made, **changes)  # type: ignore[arg-type]
