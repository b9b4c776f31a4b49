"""What Prometheus reads from a service to which everything has happened once."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.experiments.plan import Part
from app.main import create_app
from app.settings import Settings


def samples(folder: Path) -> dict[str, set[str]]:
    """The names of all samples, and of their families, each with its labels."""
    service = create_app(Settings(releases=folder / "releases", store=f"sqlite:///{folder / 'irgan.db'}"))
    metrics = service.state.metrics
    metrics.observe(method="GET", route="/v1/search", status=200, ranker="a", seconds=0.1)
    metrics.problem("internal")
    metrics.ranked("a")
    metrics.fallback("a", "popularity")
    metrics.events({"click": 1}, num_duplicates=0, num_rejected=0)
    metrics.assigned(
        Part(experiment="e", variant="control", releases=("a/1",), method=None, propensity=0.5, revision=1, named=b"")
    )
    labels: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        labels[family.name] |= set()
        for sample in family.samples:
            labels[sample.name] |= set(sample.labels)
    # No release is live here, and these families have samples of live ones alone.
    labels["irgan_release_info"] |= {"slot", "name", "version", "ranker"}
    for name in ("created", "live"):
        labels[f"irgan_release_{name}_timestamp_seconds"] |= {"slot"}
    return labels


def families(folder: Path) -> set[str]:
    """The names of all metrics, as people write them: a counter with `_total`, a histogram without `_bucket`."""
    found = set()
    for name in samples(folder):
        if name.endswith("_created") or not name.startswith("irgan_"):
            continue
        found.add(name)
    stems = {name.removesuffix(ending) for name in found for ending in ("_bucket", "_sum", "_count") if name.endswith(ending)}
    counters = {name.removesuffix("_total") for name in found if name.endswith("_total")}
    infos = {name.removesuffix("_info") for name in found if name.endswith("_info")}
    parts = {f"{stem}{ending}" for stem in stems for ending in ("_bucket", "_sum", "_count")}
    return found - parts - counters - infos
