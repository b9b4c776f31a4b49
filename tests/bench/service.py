"""How fast one worker of the service answers recommendations, beside an empty JSON endpoint; see `tests.bench.calling`.

`python -m tests.bench.service [--json]`: a made-up ranker of 20,000 items × 64 dimensions with a table of users and a flat index.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.calling import CONNECTIONS, ROUNDS, SECONDS, get, measure_endpoints, post

if TYPE_CHECKING:
    from app.bundle import BundleDraft

NUM_ITEMS, DIM, NUM_USERS, HISTORY = 20_000, 64, 2_000, 20
TARGET_RATE, TARGET_P99 = 0.5, 3.0


def make_bundle() -> BundleDraft:
    """The made-up ranker."""
    import faiss  # noqa: PLC0415 - the client has no use for it
    import numpy as np  # noqa: PLC0415 - likewise

    from app.bundle import Histories, IndexInfo, VectorModel  # noqa: PLC0415 - likewise
    from tests.conftest import make_draft  # noqa: PLC0415 - likewise

    rng = np.random.default_rng(0)
    draft = make_draft(num_items=NUM_ITEMS, dim=DIM, num_users=NUM_USERS)
    had = [rng.choice(NUM_ITEMS, size=HISTORY, replace=False).tolist() for _ in range(NUM_USERS)]
    model = VectorModel(
        item_vectors_ID=draft.model.item_vectors_ID,
        encoder=draft.model.encoder,
        policy=draft.model.policy,
        user_vectors_UD=rng.normal(size=(NUM_USERS, DIM)).astype(np.float32),
    )
    index = faiss.IndexFlatIP(DIM)
    index.add(model.item_vectors_ID)
    return replace(
        draft,
        model=model,
        seen=Histories.of(had),
        index=index,
        index_info=IndexInfo(factory="Flat", recall_at_100=1.0, num_queries=NUM_USERS),
    )


def write_release(folder: Path) -> Path:
    """A folder of releases with the bundle in its champion slot."""
    from app.bundle import write_bundle  # noqa: PLC0415 - the client has no use for it
    from app.releases import ReleaseStore  # noqa: PLC0415 - likewise

    ReleaseStore(folder / "releases").publish(write_bundle(make_bundle(), folder / "drafts"), "champion")
    return folder / "releases"


def requests_by_name() -> dict[str, list[bytes]]:
    """The requests, ready to be sent; a caller goes through them in turn."""
    rng = random.Random(0)

    def history() -> dict[str, Any]:
        return {"history": [{"item": f"i{row}", "rating": 5} for row in rng.sample(range(NUM_ITEMS), 10)]}

    return {
        "user": [get(f"/v1/recommendations/u{rng.randrange(NUM_USERS)}") for _ in range(1000)],
        "history": [post("/v1/recommendations", history()) for _ in range(1000)],
        "filtered": [get(f"/v1/recommendations/u{rng.randrange(NUM_USERS)}?filter=year%3E%3D1990") for _ in range(1000)],
        "similar": [get(f"/v1/items/i{rng.randrange(NUM_ITEMS)}/similar") for _ in range(1000)],
    }


def measure(*, rounds: int = ROUNDS, seconds: float = SECONDS) -> dict[str, Any]:
    """Every endpoint's figures, and whether those that are wanted are reached."""
    with tempfile.TemporaryDirectory() as folder:
        endpoints = measure_endpoints(write_release(Path(folder)), requests_by_name(), rounds=rounds, seconds=seconds)
    return {
        "items": NUM_ITEMS,
        "dimensions": DIM,
        "connections": CONNECTIONS,
        "rounds": rounds,
        "endpoints": endpoints,
        "targets_met": endpoints["user"]["rate_ratio"] >= TARGET_RATE and endpoints["user"]["p99_ratio"] <= TARGET_P99,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each endpoint in each round")
    options = parser.parse_args()
    told = measure(rounds=options.rounds, seconds=options.seconds)
    if options.json:
        print(json.dumps(told))
        return
    print(f"{NUM_ITEMS:,} items × {DIM} dimensions, one worker, {CONNECTIONS} connections, medians of {told['rounds']} rounds")
    print(f"{'endpoint':<10}{'requests/s':>12}{'of empty':>10}{'p50 ms':>9}{'p99 ms':>9}{'× empty':>9}")
    for name, row in told["endpoints"].items():
        share = f"{row['rate_ratio']:.0%}" if "rate_ratio" in row else ""
        times = f"{row['p99_ratio']:.2f}" if "p99_ratio" in row else ""
        print(f"{name:<10}{row['rate']:>12,.0f}{share:>10}{row['p50']:>9.2f}{row['p99']:>9.2f}{times:>9}")
    print(
        f"wanted of user: at least {TARGET_RATE:.0%} of the empty endpoint's requests/s, p99 at most {TARGET_P99:.0f} times its own"
    )


if __name__ == "__main__":
    main()
