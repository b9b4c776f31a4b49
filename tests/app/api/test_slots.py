"""Promoting and rolling back over HTTP: what happens, who did it, and what is said where nothing can happen."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import itertools

import pytest

from app.api.slots import SlotMoved
from app.bundle import write_bundle
from app.main import create_app
from app.releases import ReleaseStore
from app.settings import Settings
from app.store import Database, Keys
from tests.app.api.conftest import Client
from tests.conftest import make_draft


@pytest.fixture
def settings(tmp_path):
    settings = Settings(
        releases=tmp_path / "releases", slot="champion", store=f"sqlite:///{tmp_path / 'irgan.db'}", poll_seconds=0.02
    )
    store = ReleaseStore(settings.releases)
    for seed, version in enumerate(("v1", "v2", "v3")):
        bundle = write_bundle(make_draft(seed=seed, version=version), tmp_path / "drafts")
        store.publish(bundle, "challenger" if version == "v3" else "champion")
    return settings


@pytest.fixture
def client(settings):
    with Client(create_app(settings)) as client:
        yield client


@pytest.fixture
def store(settings):
    return ReleaseStore(settings.releases)


def test_a_slot_is_promoted_and_rolled_back_and_answers_follow(client, store):
    told = client.post("/v1/releases/champion/promote", json={"release": "challenger"})
    assert told.status_code == 200
    assert told.json() == {"slot": "champion", "release": "sample/v3", "before": "sample/v2", "by": "127.0.0.1 over HTTP"}
    SlotMoved.model_validate(told.json(), strict=True)
    client.app.state.live.refresh()
    assert client.get("/v1/recommendations/u1").json()["release"] == "sample/v3"
    assert client.post("/v1/releases/champion/rollback", json={}).json()["release"] == "sample/v2"
    assert client.post("/v1/releases/champion/rollback", json={"to": "sample/v1"}).json()["release"] == "sample/v1"
    client.app.state.live.refresh()
    assert client.get("/health/ready").json()["release"] == "sample/v1"
    assert client.post("/v1/releases/careful/promote", json={"release": "sample/v2"}).json()["before"] is None
    assert [(change.action, change.release, change.by) for change in store.history("champion")][2:] == [
        ("promote", "sample/v3", "127.0.0.1 over HTTP"),
        ("rollback", "sample/v2", "127.0.0.1 over HTTP"),
        ("rollback", "sample/v1", "127.0.0.1 over HTTP"),
    ]


def test_with_keys_an_administrators_is_needed_and_the_history_names_it(client, settings, store):
    database = Database(settings.store)
    admin, reader = (Keys(database).create(role, [role]) for role in ("admin", "read"))
    database.close()
    client.app.state.keys.follow()

    def promote(key: str) -> int:
        headers = {"authorization": f"Bearer {key}"}
        return client.post("/v1/releases/champion/promote", json={"release": "challenger"}, headers=headers).status_code

    assert promote(reader) == 403 and store.current("champion") == "sample/v2"
    assert promote(admin) == 200 and store.history("champion")[-1].by == "key admin"


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "words"),
    [
        ("champion/promote", {"release": "sample/v9"}, 404, "unknown-release", "kept are sample/v3, sample/v2, sample/v1"),
        ("champion/promote", {"release": "nothing"}, 404, "unknown-release", "the slots are challenger, champion"),
        ("champion/promote", {"release": "No Slot\n"}, 404, "unknown-release", "the slots are challenger, champion"),
        ("champion/promote", {"release": "../../x"}, 404, "unknown-release", "there is no release"),
        ("champion/rollback", {"to": "sample/v9"}, 404, "unknown-release", "there is no release"),
        ("challenger/rollback", {}, 409, "nothing-to-roll-back", "had no release before sample/v3"),
        ("other/rollback", {}, 409, "nothing-to-roll-back", "nothing was published in slot 'other'"),
        ("champion/promote", {}, 422, "invalid-request", "body.release"),
        ("champion/promote", {"release": "challenger", "by": "me"}, 422, "invalid-request", "body.by"),
        ("Champion/promote", {"release": "challenger"}, 422, "invalid-request", "cannot be the name of a slot"),
        ("%2e%2e/rollback", {}, 422, "invalid-request", "cannot be the name of a slot"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(client, store, *, path, body, status, kind, words):
    before = store.slots()
    told = client.post(f"/v1/releases/{path}", json=body)
    assert (told.status_code, told.json()["type"]) == (status, f"urn:irgan:problem:{kind}")
    assert words in told.json()["detail"]
    assert store.slots() == before


def test_a_damaged_release_is_refused(client, store):
    (store.path("sample/v1") / "items.npy").write_bytes(b"damaged")
    for path, body in (("promote", {"release": "sample/v1"}), ("rollback", {})):
        told = client.post(f"/v1/releases/champion/{path}", json=body)
        assert (told.status_code, told.json()["type"]) == (409, "urn:irgan:problem:release-damaged")
        assert "items.npy has 7 bytes" in told.json()["detail"] and "no slot has changed" in told.json()["detail"]
    assert store.current("champion") == "sample/v2"


@pytest.mark.parametrize(
    ("number", "status", "kind"),
    [(errno.EROFS, 409, "read-only"), (errno.EACCES, 409, "read-only"), (errno.ENOSPC, 503, "unusable")],
)
def test_a_folder_that_cannot_be_written_is_told_in_words(client, store, monkeypatch, *, number, status, kind):
    def failing(*_: object) -> None:
        raise OSError(number, "it cannot be")

    monkeypatch.setattr("app.releases.store.write_file", failing)
    told = client.post("/v1/releases/champion/rollback", json={})
    assert (told.status_code, told.json()["type"]) == (status, f"urn:irgan:problem:releases-{kind}")
    assert "it cannot be" in told.json()["detail"]
    assert store.current("champion") == "sample/v2"


def test_who_comes_while_somebody_publishes_is_told_to_come_again(client, store, monkeypatch):
    monkeypatch.setattr(client.app.state.slots._store, "_patience", 0.05)
    with (store.folder / ".lock").open("ab") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        told = client.post("/v1/releases/champion/rollback", json={})
    assert (told.status_code, told.json()["type"]) == (503, "urn:irgan:problem:releases-busy")
    assert told.headers["retry-after"]
    assert client.post("/v1/releases/champion/rollback", json={}).status_code == 200


def test_many_at_once_come_one_after_another(client, store):
    """Every change is in the history, each beginning where the one before ended."""

    async def all_at_once() -> list[dict[str, str]]:
        bodies = [{"release": f"sample/v{number % 3 + 1}"} for number in range(12)]
        answers = await asyncio.gather(*(client._http.post("/v1/releases/champion/promote", json=body) for body in bodies))
        return [answer.json() for answer in answers]

    moves = client._runner.run(all_at_once())
    told = [change.release for change in store.history("champion")]
    assert store.current("champion") == told[-1]
    assert sorted((move["before"], move["release"]) for move in moves if move["before"] != move["release"]) == sorted(
        itertools.pairwise(told[1:])
    )
