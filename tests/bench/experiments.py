"""The parts of `docs/results.md` about experiments and events, each from its own bench."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.bench import assignment, counterfactual, events, inference, sensitivity
from tests.bench.trained import table
from tests.e2e.rehearsal import CONTROL, TREATMENT, rehearse


def statistics() -> str:
    """False positives, coverage, power."""
    return inference.as_tables(inference.measure())


def interleaving() -> str:
    """Answers that interleaving and A/B tests need."""
    return sensitivity.interleaving_and_ab()


def logged() -> str:
    """Counterfactual estimates beside the truth."""
    return counterfactual.page()


def ingestion() -> str:
    """Events a second, and what kills lose."""
    found, killed = events.rate(), events.kills(events.KILLS)
    head = ["store", "events/s", "p50, ms", "p99, ms", "over one connection", "p50, ms", "p99, ms"]
    fields = ("rate", "p50", "p99", "rate_alone", "p50_alone", "p99_alone")
    rows = [
        [name, *(f"{row[field]:,.0f}" if "rate" in field else f"{row[field]:.1f}" for field in fields)]
        for name, row in found["stores"].items()
    ]
    told = (
        f"One worker, batches of {found['batch']}, acknowledged when durable, {found['connections']} connections, medians of "
        f"{found['rounds']} rounds; filled: {found['in_table']:,} events in the table."
    )
    counts = [[kind, *(f"{count:,}" for count in row.values())] for kind, row in killed["stores"].items()]
    names = [name.replace("_", " ") for name in next(iter(killed["stores"].values()))]
    return "\n".join(
        [
            *(told, "", *table(head, rows), ""),
            *("The service killed with SIGKILL under load, started again, and asked for what it had acknowledged:", ""),
            *table(["store", *names], counts),
        ]
    )


def latency() -> str:
    """What an experiment adds to a recommendation."""
    found = assignment.measure()
    told = (
        f"{found['items']:,} items × {found['dimensions']} dimensions, one worker, medians of {found['rounds']} rounds in which the "
        f"services take turns; busy: {found['connections']} connections. `assignment` is assignment and the log of exposures and "
        "impressions by itself; with two releases, questions that come together are also answered by two scans instead of one."
    )
    head = ["experiment", "busy, requests/s", "p50, ms", "p99, ms", "added", "alone, p50, ms", "p99, ms", "added"]
    rows = [
        [
            name,
            f"{row['busy']['rate']:,.0f}",
            *(f"{row['busy'][field]:.2f}" for field in ("p50", "p99")),
            f"{row['busy']['added']:+.1%}",
            *(f"{row['alone'][field]:.3f}" for field in ("p50", "p99")),
            f"{row['alone']['added']:+.1%}",
        ]
        for name, row in found["services"].items()
    ]
    return "\n".join([told, "", *table(head, rows)])


def rehearsal() -> str:
    """What the rehearsal's reports say, for three seeds of visits and clicks."""
    rows = []
    for seed in (1, 2, 3):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            reports = rehearse(Path(folder), seed)
        seconds = time.perf_counter() - started
        for report, shown in zip(reports, (f"{CONTROL} against {TREATMENT}", f"{CONTROL} against itself"), strict=True):
            metric = report["metrics"][0]
            (one,) = metric["comparisons"]
            values = [f"{value:.4f}" for value in metric["values"].values()]
            rows.append(
                [
                    str(seed),
                    shown,
                    *values,
                    report["decision"]["sentence"],
                    f"{one['variance_reduction']:.1%}",
                    f"{seconds:.0f}",
                ]
            )
    told = "586 people of MovieLens 100K's later half, 4 visits before the experiment and 5 during it, through HTTP (`make rehearsal`)."
    head = ["seed", "rankers", "a", "b", "the report", "variance taken away by CUPED", "seconds, both"]
    return "\n".join([told, "", *table(head, rows)])
