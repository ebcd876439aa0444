"""Costs of a network: the metrics of a network and of its export."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from paddle_automl.data.splits import PreparedData
from paddle_automl.deployment.latency import measure_model_latency
from paddle_automl.models.network import Network
from paddle_automl.models.profile import Profile, profile
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import Shared, lock_of
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.answers import recorded
from paddle_automl.tasks.metrics.base import BundleFacts, NetworkFacts
from paddle_automl.tasks.metrics.spelling import measure_bundle, measure_network


def network_costs(
    model: Network | Callable[[], Network],
    data: PreparedData,
    config: RunConfig,
    shared: Shared,
    worker: Worker,
    facts: Profile | None = None,
) -> dict[str, float]:
    """Return the costs of every network, and further ones that are objectives, such as latency_ms.

    With the `facts` of its profile, `model` may be a function that returns the network, called only for the others.
    """
    if facts is None:
        model = model if isinstance(model, Network) else model()
        facts = profile(model, data.specs)

    def latency_ms() -> float:
        network = model if isinstance(model, Network) else model()
        deployment = config.deployment
        return measure_model_latency(
            network,
            data.input,
            data.task.final,
            deployment.latency,
            exporter=deployment.exporter,
            lock=lock_of(worker),
        )

    network = NetworkFacts(facts.parameters, facts.flops, facts.size_mb)
    return {
        **measure_network(network, shared.measured),
        **measure_bundle(BundleFacts(latency_ms), shared.measured),
    }


def rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics rounded as in records."""
    return {key: recorded(value) for key, value in metrics.items()}
