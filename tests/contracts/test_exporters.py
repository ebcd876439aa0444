"""Every exporter against its contract."""

import pytest

from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.testing.exporters import ExporterContract

# Those of OpenVINO are made from the ONNX file of the others, which takes seconds.
CLASSES = [
    pytest.param(EXPORTERS[name], marks=[pytest.mark.slow] if name.startswith("openvino") else [], id=name)
    for name in EXPORTERS.names()
]


@pytest.mark.parametrize("plugin", CLASSES)
class TestExporters(ExporterContract):
    pass


def test_there_is_a_first_exporter():
    assert "paddle_inference" in EXPORTERS.names()
    assert DeploymentConfig().exporter.name == "paddle_inference"
    assert all(EXPORTERS.summary(name) for name in EXPORTERS.names())
