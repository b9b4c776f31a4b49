"""How fast one worker of the service answers searches of SciFact; see `tests.bench.calling`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from app.bundle import SplitInfo
from app.releases import ReleaseStore
from tests.bench.calling import CONNECTIONS, ROUNDS, measure_endpoints, post
from tests.bench.trained import say, table
from training.config import parse_config
from training.data import load_collection, make_text_splits
from training.export import export_search
from training.loop import Run
from training.registry import ranker as registered

MODES = ("lexical", "dense", "hybrid")
_BODIES = ("cnn", "minilm")


def search_service() -> str:
    """Searches by words, by vectors and by both, with either text encoder."""
    rows = []
    for body in _BODIES:
        with tempfile.TemporaryDirectory() as folder:
            releases, queries = _publish(Path(folder), body)
            requests = {mode: [post("/v1/search", {"query": query, "mode": mode}) for query in queries] for mode in MODES}
            for mode, row in measure_endpoints(releases, requests).items():
                if mode != "empty" and (mode != "lexical" or body == _BODIES[0]):
                    shown = mode if mode == "lexical" else f"{mode}, {body}"
                    times = [f"{row[name]:.1f}" for name in ("p50", "p99")]
                    rows.append([shown, f"{row['rate']:,.0f}", *times, f"{row['rate_ratio']:.2f}"])
                    say(f"search, {shown}: {row['rate']:,.0f} requests/s")
    told = (
        f"SciFact's 5,183 documents, its 300 test queries in turn, k = 10 with snippets, one worker on one core, {CONNECTIONS} connections, "
        f"medians of {ROUNDS} rounds."
    )
    return "\n".join(
        [told, "", *table(["search", "requests/s", "p50, ms", "p99, ms", "requests/s of the empty endpoint's"], rows)]
    )


def _publish(folder: Path, body: str) -> tuple[Path, list[str]]:
    """A folder of releases with `irgan-text` in its champion slot, and the test queries."""
    spec = registered("irgan-text")
    config = parse_config(spec.config(), assignments=[f"body={body}"])
    split = make_text_splits(load_collection("scifact"))[0]
    trained = spec.recipe()(split.without_test(), config, Run(progress=True))
    bundle = export_search(
        trained.model,
        split.collection,
        split.train,
        split=SplitInfo(name=split.name, parameters=split.parameters),
        root=folder / "bundles",
        name="irgan-text",
        ranker="irgan-text",
        paper=spec.paper,
        seed=0,
        config=config.model_dump(mode="json"),
        metrics={},
        training={},
    )
    ReleaseStore(folder / "releases").publish(bundle, "champion")
    return folder / "releases", [split.collection.query_texts[row] for row in split.test.queries]
