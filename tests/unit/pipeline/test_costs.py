"""Costs of a network that are objectives."""

from pathlib import Path

from paddle_automl.core.loading import validate
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import Shared
from paddle_automl.pipeline.jobs.costs import network_costs
from paddle_automl.search.executors.base import Worker
from tests.unit.compression.small import digits, network


def test_the_time_is_that_of_the_format_that_is_exported(monkeypatch):
    loaded = []
    for name in EXPORTERS.names():
        exporter = EXPORTERS[name]

        def noted(self, folder: Path, *, _name=name, _session=exporter.session, **options):
            loaded.append(_name)
            return _session(self, folder, **options)

        monkeypatch.setattr(exporter, "session", noted)
    deployment = {"exporter": "paddle_program", "latency": {"warmup": 0, "runs": 1}}
    config = validate(RunConfig, {"data": {"dataset": "digits"}, "deployment": deployment})
    worker = Worker("cpu", 1, None, lambda *told: True)
    costs = network_costs(network(), digits(), config, Shared(("accuracy", "latency_ms")), worker)
    assert costs["latency_ms"] > 0
    assert loaded == ["paddle_program"]
