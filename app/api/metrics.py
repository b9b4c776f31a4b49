"""What Prometheus can read: counts and times of requests, and the state of the live release."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from app.releases import LiveRelease

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class _LiveCollector(Collector):
    """Reads the live release when Prometheus asks, so that nothing needs to be told of swaps."""

    def __init__(self, live: LiveRelease) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        live = self._live
        release = InfoMetricFamily("irgan_release", "The release that answers")
        if live.current is not None:
            manifest = live.current.bundle.manifest
            release.add_metric(
                [], {"slot": live.slot, "name": manifest.name, "version": manifest.version, "ranker": manifest.ranker}
            )
        yield release
        yield CounterMetricFamily("irgan_release_swaps", "Releases that went live in this process", value=live.num_swaps)
        yield CounterMetricFamily("irgan_release_refusals", "Releases that could not be loaded", value=live.num_refusals)


class Metrics:
    """The service's own registry: two services in one process do not share it.

    Args:
        live: the release to report on.
    """

    def __init__(self, live: LiveRelease) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_LiveCollector(live))
        self._requests = Counter(
            "irgan_requests",
            "Requests answered, by route and HTTP status",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._problems = Counter(
            "irgan_problems", "Requests that ended in a problem, by kind", ["problem"], registry=self._registry
        )
        self._seconds = Histogram(
            "irgan_request_seconds",
            "Time to answer, by route and ranker (empty where none ranked)",
            ["route", "ranker"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._fallbacks = Counter(
            "irgan_fallbacks",
            "Rankings that a fallback answered, by ranker and fallback",
            ["ranker", "fallback"],
            registry=self._registry,
        )
        # Finding a child by its labels takes longer than counting, so children are kept.
        self._children: dict[tuple[str, str, int, str], tuple[Counter, Histogram]] = {}

    def observe(self, *, method: str, route: str, status: int, ranker: str, seconds: float) -> None:
        """Count one request."""
        key = (method, route, status, ranker)
        children = self._children.get(key)
        if children is None:
            children = self._requests.labels(method, route, str(status)), self._seconds.labels(route, ranker)
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def problem(self, kind: str) -> None:
        """Count one problem."""
        self._problems.labels(kind).inc()

    def fallback(self, ranker: str, fallback: str) -> None:
        """Count one ranking that a fallback answered."""
        self._fallbacks.labels(ranker, fallback).inc()

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)
