"""Whatever is asked that the description allows, or forbids: the service answers as it says, and goes on answering."""

from __future__ import annotations

import pytest

from tests.fuzz.asking import Found, ask
from tests.fuzz.world import memory, world
from tests.postgres import new_database

OPERATIONS = 24
CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "object_level_authorization",
}
"""All that schemathesis 4.32 has, but for the time that an answer takes."""
LARGE = ("/v1/events", "/v1/experiments", "/v1/recommendations", "/v1/search")
MANY, EXAMPLES = 10_000, 500
MOST_MIB = 100
"""What the process may grow by: caches that fill, and the store's."""


def check(found: Found, *, operations: int = OPERATIONS) -> None:
    """Nothing is wrong, and everything was asked and looked at."""
    assert not found.failures and not found.errors, found.told()
    assert len(found.of_operations()) == operations and min(found.of_operations().values()) > 0
    assert found.checks.keys() == CHECKS and min(found.checks.values()) > 0


def test_every_operation_answers_as_it_is_described(asked_world):
    """All checks on every operation: examples, requests of random content, and sequences."""
    found = ask(asked_world, examples=3, phases=("examples", "fuzzing", "stateful"))
    check(found)
    accepted = {operation for operation, statuses in found.statuses.items() if {200, 201} & statuses.keys()}
    assert len(accepted) >= OPERATIONS - 4  # what experiments take depends on what was done with them before
    assert asked_world.ask("GET", "/v1/recommendations/196")[0] == 200


def test_the_ends_of_what_is_described_are_where_it_says(asked_world):
    """What is just allowed is taken, what is just not is refused, other methods and missing keys too. The largest bodies have long runs alone."""
    found = ask(asked_world, examples=1, phases=("coverage",), without=LARGE)
    check(found, operations=OPERATIONS - 5)  # two are at the path of experiments


@pytest.mark.parametrize("role", ["read", None])
def test_who_may_not_is_told_so_as_it_is_described(asked_world, role):
    """401 or 403 for what needs more, and answers for what does not."""
    found = ask(asked_world, examples=1, phases=("fuzzing",), role=role)
    assert not found.failures and not found.errors, found.told()
    for operation, statuses in found.statuses.items():
        is_open = operation.startswith("GET /health/")
        if is_open:
            assert not {401, 403} & statuses.keys()
        elif role is None:
            assert statuses.keys() == {401}, operation
        else:
            asks = operation.startswith("GET ") or operation.split()[1] in ("/v1/recommendations", "/v1/search", "/v1/rerank")
            assert asks != (403 in statuses), (operation, statuses)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_ten_thousand_requests_of_every_kind(tmp_path):
    """10,000 at least on a fresh service, then with a read key and without one; memory stays."""
    with world(tmp_path) as made:
        ask(made, examples=1)  # what is loaded at first use is not growth
        before = memory(made.pid)
        found = ask(made, examples=EXAMPLES)
        grown = memory(made.pid) - before
        print(f"\n{found.num_requests:,} requests; {grown:+.0f} MiB")  # noqa: T201 - what a long run is for
        for operation, number in found.of_operations().items():
            statuses = ", ".join(f"{status}: {count}" for status, count in sorted(found.statuses[operation].items()))
            print(f"{number:6,}  {operation:<45} {statuses}")  # noqa: T201
        check(found)
        assert found.num_requests >= MANY
        assert grown < MOST_MIB
        for role in ("read", "events", None):
            others = ask(made, examples=20, role=role)
            assert not others.failures and not others.errors, others.told()
        assert made.ask("GET", "/v1/recommendations/196")[0] == 200


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_thousands_of_requests_with_postgresql(tmp_path, postgres):
    """It takes other texts and numbers than SQLite does; what callers send must not show which one it is."""
    with new_database(postgres) as url, world(tmp_path, store=url) as made:
        check(ask(made, examples=50))
