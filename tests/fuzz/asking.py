"""Requests made up by schemathesis from the service's own description, and what it finds wrong with the answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import Failure
from schemathesis.engine import from_schema
from schemathesis.engine.errors import EngineErrorInfo
from schemathesis.engine.recorder import ScenarioRecorder

from app.experiments.plan import OVERRIDE_FORM, OVERRIDE_HEADER
from tests.fuzz.world import RUNNING, World

SEED = 20261125
PHASES = ("examples", "coverage", "fuzzing", "stateful")
NOT_IN_A_SCHEMA = {
    # What is there decides, and is another in every service.
    r"body(\.items\.\d+)?\.metadata\..*": r".+ does not fit; the other items have a .+ there",
    r"body\.candidates\.\d+\.features": r"\d+ numbers; features/\S+ learned from 3",
    r"body\.candidates\.\d+\.features\.\d+": r"too large",
    r"header\.x-irgan-variant": r".+ has no variant .+; there are control, treatment",
    r"body\.after": r"this is no place in a ranking; .+|the page before was of .+",
    # A schema sees neither two places at once nor a sum.
    r"body": r"the candidate .+ stands there twice|variants need names of their own; found .+|each metric can stand once among .+"
    r"|overrides name .*; the variants are .+|the weight of .+ gives it less than one unit in a million; leave it out"
    r"|a floor of .+ for each of .+ variants is more than there is|mixed answers are judged by .+|interleaving mixes .+; found the surface similar"
    r"|.+ mixes two rankers; for .+ take team-draft|no variant can be called interleaved: .+",
    # Nor does it know the time, or how long a thing is as JSON.
    r"body(\.events\.\d+)?\.time": r"the time is before 1970|the time is more than a day ahead of this service's clock",
    r"body(\.events\.\d+)?\.properties": r"\d+ bytes of JSON are more than an event's limit of 4096",
}
"""Reasons to refuse a request that fits its schema, which JSON Schema has no words for: places in the request, and what is said of them.

Of the checks only `positive_data_acceptance` is told of them, and only where a problem with status 422 names nothing else.
"""
OF_WHAT_IS_THERE = ("invalid-filter", "unsuitable-release", "invalid-change")
"""Kinds of problems that mean just that: which fields the items have, which releases are published, which variants an experiment has."""


@dataclass
class Found:
    """What came of it.

    Attributes:
        requests: by operation and phase.
        statuses: of the answers, by operation.
        failures: what is wrong, by check and operation.
        errors: what kept schemathesis from asking.
        beyond: requests refused for reasons of `NOT_IN_A_SCHEMA`, by operation.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    checks: Counter[str] = field(default_factory=Counter)
    failures: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    beyond: Counter[str] = field(default_factory=Counter)

    @property
    def num_requests(self) -> int:
        """All of them."""
        return sum(self.requests.values())

    def of_operations(self) -> dict[str, int]:
        """Requests, by operation."""
        counted: Counter[str] = Counter()
        for (operation, _), number in self.requests.items():
            counted[operation] += number
        return dict(sorted(counted.items()))

    def told(self) -> str:
        """All that is wrong, for people."""
        shown = [f"{check} of {operation}, {len(told)} times:\n{told[0]}" for (check, operation), told in self.failures.items()]
        return "\n\n".join([*shown, *self.errors])


