"""A live experiment in small: `make rehearsal`.

Two rankers learn from the earlier half of MovieLens 100K. The people of the later half then visit the running service: each visit asks for
recommendations by what the person has rated until then, and clicks on films that the person really went on to rate 4 or 5. First the
champion answers everybody; then an experiment is on, and ends with the report, which has to name the better ranker. The same with two
rankers that are one and the same has to end without a winner. Everything goes over HTTP.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import local
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tests.e2e.demo import DATA, get, heading, irgan, say, service

CONTROL, TREATMENT, TWIN = "popularity", "irgan-history", "popularity-twin"
QUICK = ("--set", "num_members=2", "--set", "validation_fraction=0")
"""Good enough to be clearly better, in seconds instead of minutes."""
FRACTION = 0.5
"""Of the events, by time, that are the later half."""
K = 10
LIKED = 4
CLICKED = 0.8
"""The chance to click on a film that one will like and has seen in the list."""
_AT_ONCE = 4
"""Visits under way at the same time."""
_EVENTS = 200
"""In one request."""
_SETTLING_SECONDS = 15.0


@dataclass
class Person:
    """Somebody of the later half.

    Attributes:
        name: the user's id.
        past: items and ratings until the first visit.
        parts: items and ratings between one visit and the next, in the order of time.
        rng: draws this person's clicks.
        clicked: items; they are not shown again.
    """

    name: str
    past: list[tuple[str, float]]
    parts: list[list[tuple[str, float]]]
    rng: np.random.Generator
    clicked: set[str] = field(default_factory=set)

    def history(self, visit: int) -> list[dict[str, Any]]:
        """What has been rated until a visit."""
        had = [*self.past, *(event for part in self.parts[: visit + 1] for event in part)]
        return [{"item": item, "rating": rating} for item, rating in had]

    def clicks(self, shown: Sequence[str], visit: int) -> list[tuple[int, str, float]]:
        """Position, item and rating of what is clicked on: looked at down the list, less and less, and liked later on."""
        liked = {item: rating for part in self.parts[visit + 1 :] for item, rating in part if rating >= LIKED}
        draws = self.rng.random(len(shown))
        chances = CLICKED / np.log2(np.arange(2, len(shown) + 2))
        return [
            (position, item, liked[item])
            for position, (item, draw, chance) in enumerate(zip(shown, draws, chances, strict=True), 1)
            if item in liked and item not in self.clicked and draw < chance
        ]


def people(num_visits: int, *, seed: int, most: int | None = None) -> list[Person]:
    """Everybody with an event in the later half, whose events are cut into a part before each visit and one after the last."""
    from training.data import load_dataset, make_split  # noqa: PLC0415 - heavy

    split = make_split(load_dataset(DATA), "time", fraction=FRACTION)
    earlier, later = _by_user(split.train), _by_user(split.test)
    found = []
    for number, (name, events) in enumerate(later.items()):
        cuts = np.linspace(0, len(events), num_visits + 2).astype(int).tolist()
        parts = [events[start:end] for start, end in pairwise(cuts)]
        found.append(Person(name, earlier.get(name, []), parts, np.random.default_rng([seed, number])))
    return found[:most]


def _by_user(events: Any) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for row in np.argsort(events.times, kind="stable").tolist():
        item = events.items.id(int(events.item_rows[row]))
        found.setdefault(events.users.id(int(events.user_rows[row])), []).append((item, float(events.ratings[row])))
    return found


class Caller:
    """Asks a service, with a connection of its own for every thread that stays open."""

    def __init__(self, address: str) -> None:
        self._place = urlsplit(address).netloc
        self._own = local()
        self._connections: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections:
            connection.close()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON that comes back; whatever is no answer ends the rehearsal."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(self._place, timeout=30)
            self._connections.append(self._own.connection)
        connection: http.client.HTTPConnection = self._own.connection
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} was answered with {answer.status}: {content.decode()}")
        return json.loads(content)


def visit_all(address: str, everybody: Sequence[Person], visits: Sequence[int], *, seed: int) -> int:
    """Everybody's visits, in rounds, each in another order; tells how many there were."""
    caller, order = Caller(address), np.random.default_rng(seed)
    with closing(caller), ThreadPoolExecutor(_AT_ONCE) as pool:
        for visit in visits:
            turn = [everybody[place] for place in order.permutation(len(everybody)).tolist()]
            events = [event for found in pool.map(_one_visit(caller, visit), turn) for event in found]
            batches = [events[start : start + _EVENTS] for start in range(0, len(events), _EVENTS)]
            for told in pool.map(lambda batch: caller.post("/v1/events", {"events": batch}), batches):
                assert not told["rejected"]
    return len(everybody) * len(visits)


def _one_visit(caller: Caller, visit: int) -> Callable[[Person], list[dict[str, Any]]]:
    def visited(person: Person) -> list[dict[str, Any]]:
        question = {"user": person.name, "history": person.history(visit), "exclude": sorted(person.clicked), "k": K}
        answer = caller.post("/v1/recommendations", question)
        events: list[dict[str, Any]] = []
        for position, item, rating in person.clicks([item["id"] for item in answer["items"]], visit):
            person.clicked.add(item)
            said = {
                "user": person.name,
                "item": item,
                "request_id": answer["request_id"],
                "time": datetime.now(UTC).isoformat(),
            }
            name = f"{answer['request_id']}-{position}"
            events.append({"id": f"c-{name}", "type": "click", "position": position, **said})
            events.append({"id": f"r-{name}", "type": "rating", "value": rating, **said})
        return events

    return visited


