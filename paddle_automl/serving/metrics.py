"""What the server counts and times, in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PARTS = ("receive", "read", "queue", "network", "total")
"""Parts of a request's time: until its body is there, reading its items, waiting for a batch, the batch's run."""
PREFIX = "paddle_automl"


class Histogram:
    """Counts of values up to each of some bounds, and their sum.

    Without the locks of the library's own, which took a tenth of a small request's time: only the event loop's
    thread observes and reads.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts, self._sum = [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add the counts to what is written."""
        names = [*map(floatToGoString, map(float, self._bounds)), "+Inf"]
        buckets = list(zip(names, map(float, accumulate(self._counts)), strict=True))
        family.add_metric(labels, buckets, self._sum)


class _Histograms(Collector):
    """Histograms of one name, by the values of a label."""

    def __init__(self, name: str, text: str, label: str | None, found: dict[str, Histogram]) -> None:
        self._name, self._text, self._label, self._found = name, text, label, found

    def collect(self) -> Iterator[Metric]:
        """Yield what is written."""
        family = HistogramMetricFamily(self._name, self._text, labels=[self._label] if self._label else [])
        for value, histogram in self._found.items():
            histogram.add_to(family, [value] if self._label else [])
        yield family


class Metrics:
    """Counters, gauges and histograms of one server, in a registry of their own.

    All methods belong to the event loop's thread.
    """

    def __init__(self) -> None:
        # The time at which each series began is of no use here and doubles the number of lines.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            f"{PREFIX}_requests", "Requests by route and status.", ("route", "code"), registry=self.registry
        )
        self.errors = Counter(
            f"{PREFIX}_errors",
            "Requests refused or failed, by status.",
            ("code",),
            registry=self.registry,
        )
        self.items = Counter(f"{PREFIX}_items", "Items that were predicted.", registry=self.registry)
        self.batches = Histogram(ROWS)
        self._times = {part: Histogram(SECONDS) for part in PARTS}
        for name, text, label, found in (
            ("batch_items", "Items of a run of the network.", None, {"": self.batches}),
            ("latency_seconds", "Time by part of a request.", "part", self._times),
        ):
            self.registry.register(_Histograms(f"{PREFIX}_{name}", text, label, found))
        self.waiting = Gauge(f"{PREFIX}_queue_items", "Items that wait for the network.", registry=self.registry)
        self.connections = Gauge(f"{PREFIX}_connections", "Open connections.", registry=self.registry)
        self._counters: dict[tuple[str, int], Counter] = {}

    def took(self, part: str, seconds: float) -> None:
        """Record the time of one of `PARTS`."""
        self._times[part].observe(seconds)

    def answered(self, route: str, status: int) -> None:
        """Count a request; `route` is one of the server's own, so that the number of series stays small."""
        counter = self._counters.get((route, status))
        if counter is None:
            counter = self._counters[route, status] = self.requests.labels(route, str(status))
        counter.inc()
        if status >= 400:
            self.errors.labels(str(status)).inc()

    def text(self) -> bytes:
        """Return all values in the text format of Prometheus."""
        return generate_latest(self.registry)