def ask(
    world: World,
    *,
    examples: int,
    phases: Sequence[str] = PHASES,
    role: str | None = "admin",
    seed: int = SEED,
    without: Sequence[str] = (),
) -> Found:
    """Ask for every operation of the description, and look at the answers with every check there is.

    Args:
        world: the service.
        examples: requests of random content for each operation; what the schemas' ends and edges demand comes besides.
        phases: of schemathesis.
        role: whose key comes along; None for no key.
        seed: of chance.
        without: paths that are not asked, whatever the method.
    """
    found = Found()
    config = {
        "seed": seed,
        "base-url": world.url,
        "continue-on-failure": True,
        "headers": {} if role is None else {"Authorization": f"Bearer {world.keys[role]}"},  # type: ignore[index]
        "generation": {"max-examples": examples, "database": "none", "no-shrink": True},
        "checks": {"enabled": True},
        "output": {"sanitization": {"enabled": False}},
        "phases": {phase: {"enabled": phase in phases} for phase in PHASES},
    }
    schema = schemathesis.openapi.from_dict(_described(world), config=schemathesis.Config.from_dict(config))
    schema.hook(_filter(found))
    for event in from_schema(schema.exclude(path=list(without)) if without else schema).execute():
        recorder = getattr(event, "recorder", None)
        if isinstance(recorder, ScenarioRecorder):
            _take(found, recorder, getattr(getattr(event, "phase", None), "value", "?"))
        elif isinstance(error := getattr(event, "info", None), EngineErrorInfo):
            found.errors.append(f"{error.title}: {error.message}")
    return found


def _described(world: World) -> dict[str, Any]:
    """What the service says of itself, and how values of one header can be made.

    In its phase `coverage` schemathesis (4.32) wants headers of letters and digits alone, whatever their pattern demands, and sends `0`
    where both cannot be had. Where a format is told, which it would ask this strategy for, it does not.
    """
    document: dict[str, Any] = world.ask("GET", "/openapi.json")[1]
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == OVERRIDE_HEADER:
                    parameter["schema"]["format"] = OVERRIDE_HEADER
    running = st.sampled_from([f"{RUNNING}=control", f"{RUNNING}=treatment", "nothing=at-all"])
    schemathesis.openapi.format(OVERRIDE_HEADER, running | st.from_regex(OVERRIDE_FORM, fullmatch=True))
    return document


def _filter(found: Found) -> Any:
    def filter_failure(context: Any, failure: Failure, case: schemathesis.Case, response: schemathesis.Response) -> bool:
        is_beyond = failure.title == "Schema-valid request rejected" and _is_beyond(response)
        is_partial = failure.title == "Schema-violating request accepted" and _is_partial(case, response)
        if is_beyond or is_partial:
            found.beyond[case.operation.label] += 1
        return not is_beyond and not is_partial

    return filter_failure


def _is_beyond(response: schemathesis.Response) -> bool:
    """Whether a request was refused for nothing but what no schema can say."""
    if response.status_code != 422:
        return False
    problem = response.json()
    if problem["type"].rpartition(":")[2] in OF_WHAT_IS_THERE:
        return True
    return bool(problem["errors"]) and all(
        any(
            re.fullmatch(place, fault["location"], re.DOTALL) and re.fullmatch(reason, fault["message"], re.DOTALL)
            for place, reason in NOT_IN_A_SCHEMA.items()
        )
        for fault in problem["errors"]
    )


def _is_partial(case: schemathesis.Case, response: schemathesis.Response) -> bool:
    """Whether events that are not valid were refused with an answer of 200, as `partial` asks for."""
    body = case.body
    is_asked = case.operation.label == "POST /v1/events" and isinstance(body, dict) and body.get("partial") is True
    return is_asked and response.status_code == 200 and bool(response.json()["rejected"])


def _take(found: Found, recorder: ScenarioRecorder, phase: str) -> None:
    for number, interaction in recorder.interactions.items():
        operation = recorder.cases[number].value.operation.label if number in recorder.cases else recorder.label
        found.requests[operation, phase] += 1
        status = 0 if interaction.response is None else interaction.response.status_code
        found.statuses.setdefault(operation, Counter())[status] += 1
    for number, checks in recorder.checks.items():
        operation = recorder.cases[number].value.operation.label
        for check in checks:
            found.checks[check.name] += 1
            if check.failure_info is not None:
                sample = f"{check.failure_info.failure.message}\n{check.failure_info.code_sample}"
                found.failures.setdefault((check.name, operation), []).append(_with_answer(sample, recorder, number))


def _with_answer(sample: str, recorder: ScenarioRecorder, number: str) -> str:
    interaction = recorder.interactions.get(number)
    response = None if interaction is None else interaction.response
    return sample if response is None else f"{sample}\n{response.status_code} {(response.content or b'')[:1000]!r}"
