"""Every exporter against its contract."""

import pytest

from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.testing.exporters import ExporterContract

CLASSES = [EXPORTERS[name] for name in EXPORTERS.names()]


@pytest.mark.parametrize("plugin", CLASSES, ids=lambda cls: cls.name)
class TestExporters(ExporterContract):
    pass


def test_there_is_a_first_exporter():
    assert "paddle_inference" in EXPORTERS.names()
    assert DeploymentConfig().exporter.name == "paddle_inference"
    assert all(EXPORTERS.summary(name) for name in EXPORTERS.names())
