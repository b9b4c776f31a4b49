"""What a running experiment adds to a recommendation's latency: assignment, and the log of exposures and impressions.

`python -m tests.bench.assignment [--json]`: services as of `tests.bench.service`, 20,000 items × 64 dimensions, side by side, each on a
store of its own. One runs no experiment, one an experiment whose variants are the same release, so that all it adds is assigning and
logging, and one an experiment of two releases, where questions that come at the same time are no longer answered by one scan. They take
turns, short ones, and the figure of a round is the quotient of neighbours. `alone` is one connection, with which latency is what a caller
waits for; over 16 connections, which keep the service busy, it is what an answer costs the process, the writing included.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvloop

from app.bundle import write_bundle
from app.releases import ReleaseStore
from tests.app.process import serving
from tests.bench.calling import CONNECTIONS, Figures, call, get
from tests.bench.service import DIM, NUM_ITEMS, NUM_USERS, make_bundle, write_release

ROUNDS, SECONDS = 20, 1.0
TARGET = 0.15
SERVICES = {"none": None, "assignment": "sample/v1", "two releases": "sample/v2"}
"""By name, what the treatment's release is; the control's is `sample/v1`."""


def measure(*, rounds: int = ROUNDS, seconds: float = SECONDS) -> dict[str, Any]:
    """Median latencies of each service, medians over the rounds, and what experiments add to them."""
    figures: dict[str, dict[str, list[Figures]]] = {name: {"busy": [], "alone": []} for name in SERVICES}
    rng = random.Random(0)
    requests = [get(f"/v1/recommendations/u{rng.randrange(NUM_USERS)}") for _ in range(4000)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        releases = write_release(Path(folder))
        _publish_another(releases, Path(folder))
        ports = {}
        for name, treatment in SERVICES.items():
            url = f"sqlite:///{folder}/{name.replace(' ', '-')}.db"
            _, ports[name] = stack.enter_context(serving(releases, IRGAN_STORE=url))
            if treatment is not None:
                _begin(ports[name], treatment)
        for number in range(rounds + 1):
            for load in ("busy", "alone"):
                for name in SERVICES if number % 2 else reversed(SERVICES):
                    connections = CONNECTIONS if load == "busy" else 1
                    times, wall = uvloop.run(call(ports[name], requests, seconds, connections=connections))
                    if number:  # the first round warms up
                        figures[name][load].append(Figures.of(times, wall))
    told = {name: {load: _medians(figures[name][load], figures["none"][load]) for load in figures[name]} for name in SERVICES}
    added = max(told["assignment"][load]["added"] for load in ("busy", "alone"))
    return {
        "items": NUM_ITEMS,
        "dimensions": DIM,
        "connections": CONNECTIONS,
        "rounds": rounds,
        "services": told,
        "added": added,
        "targets_met": added <= TARGET,
    }


def _medians(figures: list[Figures], plain: list[Figures]) -> dict[str, float]:
    added = statistics.median(one.p50 / other.p50 for one, other in zip(figures, plain, strict=True)) - 1.0
    return {
        "p50": round(statistics.median(one.p50 for one in figures), 4),
        "p99": round(statistics.median(one.p99 for one in figures), 4),
        "rate": round(statistics.median(one.rate for one in figures), 1),
        "added": round(added, 4),
    }


def _publish_another(releases: Path, folder: Path) -> None:
    """The same bundle as another version, in a slot of its own."""
    made = make_bundle()
    rng = np.random.default_rng(1)
    users_UD = rng.normal(size=(NUM_USERS, DIM)).astype(np.float32)
    another = replace(made, version="v2", model=replace(made.model, user_vectors_UD=users_UD))
    ReleaseStore(releases).publish(write_bundle(another, folder / "drafts"), "challenger")


def _begin(port: int, treatment: str) -> None:
    variants = [{"name": "control", "release": "sample/v1"}, {"name": "treatment", "release": treatment}]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        client.post("/v1/experiments", json={"name": "bench", "variants": variants}).raise_for_status()
        client.post("/v1/experiments/bench/start").raise_for_status()
        assert client.get("/v1/recommendations/u1").json()["experiment"] == "bench"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each turn")
    options = parser.parse_args()
    told = measure(rounds=options.rounds, seconds=options.seconds)
    if options.json:
        print(json.dumps(told))
        return
    print(f"{NUM_ITEMS:,} items × {DIM} dimensions, one worker, medians of {told['rounds']} rounds; alone: over one connection")
    print(f"{'experiment':<14}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'added':>8}{'alone p50':>11}{'p99':>8}{'added':>8}")
    for name, row in told["services"].items():
        busy, alone = row["busy"], row["alone"]
        print(
            f"{name:<14}{busy['rate']:>11,.0f}{busy['p50']:>9.2f}{busy['p99']:>9.2f}{busy['added']:>8.1%}"
            f"{alone['p50']:>11.3f}{alone['p99']:>8.3f}{alone['added']:>8.1%}"
        )
    print(f"wanted of assignment: at most {TARGET:.0%} added, busy and alone")


if __name__ == "__main__":
    main()
