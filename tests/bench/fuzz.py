"""Whether the service answers as it describes itself: requests made up by schemathesis from its OpenAPI document, and damaged ones.

`python -m tests.bench.fuzz [--examples 500] [--damaged 10000] [--json]`: over sockets against `irgan serve` as a process, with releases for every
kind of question, an experiment that runs, changed items, events in the store, and keys.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.fuzz.asking import SEED, Found, ask
from tests.fuzz.damaging import send_mutated
from tests.fuzz.world import memory, world

EXAMPLES = 500
DAMAGED = 10_000
ROLES = ("read", "events", None)
LEAST = 10_000


def measure(*, examples: int = EXAMPLES, damaged: int = DAMAGED) -> dict[str, Any]:
    """Ask, and count what came back and what was wrong with it.

    Args:
        examples: of random content, for each operation; with an admin key. Keys of other roles, and none, get a twentieth.
        damaged: requests with bytes flipped, put in, taken out or doubled.
    """
    with tempfile.TemporaryDirectory(prefix="irgan-fuzz-") as folder, world(Path(folder), IRGAN_RECEIVE_SECONDS="2") as made:
        ask(made, examples=1)  # what is loaded at first use is not growth
        before = memory(made.pid)
        found = ask(made, examples=examples)
        others = [ask(made, examples=max(1, examples // 20), role=role) for role in ROLES]
        answered = send_mutated(made, damaged)  # raises at the first answer that is not documented
        grown = memory(made.pid) - before
        is_ready = made.ask("GET", "/health/ready")[0] == 200
    failures = sum((_failures(one) for one in (found, *others)), Counter[str]())
    num_others = sum(one.num_requests for one in others)
    return {
        "seed": SEED,
        "versions": {name: version(name) for name in ("schemathesis", "hypothesis", "fastapi", "pydantic")},
        "requests": found.num_requests,
        "other_roles": num_others,
        "operations": {
            operation: {"requests": number, "statuses": dict(sorted(found.statuses[operation].items()))}
            for operation, number in found.of_operations().items()
        },
        "checks": {check: {"looked_at": number, "failures": failures[check]} for check, number in sorted(found.checks.items())},
        "errors": [error for one in (found, *others) for error in one.errors],
        "beyond_schemas": sum(found.beyond.values()),
        "damaged": dict(sorted(answered.items())),
        "grown_mib": round(grown, 1),
        "targets_met": is_ready
        and found.num_requests >= LEAST
        and not failures
        and not any(one.errors for one in (found, *others)),
    }


def _failures(found: Found) -> Counter[str]:
    return Counter(
        {check: sum(len(t) for (name, _), t in found.failures.items() if name == check) for check, _ in found.failures}
    )


def fuzzing() -> str:
    """The part of `docs/results.md`."""
    return page(measure())


def page(told: dict[str, Any]) -> str:
    """What was measured, as Markdown."""
    from tests.bench.trained import table  # noqa: PLC0415 - brings torch, which measuring does not need

    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    num_failures = sum(check["failures"] for check in told["checks"].values())
    rows = [
        [
            f"`{operation}`",
            f"{one['requests']:,}",
            ", ".join(f"{status}: {count:,}" for status, count in one["statuses"].items()),
        ]
        for operation, one in told["operations"].items()
    ]
    checks = [[name.replace("_", " "), f"{one['looked_at']:,}", f"{one['failures']:,}"] for name, one in told["checks"].items()]
    damaged = ", ".join(f"{status if int(status) else 'no answer'}: {count:,}" for status, count in told["damaged"].items())
    return "\n".join(
        [
            f"{told['requests']:,} requests with an admin key by schemathesis, all checks, phases and operations, and {told['other_roles']:,} with other "
            f"keys and without: **{num_failures} failures**, {len(told['errors'])} errors. Seed {told['seed']}; {versions}. {told['beyond_schemas']:,} "
            "requests fitted their schemas and were refused for what no schema can say, such as fields that no item has: `tests/fuzz/asking.py` lists "
            f"those reasons. The process grew by {told['grown_mib']:.0f} MiB.",
            "",
            *table(["operation", "requests", "answers by status"], rows),
            "",
            *table(["check", "answers looked at", "failures"], checks),
            "",
            f"{sum(told['damaged'].values()):,} damaged requests (bytes flipped, put in, taken out, doubled), by answer: {damaged}. Without an answer are "
            "connections on which another request seemed to follow, and was none.",
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="requests of random content for each operation")
    parser.add_argument("--damaged", type=int, default=DAMAGED, help="damaged requests")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    told = measure(examples=options.examples, damaged=options.damaged)
    if options.json:
        print(json.dumps(told))
        return
    print(f"{told['requests']:,} requests, {told['other_roles']:,} with other keys or none; seed {told['seed']}")
    for operation, one in told["operations"].items():
        print(
            f"{one['requests']:7,}  {operation:<45} {', '.join(f'{status}: {count}' for status, count in one['statuses'].items())}"
        )
    for name, one in told["checks"].items():
        print(f"{one['failures']:7,}  failures of {one['looked_at']:,} answers: {name}")
    print(f"damaged: {told['damaged']}; {told['grown_mib']:+.0f} MiB; targets met: {told['targets_met']}")


if __name__ == "__main__":
    main()
