"""Callers who compare every answer with what the release that it names would say, and who know what their slot has pointed to.

A release is right where its slot pointed to it when the answer came, or a while before; over one connection answers never go back to a
release that the slot has left. Within an experiment it is the variant's, for a user always the same one.
"""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from time import monotonic, sleep
from typing import Any

from app.releases import Release
from tests.load.stage import Answer, Question, SlotName

PATIENCE_SECONDS = 60.0
_MOST_WRONG = 20
"""Wrong answers that are kept to be shown."""


class History:
    """What a slot points to, in order; a release stands there before the pointer moves."""

    def __init__(self, release: str) -> None:
        self.releases = [release]

    def next(self, release: str) -> None:
        """Another one is about to follow."""
        self.releases.append(release)

    def reached(self, place: int, release: str) -> int | None:
        """How far the history has gone at least, once it had come to `place`, where a release answers now; None where it cannot."""
        for number in range(place, len(self.releases)):
            if self.releases[number] == release:
                return number
        return None


class Expected:
    """What each release answers to each question, told before there is any load.

    Args:
        questions: all that are asked.
        releases: by name.
        of_slot: the names of those that a slot may point to.
    """

    def __init__(
        self, questions: Sequence[Question], releases: Mapping[str, Release], of_slot: Mapping[SlotName, Sequence[str]]
    ) -> None:
        self._answers: dict[tuple[int, str], list[Answer]] = {}
        for number, question in enumerate(questions):
            if question.answers is not None:
                for name in of_slot[question.slot]:
                    self._answers[number, name] = question.answers(releases[name])

    def is_right(self, number: int, release: str, places: Sequence[int], told: Sequence[Answer]) -> bool:
        """Whether a release would say so of a request's questions in these places.

        Scores may differ by what adding in another order does.
        """
        wanted = self._answers.get((number, release))
        return wanted is not None and all(_are_alike(wanted[place], one) for place, one in zip(places, told, strict=True))


def _are_alike(wanted: Answer, told: Answer) -> bool:
    return len(wanted) == len(told) and all(
        one[:2] == other[:2] and math.isclose(one[2], other[2], rel_tol=1e-5, abs_tol=1e-6)
        for one, other in zip(wanted, told, strict=True)
    )


@dataclass(slots=True)
class Found:
    """What callers saw, all together."""

    answers: Counter[str] = field(default_factory=Counter)
    """Right ones, by the kind of question."""
    releases: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    """Requests without an answer, or with another status than 200."""
    wrong: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    """Ids of events."""


