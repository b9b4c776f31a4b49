"""What Prometheus can read: counts and times of requests, and the state of the live release."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from app.experiments.plan import Part
from app.releases import LiveRelease
from app.store import ImpressionLog, Writer
from app.telemetry import num_lines_lost

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
        yield GaugeMetricFamily(
            "irgan_releases_unreachable",
            "1 while an object store does not say what the slots point to, and the last known releases answer",
            value=float(any(live.store.is_unreachable for live in self._lives)),
        )
        created = GaugeMetricFamily(
            "irgan_release_created_timestamp_seconds",
            "When the live release was made, Unix time",
            labels=["slot"],
        )
        since = GaugeMetricFamily(
            "irgan_release_live_timestamp_seconds",
            "When it went live in this process, Unix time",
            labels=["slot"],
        )
        loading = SummaryMetricFamily(
            "irgan_release_load_seconds",
            "Time to read and verify releases that could be loaded",
            labels=["slot"],
        )
        for live in self._lives:
            if live.current is not None:
                created.add_metric([live.slot], live.current.manifest.created.timestamp())
                since.add_metric([live.slot], live.since)
            loading.add_metric([live.slot], live.num_loads, live.load_seconds)
        yield created
        yield since
        yield loading


class _StoreCollector(Collector):
    """Reads how the writes go, and whether the store can be read, when Prometheus asks."""

    def __init__(self, writer: Writer, impressions: ImpressionLog, is_read: Callable[[], bool]) -> None:
        self._writer = writer
        self._impressions = impressions
        self._is_read = is_read

    def collect(self) -> Iterator[Metric]:
        writer, impressions = self._writer, self._impressions
        up = GaugeMetricFamily("irgan_store_up", "1 while the store can be used, as of the last attempt", labels=["access"])
        up.add_metric(["read"], float(self._is_read()))
        up.add_metric(["write"], float(not writer.is_failing))
        yield up
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


class _CountsCollector(Collector):
    """Reads what is counted in dictionaries when Prometheus asks: its own counters take longer than an assignment does."""

    def __init__(self, counts: Mapping[tuple[str, str], int], rankings: Mapping[str, int]) -> None:
        self._counts = counts
        self._rankings = rankings

    def collect(self) -> Iterator[Metric]:
        rankings = CounterMetricFamily(
            "irgan_rankings", "Rankings answered, each of a batch for itself, by ranker", labels=["ranker"]
        )
        for ranker, number in list(self._rankings.items()):
            rankings.add_metric([ranker], number)
        yield rankings
        answers = CounterMetricFamily(
            "irgan_experiment_answers",
            "Answers that are part of an experiment, by variant",
            labels=["experiment", "variant"],
        )
        for variant, number in list(self._counts.items()):
            answers.add_metric(variant, number)
        yield answers


class _ProcessCollector(Collector):
    """Reads what this process is when Prometheus asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        build = InfoMetricFamily("irgan_build", "What runs")
        build.add_metric([], {"version": version("irgan"), "python": platform.python_version()})
        yield build
        yield GaugeMetricFamily(
            "irgan_requests_in_progress", "Requests that are being answered", value=self._metrics.num_in_progress
        )
        yield CounterMetricFamily("irgan_log_lines_lost", "Lines of the log that stderr did not take", value=num_lines_lost())


_EVENT_TYPES = frozenset(("impression", "click", "rating", "conversion"))


class Metrics:
    """The service's own registry: two services in one process do not share it.

    Args:
        lives: the releases to report on.
        writer, impressions: the writes to report on.
        is_store_read: whether the store could be read last.

    Attributes:
        num_in_progress: requests that are being answered.
    """

    def __init__(
        self,
        lives: Sequence[LiveRelease],
        *,
        writer: Writer,
        impressions: ImpressionLog,
        is_store_read: Callable[[], bool] = lambda: True,
    ) -> None:
        self.num_in_progress = 0
        self._registry = CollectorRegistry()
        self._registry.register(_LiveCollector(lives))
        self._registry.register(_StoreCollector(writer, impressions, is_store_read))
        self._registry.register(_ProcessCollector(self))
        ProcessCollector(registry=self._registry)
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
        self._rankings: dict[str, int] = {}
        self._registry.register(_CountsCollector(self._assigned, self._rankings))
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

    def ranked(self, ranker: str) -> None:
        """Count one ranking."""
        self._rankings[ranker] = self._rankings.get(ranker, 0) + 1

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
