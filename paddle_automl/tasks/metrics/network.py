"""Size and speed of a network, before training and after the export."""

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
    """Multiply-accumulates of convolutions and linear layers for one item, as `paddle.flops` counts them."""

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
    """Time of one run of the exported network in milliseconds, on this machine, as `deployment.exporter` writes it:
    for a batch of the first of `deployment.latency.batch_sizes`, 1 by default."""

    goal = "minimize"
    unit = "ms"
    when = "bundle"
    also = ("latency", "speed")

    def value(self, facts: BundleFacts) -> float:
        """Measure the time."""
        return float(facts.latency_ms())
