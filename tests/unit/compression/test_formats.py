"""Further formats of the networks of a chain: measured, shown, and in their bundles."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from paddle_automl.compression.base import Form
from paddle_automl.compression.bundling import create_step_bundle
from paddle_automl.compression.candidate import make_candidate
from paddle_automl.compression.chain import compress
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.measuring import export_network, formats_asked, formats_for
from paddle_automl.compression.results import StepResult
from paddle_automl.core.errors import ConfigError, UnsupportedError
from paddle_automl.core.loading import validate
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.exporters import base
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.exporters.onnx import OnnxExporter
from paddle_automl.deployment.verify import Checks, verify_bundle
from tests.unit.compression.small import context, digits, trained

MISSING = OnnxExporter.missing()
needs_extra = pytest.mark.skipif(bool(MISSING), reason=f"the extra `onnx` is not installed: {', '.join(MISSING)}")
POST = {"name": "quantize_post", "analysis": False, "images": 64}
QUICK = DeploymentConfig.model_validate({"latency": {"warmup": 1, "runs": 2}})


def config(*steps, formats=()):
    speed = {"batch_sizes": [1], "gate_batch_size": 1, "rounds": 2, "runs": 1}
    return validate(CompressionConfig, {"steps": list(steps), "speed": speed, "formats": list(formats)})


def bundle_of(result: StepResult, chain: CompressionConfig, folder):
    return create_step_bundle(
        result, folder=folder, context=context(), compression=chain, deployment=QUICK, config={}, metrics={}
    )


def test_each_form_has_its_formats():
    formats = config(formats=["paddle_inference", "paddle_program", {"name": "onnx", "opset": 17}]).formats
    assert [item.name for item in formats_for(Form.DENSE, formats)] == ["paddle_program", "onnx"]
    (int8,) = formats_for(Form.QUANTIZED, formats)
    assert (int8.name, int8.opset) == ("onnx_int8", 17)
    assert formats_for(Form.QUANTIZED, formats[:2]) == ()
    assert config().formats == ()
    assert CompressionConfig().formats is None
    with pytest.raises(ConfigError, match="the format onnx is given twice"):
        config(formats=["onnx", "onnx"])


def test_the_exporter_of_the_deployment_is_one_of_the_formats():
    deployment = DeploymentConfig.model_validate({"exporter": "onnx", "formats": ["paddle_program"]})
    unset = validate(CompressionConfig, {})
    assert [item.name for item in formats_asked(unset, deployment)] == ["onnx", "paddle_program"]
    assert [item.name for item in formats_asked(config(formats=["openvino"]), deployment)] == ["openvino"]
    assert formats_for(Form.DENSE, formats_asked(unset, DeploymentConfig())) == ()


@pytest.mark.parametrize(
    ("exporter", "session"),
    [
        ("paddle_program", "PaddleProgramSession"),
        pytest.param("onnx", "OnnxSession", marks=[needs_extra, pytest.mark.slow]),
    ],
)
def test_a_candidate_has_and_is_timed_in_the_format_of_the_deployment(exporter, session, tmp_path, monkeypatch):
    timed = []

    def noted(used, *args, **options):
        timed.append(type(used).__name__)
        return [SimpleNamespace(p50_ms=1.5)]

    monkeypatch.setattr("paddle_automl.compression.candidate.measure_session", noted)
    candidate = make_candidate(
        trained(),
        validate(CompressionConfig, {}),
        context(),
        folder=tmp_path / "b",
        deployment=QUICK.model_copy(update={"exporter": EXPORTERS[exporter].Config(name=exporter)}),
        rebuilt_by={},
        objectives=["latency_ms"],
    )
    assert list(candidate.bundle.formats) == ["paddle_inference", exporter]
    assert candidate.metrics["latency_ms"] == 1.5
    assert timed == [session]


def test_a_missing_extra_stops_the_chain_before_it_begins(monkeypatch):
    monkeypatch.setattr(base, "find_spec", lambda name: True if name == "paddle" else None)
    with pytest.raises(UnsupportedError, match=r"pip install 'paddle_automl\[onnx\]'"):
        compress(trained(), config(POST, formats=["onnx"]), context())


def test_both_graph_formats_of_a_float_network(tmp_path):
    chain = config(formats=["paddle_program"])
    result = compress(trained(), chain, context())
    before = result.before
    assert list(before.latency) == ["float32", "bfloat16", "paddle_program"]
    assert before.formats["paddle_program"]["score"] == before.score
    assert before.formats["paddle_program"]["weights_mb"] > before.weights_mb
    rows = result.table()
    assert [row["precision"] for row in rows] == ["float32", "bfloat16", "paddle_program"]
    assert [row["accuracy"] for row in rows] == [f"{before.score:.4f}", "", f"{before.score:.4f}"]
    assert not {"source", "model", "task"} & set(before.as_dict())
    bundle = bundle_of(before, chain, tmp_path / "b")
    assert list(bundle.formats) == ["paddle_inference", "paddle_program"]
    assert bundle.verified


def test_a_format_that_fails_is_left_out(tmp_path, monkeypatch, caplog):
    def fail(model, exporter, *args, **kwargs):
        if exporter.name == "paddle_program":
            raise UnsupportedError("the network has an operation that it cannot hold")
        return export_network(model, exporter, *args, **kwargs)

    monkeypatch.setattr("paddle_automl.compression.chain.export_network", fail)
    chain = config(formats=["paddle_program"])
    before = compress(trained(), chain, context()).before
    assert list(before.latency) == ["float32", "bfloat16"]
    assert before.formats == {}
    assert "before as paddle_program failed: the network has an operation" in caplog.text
    assert list(bundle_of(before, chain, tmp_path / "b").formats) == ["paddle_inference"]


@needs_extra
def test_an_8_bit_network_gets_the_8_bits_of_onnx_runtime(tmp_path):
    chain = config(POST, formats=["onnx"])
    result = compress(trained(), chain, context())
    before, after = result.steps
    assert list(before.latency) == ["float32", "bfloat16", "onnx"]
    assert list(after.latency) == ["int8", "onnx_int8"]
    assert abs(after.formats["onnx_int8"]["score"] - before.score) <= 0.02
    assert after.formats["onnx_int8"]["weights_mb"] < before.formats["onnx"]["weights_mb"] / 2
    bundle = bundle_of(after, chain, tmp_path / "b")
    assert list(bundle.formats) == ["paddle_program", "onnx_int8"]
    parity = bundle.info.formats[0].parity
    assert parity.verified
    assert parity.samples == len(digits().validation)
    assert parity.network_value == pytest.approx(before.score)
    assert parity.value == pytest.approx(after.formats["onnx_int8"]["score"])
    assert bundle.info.fastest in bundle.formats
    found = verify_bundle(bundle.folder, Checks(latency=False))
    assert found.passed, found.problems
    assert found.samples["paddle_program"].max_difference == found.samples["onnx_int8"].max_difference == 0.05
