"""Every figure of `docs/results.md`, measured anew: `make bench`, or `python -m tests.bench.results PART…`.

Parts are measured one after the other and each is written into the page when it is done, so an interrupted run loses one part at
most. Data come from `$IRGAN_DATA_DIR` or are fetched.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from tests.bench import (
    candidates,
    experiments,
    faults,
    fuzz,
    literature,
    retraining,
    searching,
    service,
    soak,
    startup,
    texts,
    warm_start,
)
from tests.bench.trained import FEW_METRICS, METRICS, SEEDS, Trained, say, table, train
from training.data import load_dataset, make_split
from training.evaluation import compare_rankers
from training.jobs.pages import replace_part

PAGE = Path("docs/results.md")

CONTENDERS: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("popularity", "popularity", (), False),
    ("item-knn", "item-knn", (), False),
    ("BPR", "bpr", (), True),
    ("PureSVD, 10 factors", "puresvd", (), True),
    ("iALS, 16 factors (`implicit`)", "ials", (), True),
    ("EASE, λ 400", "ease", (), False),
    ("`irgan`, 5 dimensions", "irgan", (), True),
    ("`irgan-history`", "irgan-history", (), True),
    ("EASE, all ratings", "ease", ("signal=all",), False),
    ("`irgan-history`, all ratings", "irgan-history", ("signal=all",), True),
)
"""Shown as, ranker, settings, whether anything in it is random."""

_REFERENCE = {
    "EASE, λ 400": (0.4598, 0.4180, 0.3572, 0.4858, 0.4575, 0.4292, 0.2842, 0.6821),
    "iALS, 16 factors (`implicit`)": (0.4576, 0.4171, 0.3513, 0.4795, 0.4520, 0.4198, 0.2747, 0.6745),
}
"""Measured elsewhere with an independent script, as a check of the protocol."""
_PUBLISHED = (0.4057, 0.3785, 0.3184, 0.4228, 0.4053, 0.3775, 0.2442, 0.6103)
"""The generator that the paper's authors published, measured under this protocol."""
_PAIRS = (
    ("`irgan-history`", "EASE, λ 400"),
    ("`irgan-history`, all ratings", "EASE, all ratings"),
    ("`irgan-history`, committee alone", "EASE, λ 400"),
)


def movielens_100k() -> str:
    """The paper's data, split and protocol: every ranker."""
    split = make_split(load_dataset("movielens-100k"), "paper")
    found: dict[str, Trained] = {}
    for shown, ranker, settings, random in CONTENDERS:
        found |= train(shown, ranker, split, settings, SEEDS if random else SEEDS[:1])
    lines = ["Protocol `paper`, mean ± sd over seeds 0 to 4 (one training where nothing is random).", ""]
    lines += table(
        ["ranker", *METRICS, "seconds"], [[shown, *trained.row("paper", METRICS)] for shown, trained in found.items()]
    )
    lines += [
        "",
        f"The published IRGAN generator under this protocol: {', '.join(f'{m} {v}' for m, v in zip(METRICS, _PUBLISHED, strict=True))}.",
    ]
    lines += ["", "Greatest distance of any metric from an independent script's figures: " + "; ".join(_distances(found)) + "."]
    lines += ["", "Protocol `standard`:", ""]
    lines += table(
        ["ranker", *FEW_METRICS, "seconds"], [[shown, *t.row("standard", FEW_METRICS)] for shown, t in found.items()]
    )
    lines += ["", "Paired differences over the 456 users (each user's mean over seeds), protocol `paper`:", ""]
    lines += [f"- {sentence}" for sentence in _sentences(found)]
    return "\n".join(lines)


def _distances(found: dict[str, Trained]) -> list[str]:
    distances = []
    for shown, reference in _REFERENCE.items():
        means = [np.mean([e.means[m] for e in found[shown].evaluations["paper"]]) for m in METRICS]
        distances.append(f"{shown} {max(abs(a - b) for a, b in zip(means, reference, strict=True)):.4f}")
    return distances


def _sentences(found: dict[str, Trained]) -> list[str]:
    sentences = []
    for first, second in _PAIRS:
        values = {name: {m: found[name].per_user("paper", m) for m in ("nDCG@10", "AP")} for name in (first, second)}
        sentences += [comparison.sentence for comparison in compare_rankers(values, ("nDCG@10", "AP"), baseline=second)]
    return sentences


def _one_seed(name: str, contenders: Sequence[tuple[str, str, tuple[str, ...]]], split_name: str | None = None) -> str:
    dataset = load_dataset(name)
    split = make_split(dataset, split_name)
    lines = [
        f"Split `{split.name}`: {len(split.train):,} training and {len(split.test):,} test events, {split.train.num_users:,} users, "
        f"{split.train.num_items:,} items; protocol `standard`, seed 0.",
        "",
    ]
    rows = []
    for shown, ranker, settings in contenders:
        for row, trained in train(shown, ranker, split, settings, [0]).items():
            rows.append([row, *trained.row("standard", FEW_METRICS)])
    return "\n".join(lines + table(["ranker", *FEW_METRICS, "seconds"], rows))


