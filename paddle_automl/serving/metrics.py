"""What the server counts and times, in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PARTS = ("receive", "read", "queue", "network", "total")
"""Parts of a request's time: until its body is there, reading its items, waiting for a batch, the batch's run."""
PREFIX = "paddle_automl"


class Metrics:
    """Counters, gauges and histograms of one server, in a registry of their own."""

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
        self.batches = Histogram(
            f"{PREFIX}_batch_items", "Items of a run of the network.", buckets=ROWS, registry=self.registry
        )
        self.waiting = Gauge(f"{PREFIX}_queue_items", "Items that wait for the network.", registry=self.registry)
        self.connections = Gauge(f"{PREFIX}_connections", "Open connections.", registry=self.registry)
        times = Histogram(
            f"{PREFIX}_latency_seconds", "Time by part of a request.", ("part",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._observers = {part: times.labels(part).observe for part in PARTS}
        self._counters: dict[tuple[str, int], Counter] = {}

    def took(self, part: str, seconds: float) -> None:
        """Record the time of one of `PARTS`."""
        self._observers[part](seconds)

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
