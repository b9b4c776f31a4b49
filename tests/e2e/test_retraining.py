"""Three nights of a product: people's ratings come in over HTTP, `irgan retrain` reads them, and what it publishes answers them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from app.cli import app
from tests.app.process import serving
from tests.e2e.demo import get
from tests.training.conftest import make_interactions

DAYS = (400, 560, 720)
"""Events there have been by the end of each day."""
CONFIG = """
[data.store]
types = {rating = "value"}

[[rankers]]
name = "bpr"
settings = {embedding_size = 4, num_epochs = 10}
warm_start = {num_epochs = 3}

[split]
test_fraction = 0.2

[gate]
margin = 1.0
least_coverage = 0.0
least_novelty = 0.0
most_popular = 1.0
most_latency = 1000.0

[validation]
least_events = 10

[run]
device = "cpu"
cf_nade = false
"""


def day(first: int, last: int) -> dict[str, Any]:
    """Ratings as a product reports them."""
    data = make_interactions()
    assert data.ratings is not None and data.times is not None
    return {
        "events": [
            {
                "id": f"e{row}",
                "type": "rating",
                "time": datetime.fromtimestamp(int(data.times[row]), UTC).isoformat(),
                "user": data.users.id(int(data.user_rows[row])),
                "item": data.items.id(int(data.item_rows[row])),
                "value": float(data.ratings[row]),
            }
            for row in range(first, last)
        ]
    }


def answering(address: str, release: str) -> dict[str, Any]:
    """An answer for user u1 by a release, once the service has followed its slot."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            answer: dict[str, Any] = get(f"{address}/v1/recommendations/u1?k=40")
        except OSError:
            answer = {"release": None}
        if answer["release"] == release:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"the service does not answer by {release}")


def test_three_nights_of_events_are_learned_from_and_each_release_answers_after_it_was_promoted(tmp_path: Path) -> None:
    """The service starts before there is a release.

    From the second night on a night begins with the weights of the live release, and the watermark is the number of all events there were. Nobody
    is shown what they have had, though of the last fifth of the events no release has learned.
    """
    config, releases = tmp_path / "night.toml", tmp_path / "releases"
    config.write_text(f'{CONFIG}folder = "{tmp_path / "retraining"}"\n', encoding="utf-8")
    releases.mkdir()
    places = {"IRGAN_RELEASES": str(releases), "IRGAN_STORE": f"sqlite:///{tmp_path / 'irgan.db'}"}
    before, first = None, 0
    with serving(releases) as (_, port):
        address = f"http://127.0.0.1:{port}"
        for last in DAYS:
            assert get(f"{address}/v1/events", day(first, last))["accepted"] == last - first
            # Not in a process of its own, which would import torch each night.
            done = CliRunner().invoke(app, ["retrain", str(config), "--json"], env=places)
            assert done.exit_code == 0, done.output
            record = json.loads(done.stdout)
            release = record["release"]["release"]
            assert record["snapshot"]["watermark"] == last
            assert record["warm_start"]["bpr"].startswith("no: nothing is live" if before is None else f"{before}, ")
            if before is not None:
                assert record["judged"]["live"]["release"] == before
                assert record["judged"]["live"]["seen"] == "no"
            promoted = get(f"{address}/v1/releases/champion/promote", {"release": "challenger"})
            assert promoted["release"] == release
            answer = answering(address, release)
            rated = {event["item"] for event in day(0, last)["events"] if event["user"] == "u1"}
            assert not rated & {item["id"] for item in answer["items"]}
            before, first = release, last