def movielens_1m() -> str:
    """Every ranker on MovieLens 1M's ratings of 4 and 5."""
    plain = [(shown, ranker, settings) for shown, ranker, settings, _ in CONTENDERS if "signal=all" not in settings]
    tuned = {
        "ease": ("l2=1000",),
        "ials": ("embedding_size=64", "l2=20"),
        "puresvd": ("embedding_size=50",),
        "irgan-history": ("num_members=4", "num_epochs=15", "batch_size=256", "linear_l2=1000"),
    }
    shown = {
        "ease": "EASE, λ 1000",
        "ials": "iALS, 64 factors (`implicit`)",
        "puresvd": "PureSVD, 50 factors",
        "irgan-history": "`irgan-history`, 4 members, 15 epochs",
    }
    return _one_seed("movielens-1m", [(shown.get(r, s), r, tuned.get(r, settings)) for s, r, settings in plain])


def douban() -> str:
    """A data set that nothing was tuned for, all settings as they come."""
    return _one_seed("douban", [(shown, ranker, settings) for shown, ranker, settings, _ in CONTENDERS])


def serving() -> str:
    """The service beside an empty endpoint."""
    found = service.measure()
    rows = [
        [
            name,
            f"{row['rate']:,.0f}",
            _ratio(row, "rate_ratio"),
            f"{row['p50']:.2f}",
            f"{row['p99']:.2f}",
            _ratio(row, "p99_ratio"),
        ]
        for name, row in found["endpoints"].items()
    ]
    head = ["endpoint", "requests/s", "of the empty one's", "p50, ms", "p99, ms", "of the empty one's"]
    told = f"{found['items']:,} items × {found['dimensions']} dimensions, one worker, {found['connections']} connections, medians of {found['rounds']} rounds."
    return "\n".join([told, "", *table(head, rows)])


def _ratio(row: dict[str, float], name: str) -> str:
    return f"{row[name]:.2f}" if name in row else "—"


def index() -> str:
    """The three kinds of index, measured at build."""
    rng = np.random.default_rng(0)
    # Like learned factors, a few directions hold most of the variance; a ball of noise has no neighbourhoods to search.
    spectrum_D = 1.0 / np.sqrt(np.arange(1, 65))
    rows = []
    from training.export import build_index  # noqa: PLC0415 - only here

    for num_items, factory in ((50_000, None), (200_000, None), (200_000, "IVF1024,Flat")):
        vectors_ID = (rng.normal(size=(num_items, 64)) * spectrum_D).astype(np.float32)
        queries_QD = (rng.normal(size=(500, 64)) * spectrum_D).astype(np.float32)
        started = time.perf_counter()
        built, info = build_index(vectors_ID, queries_QD, factory)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        built.search(queries_QD, 100)
        each = 1000 * (time.perf_counter() - started) / len(queries_QD)
        rows.append(
            [f"{num_items:,}", info.factory, str(info.parameters), f"{info.recall_at_100:.4f}", f"{seconds:.1f}", f"{each:.2f}"]
        )
    told = "Made-up vectors of 64 dimensions whose variance falls as 1/d, one thread; recall measured on 500 queries."
    return "\n".join([told, "", *table(["items", "index", "parameters", "recall@100", "build, s", "a query, ms"], rows)])


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "movielens-100k": ("MovieLens 100K, the paper's split", movielens_100k),
    "movielens-1m": ("MovieLens 1M, ratings of 4 and 5", movielens_1m),
    "douban": ("Douban 3000 × 3000, untuned", douban),
    "literature": ("MovieLens 100K, other systems of the literature, from likes", literature.from_likes),
    "rating-models": ("MovieLens 100K, other systems of the literature, from all ratings", literature.from_ratings),
    "douban-ratings": ("Douban 3000 × 3000, expected ratings", literature.douban_ratings),
    "densities": ("Densities of binary vectors", literature.densities),
    "scifact": ("SciFact, search", texts.scifact),
    "cranfield": ("Cranfield, search", texts.cranfield),
    "wikiqa": ("WikiQA, answer selection", texts.wikiqa),
    "mq2008": ("MQ2008, learning to rank", candidates.mq2008),
    "serving": ("Serving", serving),
    "search-service": ("Serving searches", searching.search_service),
    "index": ("Index", index),
    "statistics": ("Experiments: false positives, coverage, power", experiments.statistics),
    "interleaving": ("Interleaving beside A/B tests", experiments.interleaving),
    "logged": ("Counterfactual evaluation", experiments.logged),
    "events": ("Events", experiments.ingestion),
    "assignment": ("Experiments: latency", experiments.latency),
    "rehearsal": ("Rehearsal", experiments.rehearsal),
    "swaps": ("Releases that change under load", soak.swaps),
    "memory": ("Memory under load", soak.memory),
    "startup": ("Start to ready", startup.startup),
    "retraining": ("Retraining that is killed", retraining.retraining),
    "warm": ("Warm starts", warm_start.warm),
    "faults": ("Faults", faults.report),
    "fuzz": ("Fuzzing", fuzz.fuzzing),
}


def machine() -> str:
    """Where the figures come from."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB, no GPU in use, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )


def main() -> None:
    """Measure the parts that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all by default")
    for part in parser.parse_args().parts or list(PARTS):
        title, measure = PARTS[part]
        started = time.perf_counter()
        text = measure()
        minutes = (time.perf_counter() - started) / 60
        replace_part(PAGE, part, f"## {title}\n\n{machine()}; measured in {minutes:.0f} min.\n\n{text}")
        say(f"{part}: written into {PAGE}")


if __name__ == "__main__":
    main()