def experiment(
    address: str, name: str, releases: Sequence[str], everybody: Sequence[Person], visits: Sequence[int], *, seed: int
) -> dict[str, Any]:
    """Create and start an experiment, let everybody visit, stop it; its report."""
    definition = {
        "name": name,
        "variants": [{"name": variant, "release": release} for variant, release in zip("ab", releases, strict=True)],
        "primary": "click-through",
        "secondary": ["mean-rating", "latency"],
        "minimum_effect": 0.05,
    }
    get(f"{address}/v1/experiments", definition)
    get(f"{address}/v1/experiments/{name}/start", {}, method="POST")
    num_visits = visit_all(address, everybody, visits, seed=seed)
    get(f"{address}/v1/experiments/{name}/stop", {}, method="POST")
    return _settled_report(address, name, num_visits)


def _settled_report(address: str, name: str, num_answers: int) -> dict[str, Any]:
    """The report, once the last answers are written down."""
    deadline = time.monotonic() + _SETTLING_SECONDS
    while True:
        report: dict[str, Any] = get(f"{address}/v1/experiments/{name}/report")
        written = sum(variant["answers"] for variant in report["variants"])
        if written == num_answers:
            return report
        if time.monotonic() > deadline:
            raise SystemExit(f"{num_answers} answers were given in {name}, and the report knows of {written}")
        time.sleep(1.0)


def train(ranker: str, bundles: Path, *settings: str) -> str:
    """Train on the earlier half; the bundle's folder."""
    told = irgan(
        *("train", ranker, "--data", DATA, "--split", "time", "--test-fraction", str(FRACTION), "--seed", "1"),
        *(
            "--bundles",
            str(bundles),
            "--run-dir",
            str(bundles.parent / "runs" / f"{ranker}{len(settings)}"),
            "--json",
            *settings,
        ),
        quiet=True,
    )
    bundle: str = json.loads(told)["bundle"]
    return bundle


def publish_all(folder: Path, *, quick: Sequence[str] = QUICK) -> dict[str, str]:
    """Train and publish the rankers; what each is released as. The control is the champion."""
    bundles = {
        CONTROL: train(CONTROL, folder / "bundles"),
        TREATMENT: train(TREATMENT, folder / "bundles", *quick),
        TWIN: train(CONTROL, folder / "bundles", "--name", TWIN),
    }
    for ranker, bundle in bundles.items():
        slot = "champion" if ranker == CONTROL else ranker
        irgan("publish", bundle, "--slot", slot, "--releases", str(folder / "releases"), quiet=True)
    return {ranker: "/".join(Path(bundle).parts[-2:]) for ranker, bundle in bundles.items()}


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The service, which writes down all answers: what happened before an experiment narrows its intervals."""
    changed = {"IRGAN_STORE": f"sqlite:///{folder / 'irgan.db'}", "IRGAN_IMPRESSIONS": "all"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        with service(str(folder / "releases")) as address:
            yield address
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def show(address: str, report: dict[str, Any], pages: Path) -> None:
    """What a person wants to know of a report, and where its page is."""
    say(report["decision"]["sentence"])
    metric = report["metrics"][0]
    (one,) = metric["comparisons"]
    values = "   ".join(f"{name} {value:.4f}" for name, value in metric["values"].items())
    units = " : ".join(str(count) for count in report["sample_ratio"]["observed"].values())
    say(f"click-through   {values}   users {units}")
    if one["variance_reduction"] is not None:
        say(f"CUPED took away {one['variance_reduction']:.1%} of the variance")
    pages.mkdir(parents=True, exist_ok=True)
    page = pages / f"{report['name']}.html"
    request = urllib.request.Request(f"{address}/v1/experiments/{report['name']}/report?format=html")
    with urllib.request.urlopen(request, timeout=30) as response:
        page.write_bytes(response.read())
    say(f"the report: {page}")


def rehearse(folder: Path, seed: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """All of it; the reports of two rankers and of one under two names.

    Args:
        folder: that gets bundles, releases, the store and the pages.
        seed: of the visits and the clicks.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models are small, and more threads would mostly wait for each other
    heading(f"1. Training {CONTROL} and {TREATMENT} on the earlier half of {DATA}")
    irgan("data", "fetch", DATA, quiet=True)
    releases = publish_all(folder)
    for ranker, release in releases.items():
        say(f"{ranker:<16} is released as {release}")
    before, during = range(4), range(4, 9)
    with serving(folder) as address:
        everybody = people(9, seed=seed)
        heading(f"2. {len(everybody)} people visit the champion, {len(before)} times each")
        visit_all(address, everybody, before, seed=seed)
        heading(f"3. {releases[CONTROL]} against {releases[TREATMENT]}, {len(during)} visits each")
        better = experiment(address, "better", [releases[CONTROL], releases[TREATMENT]], everybody, during, seed=seed)
        show(address, better, folder)
        heading(f"4. {releases[CONTROL]} against itself under another name, the same visits again")
        again = people(9, seed=seed + 1)
        same = experiment(address, "same", [releases[CONTROL], releases[TWIN]], again, during, seed=seed)
        show(address, same, folder)
    return better, same


def main(seed: int = 1) -> int:
    """Run the rehearsal; 0 if both experiments ended as they must."""
    started = time.monotonic()
    better, same = rehearse(Path("reports") / "rehearsal" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S"), seed)
    heading(f"Done in {time.monotonic() - started:.0f} s")
    is_right = better["decision"]["winner"] == "b" and same["decision"]["status"] == "undecided"
    say("Both ended as they must." if is_right else "They did not end as they must.")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