class Callers:
    """Several callers, each on one connection that it keeps, who ask without a pause.

    Args:
        port: of the service.
        questions: asked in turn, each caller beginning elsewhere.
        expected: the right answers to them.
        histories: of every slot.
        number: of callers.
    """

    def __init__(
        self,
        port: int,
        questions: Sequence[Question],
        expected: Expected,
        histories: Mapping[SlotName, History],
        number: int = 2,
    ) -> None:
        self._port = port
        self._questions = questions
        self._expected = expected
        self._histories = histories
        self.variants: Mapping[str, str] = {}
        """Of the experiment that runs or ran last, the release of each variant."""
        self._of_user: dict[tuple[str, str], str] = {}
        self.found = Found()
        self._latest: list[dict[SlotName, str]] = [{} for _ in range(number)]
        self._is_stopped = False
        self._threads = [threading.Thread(target=self._run, args=(caller, number)) for caller in range(number)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> Found:
        """End, and tell."""
        self._is_stopped = True
        for thread in self._threads:
            thread.join()
        return self.found

    def seconds_until(self, slot: SlotName, release: str) -> float:
        """So long until every caller has been answered by it."""
        started = monotonic()
        while any(latest.get(slot) != release for latest in self._latest):
            assert not self.found.failed and not self.found.wrong, (self.found.failed, self.found.wrong)
            assert monotonic() - started < PATIENCE_SECONDS, f"{slot}: {release} does not answer, but {self._latest}"
            sleep(0.01)
        return monotonic() - started

    def seconds_until_variants(self, names: Sequence[str]) -> float:
        """So long until every variant has answered somebody."""
        before, started = self.found.variants.copy(), monotonic()
        while any(self.found.variants[name] == before[name] for name in names):
            assert not self.found.failed and not self.found.wrong, (self.found.failed, self.found.wrong)
            assert monotonic() - started < PATIENCE_SECONDS, f"{names} do not answer"
            sleep(0.01)
        return monotonic() - started

    def _run(self, caller: int, number: int) -> None:
        places: dict[SlotName, int] = dict.fromkeys(self._histories, 0)
        turn = caller * len(self._questions) // number
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)) as connection:
            while not self._is_stopped:
                which = turn % len(self._questions)
                name = f"caller-{caller}-{turn}"
                turn += 1
                try:
                    self._ask(caller, which, name, connection, places)
                except Exception as error:  # every failed request is a finding
                    self.found.failed.append(f"{self._questions[which].kind}: {error!r}")
                    connection.close()
                    sleep(0.1)

    def _ask(self, caller: int, which: int, name: str, connection: HTTPConnection, places: dict[SlotName, int]) -> None:
        question = self._questions[which]
        body = question.body.replace("{n}", name).encode() or None
        connection.request(
            question.method, question.path.replace("{n}", name), body, {"content-type": "application/json"} if body else {}
        )
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            self.found.failed.append(f"{question.kind}: {response.status} {content[:300]!r}")
            return
        told = json.loads(content)
        if question.kind == "events":
            events = json.loads(body or b"{}")["events"]
            if told["accepted"] != len(events):
                self.found.wrong.append(f"events: {told}")
            self.found.acknowledged += [event["id"] for event in events]
        else:
            complaint = self._complaint(caller, which, name, told, places)
            if complaint and len(self.found.wrong) < _MOST_WRONG:
                self.found.wrong.append(
                    f"{question.kind} {question.path} {question.body[:100]}: {complaint}: {content[:600]!r}"
                )
        self.found.answers[question.kind] += 1

    def _complaint(self, caller: int, which: int, name: str, told: dict[str, Any], places: dict[SlotName, int]) -> str:
        """What is wrong with an answer; empty where nothing is."""
        question = self._questions[which]
        parts = told["answers"] if question.kind == "batch" else [told]
        releases = {part["release"] for part in parts}
        for place, part in enumerate(parts):
            self.found.releases[part["release"]] += 1
            if part["fallback"] not in {None, "popularity"}:
                return f"fallback {part['fallback']}"
            if part["experiment"] is not None:
                user = question.path.replace("{n}", name).rpartition("/")[2].partition("?")[0]
                if question.kind == "batch":
                    user = json.loads(question.body)["requests"][place]["user"]
                if complaint := self._misassigned(part, user):
                    return complaint
                self.found.variants[part["variant"]] += 1
                continue
            reached = self._histories[question.slot].reached(places[question.slot], part["release"])
            if reached is None:
                return f"the slot has left this release, or never pointed to it: {self._histories[question.slot].releases[-5:]}"
            places[question.slot] = reached
            self._latest[caller][question.slot] = part["release"]
        if len(releases) > 1 and all(part["experiment"] is None for part in parts):
            return f"one batch, answered by {releases}"
        for release in releases:
            mine = [place for place, part in enumerate(parts) if part["release"] == release]
            items = [[(item["id"], item.get("title") or "", item["score"]) for item in parts[place]["items"]] for place in mine]
            if not self._expected.is_right(which, release, mine, items):
                return f"{release} answers otherwise"
        return ""

    def _misassigned(self, part: Mapping[str, Any], user: str) -> str:
        if part["release"] != self.variants.get(part["variant"]):
            return f"variant {part['variant']} is {self.variants.get(part['variant'])}"
        if self._of_user.setdefault((part["experiment"], user), part["variant"]) != part["variant"]:
            return f"{user} was of another variant"
        return ""
