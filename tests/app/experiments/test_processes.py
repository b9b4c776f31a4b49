"""Two services and the command line on one store: everybody agrees on who sees what, also after one was killed."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep

import httpx

from app.experiments.lifecycle import Experiments
from app.store import Database
from tests.app.experiments.service import definition, publish
from tests.app.process import irgan, serving

USERS = [f"u{number}" for number in range(12)]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that a service does by itself."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, "it did not happen"
        sleep(0.05)


def variants(port: int) -> dict[str, str | None]:
    """What each user sees."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        return {user: client.get(f"/v1/recommendations/{user}").json()["variant"] for user in USERS}


def test_everybody_agrees_and_nothing_moves_by_a_kill_or_by_weights(store_url, tmp_path):
    store = publish(tmp_path)
    releases = store.folder
    environment = {"IRGAN_STORE": store_url, "IRGAN_RELEASES": str(releases)}

    database = Database(store_url)
    experiments = Experiments(database, store)
    experiments.create(definition())
    with serving(releases, **environment) as (_, first):
        with serving(releases, **environment) as (process, second):
            assert set(variants(first).values()) == {None}
            started = irgan("experiment", "start", "test", **environment)
            assert started.returncode == 0, started.stderr
            until(lambda: None not in variants(second).values())
            until(lambda: None not in variants(first).values())
            seen = variants(first)
            assert variants(second) == seen and set(seen.values()) == {"control", "treatment"}
            sleep(0.5)  # what was exposed last is written a moment later
            process.kill()
        experiments.update("test", weights={"treatment": 1000})
        with serving(releases, **environment) as (_, third):
            assert variants(third) == seen
        new = "u-new"
        with httpx.Client(base_url=f"http://127.0.0.1:{first}", timeout=30) as client:
            until(lambda: client.get(f"/v1/recommendations/{new}").json()["variant"] == "treatment")
        assert variants(first) == seen
        experiments.conclude("test", winner="treatment", reason="it is better")
        until(lambda: set(variants(first).values()) == {None})
    database.close()
