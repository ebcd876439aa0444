"""What a network costs, before it is trained and once it is exported."""

from __future__ import annotations

from paddle_automl.tasks.metrics.base import METRICS, BundleFacts, Metric, NetworkFacts


@METRICS.register("parameters")
class Parameters(Metric):
    """Number of trained weights of the network."""

    goal = "minimize"
    when = "network"
    digits = 0
    always = True

    def value(self, facts: NetworkFacts) -> float:
        """Return the count."""
        return float(facts.parameters)


@METRICS.register("flops")
class Flops(Metric):
    """Floating-point operations for one item; a multiplication and an addition count as two."""

    goal = "minimize"
    when = "network"
    digits = 0
    always = True

    def value(self, facts: NetworkFacts) -> float:
        """Return the count."""
        return float(facts.flops)


@METRICS.register("size_mb")
class SizeMb(Metric):
    """Size of the network's weights in megabytes."""

    goal = "minimize"
    unit = "MB"
    when = "network"
    always = True

    def value(self, facts: NetworkFacts) -> float:
        """Return the size."""
        return float(facts.size_mb)


@METRICS.register("latency_ms")
class LatencyMs(Metric):
    """Time of the exported network for one item in milliseconds, on this machine."""

    goal = "minimize"
    unit = "ms"
    when = "bundle"
    also = ("latency", "speed")

    def value(self, facts: BundleFacts) -> float:
        """Measure the time."""
        return float(facts.latency_ms())
