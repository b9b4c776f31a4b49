"""A service with something in it for every operation: what the examples of the description speak of is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, get_args

from app.bundle import BundleDraft, SearchDraft, Vocabulary, write_bundle, write_rerank, write_search
from app.releases import ReleaseStore
from app.store import Database, Keys, Role
from tests.app.process import serving
from tests.conftest import WORDS, make_draft, make_rerank_draft, make_search_draft

SLOTS = {"IRGAN_SEARCH_SLOT": "search", "IRGAN_RERANK_SLOT": "rerank"}
RUNNING = "history-or-popular"
"""The experiment that runs; the examples of the description name it too."""


@dataclass(frozen=True, slots=True)
class World:
    """A service, and the keys to it.

    Attributes:
        port: where it listens, on 127.0.0.1.
        pid: its process.
        keys: one of each role.
    """

    port: int
    pid: int
    keys: dict[Role, str]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, role: Role | None = "admin") -> tuple[int, Any]:
        """One request, and what came back."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"content-type": "application/json"} if body is not None else {}
        if role is not None:
            headers["authorization"] = f"Bearer {self.keys[role]}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            told = answer.read()
            return answer.status, json.loads(told) if "json" in answer.headers["content-type"] else told
        finally:
            connection.close()


def recommender(version: str, *, seed: int) -> BundleDraft:
    """Items and users by the numbers that the examples have."""
    made = make_draft(num_items=300, num_users=12, seed=seed, version=version)
    items = Vocabulary("item", [str(row + 1) for row in range(300)])
    users = Vocabulary("user", [str(row + 190) for row in range(12)])
    return replace(made, name="irgan-history", ranker="irgan-history", items=items, users=users)


def documents() -> SearchDraft:
    """Made-up documents, some by the ids that the examples have."""
    made = make_search_draft(num_documents=60, version="2026-11-25")
    items = Vocabulary("item", ["31715818", "w1", *(f"s{row}" for row in range(58))])
    return replace(made, name="irgan-text", ranker="irgan-text", items=items)


def publish(folder: Path) -> ReleaseStore:
    """A recommender with another beside it, a search ranker, and a ranker of features."""
    store = ReleaseStore(folder / "releases")
    drafts = folder / "drafts"
    store.publish(write_bundle(recommender("2026-11-24", seed=0), drafts), "champion")
    store.publish(write_bundle(recommender("2026-11-25", seed=1), drafts), "challenger")
    store.publish(write_search(documents(), drafts), "search")
    store.publish(write_rerank(make_rerank_draft(version="2026-11-25"), drafts), "rerank")
    return store


@contextmanager
def world(folder: Path, *, store: str | None = None, **environment: str) -> Iterator[World]:
    """The service as a process: releases in every slot, changed items, events, an experiment that runs, and keys.

    Args:
        folder: for all of it.
        store: by default a SQLite file there.
        environment: settings of the service.
    """
    releases = publish(folder)
    store = store or f"sqlite:///{folder / 'irgan.db'}"
    database = Database(store)
    keys: dict[Role, str] = {role: Keys(database).create(role, [role]) for role in get_args(Role)}
    database.close()
    with serving(releases.folder, IRGAN_STORE=store, **SLOTS, **environment) as (process, port):
        made = World(port, process.pid, keys)
        _fill(made)
        yield made
        assert process.poll() is None, "the service has ended"


def memory(pid: int) -> float:
    """MiB that a process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def _fill(made: World) -> None:
    variants = [{"name": "control", "release": "champion"}, {"name": "treatment", "release": "challenger"}]
    experiment = {"name": RUNNING, "variants": variants}
    events = [
        {"id": f"seed-{n}", "type": "click", "user": str(190 + n), "item": str(n + 1), "request_id": "1"} for n in range(9)
    ]
    for method, path, body, status in (
        ("PUT", "/v1/items/walrus", {"title": "Of walruses", "text": " ".join(WORDS[:5])}, 200),
        ("DELETE", "/v1/items/s57", None, 200),
        ("POST", "/v1/experiments", experiment, 201),
        ("POST", f"/v1/experiments/{RUNNING}/start", None, 200),
        ("POST", "/v1/events", {"events": events}, 200),
    ):
        told = made.ask(method, path, body)
        assert told[0] == status, told
