"""What Prometheus can read: counts and times of requests, and the state of the live release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from app.experiments.plan import Part
from app.releases import LiveRelease
from app.store import ImpressionLog, Writer

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class _LiveCollector(Collector):
    """Reads the live release when Prometheus asks, so that nothing needs to be told of swaps."""

    def __init__(self, lives: Sequence[LiveRelease]) -> None:
        self._lives = lives

    def collect(self) -> Iterator[Metric]:
        release = InfoMetricFamily("irgan_release", "The releases that answer")
        for live in self._lives:
            if live.current is not None:
                manifest = live.current.manifest
                release.add_metric(
                    [], {"slot": live.slot, "name": manifest.name, "version": manifest.version, "ranker": manifest.ranker}
                )
        yield release
        swaps, refusals = (
            sum(counts) for counts in zip(*((live.num_swaps, live.num_refusals) for live in self._lives), strict=True)
        )
        yield CounterMetricFamily("irgan_release_swaps", "Releases that went live in this process", value=swaps)
        yield CounterMetricFamily("irgan_release_refusals", "Releases that could not be loaded", value=refusals)
        refused = GaugeMetricFamily(
            "irgan_release_refused",
            "1 while a slot points to what cannot be loaded, and the release before answers",
            labels=["slot"],
        )
        for live in self._lives:
            refused.add_metric([live.slot], float(live.is_refused))
        yield refused


class _StoreCollector(Collector):
    """Reads how the writes go when Prometheus asks."""

    def __init__(self, writer: Writer, impressions: ImpressionLog) -> None:
        self._writer = writer
        self._impressions = impressions

    def collect(self) -> Iterator[Metric]:
        writer, impressions = self._writer, self._impressions
        yield GaugeMetricFamily("irgan_store_waiting", "Rows whose senders wait for the store", value=writer.num_waiting)
        yield SummaryMetricFamily(
            "irgan_store_transaction_seconds",
            "Time of transactions that wrote",
            count_value=writer.num_transactions,
            sum_value=writer.seconds,
        )
        yield CounterMetricFamily("irgan_store_failures", "Transactions that failed", value=writer.num_failures)
        yield GaugeMetricFamily("irgan_impressions_waiting", "Impressions not yet written", value=impressions.num_waiting)
        yield CounterMetricFamily("irgan_impressions_lost", "Impressions given up", value=impressions.num_lost)


class _AssignedCollector(Collector):
    """Reads how many answers each variant has when Prometheus asks: its own counters take longer than an assignment does."""

    def __init__(self, counts: Mapping[tuple[str, str], int]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        answers = CounterMetricFamily(
            "irgan_experiment_answers",
            "Answers that are part of an experiment, by variant",
            labels=["experiment", "variant"],
        )
        for variant, number in list(self._counts.items()):
            answers.add_metric(variant, number)
        yield answers


_EVENT_TYPES = frozenset(("impression", "click", "rating", "conversion"))


class Metrics:
    """The service's own registry: two services in one process do not share it.

    Args:
        lives: the releases to report on.
        writer, impressions: the writes to report on.
    """

    def __init__(self, lives: Sequence[LiveRelease], *, writer: Writer, impressions: ImpressionLog) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_LiveCollector(lives))
        self._registry.register(_StoreCollector(writer, impressions))
        self._events = Counter("irgan_events", "Events stored, by type", ["type"], registry=self._registry)
        self._duplicates = Counter("irgan_event_duplicates", "Events that were stored already", registry=self._registry)
        self._rejected = Counter("irgan_event_rejections", "Events left out of their requests", registry=self._registry)
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
        self._assigned: dict[tuple[str, str], int] = {}
        self._registry.register(_AssignedCollector(self._assigned))
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

    def assigned(self, part: Part) -> None:
        """Count one answer that is part of an experiment."""
        variant = part.experiment, part.variant
        self._assigned[variant] = self._assigned.get(variant, 0) + 1

    def events(self, types: Mapping[str, int], *, num_duplicates: int, num_rejected: int) -> None:
        """Count events: those stored by their types, and what became of the others."""
        for name, number in types.items():
            self._events.labels(name if name in _EVENT_TYPES else "other").inc(number)
        self._duplicates.inc(num_duplicates)
        self._rejected.inc(num_rejected)

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)
