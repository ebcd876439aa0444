"""A bundle in several formats: files, parity checks, times, and which of them is run."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import BundleError, ConfigError, UnsupportedError
from paddle_automl.deployment import formats as formats_module
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle, time_formats
from paddle_automl.deployment.exporters import base
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.latency import measure_in_turn
from paddle_automl.deployment.parity import ParityLimits, check_parity
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.records import FormatRecord
from paddle_automl.deployment.samples import check_samples
from tests.unit.deployment.conftest import array_data, make_net, quick, tampered

MISSING = EXPORTERS["onnx"].missing()
needs_extra = pytest.mark.skipif(bool(MISSING), reason=f"the extra `onnx` is not installed: {', '.join(MISSING)}")


def make(folder, net, data, *formats, **changes):
    deployment = quick(formats=list(formats), **changes)
    return create_bundle(net, folder=folder, data=data, deployment=deployment, config={}, metrics={})


@pytest.fixture(scope="module")
def two(net, data, tmp_path_factory) -> Bundle:
    return make(tmp_path_factory.mktemp("formats") / "两 two", net, data, "paddle_program")


@pytest.fixture
def without_extra(monkeypatch):
    monkeypatch.setattr(base, "find_spec", lambda name: True if name == "paddle" else None)
    formats_module._warn_once.cache_clear()


def test_both_graph_formats_stand_in_one_bundle_each_with_its_check(two):
    assert list(two.formats) == ["paddle_inference", "paddle_program"]
    assert {"inference.json", "inference.pdiparams", "paddle_program/inference.pdmodel"} <= set(two.info.files)
    other = two.info.formats[0]
    assert two.verified
    assert other.verified
    assert other.parity.samples == two.info.parity.samples == 80
    assert other.parity.largest_difference <= other.parity.max_difference == 1e-5
    assert other.parity.metric == "accuracy"
    assert other.parity.value == other.parity.network_value == two.info.parity.value
    assert [item.batch_size for item in other.latency] == [item.batch_size for item in two.info.latency] == [1]
    first = sum(two.info.files[name].bytes for name in ("inference.json", "inference.pdiparams"))
    assert two.size_mb == first / 1e6


def test_the_fastest_is_the_one_with_the_smallest_median(two, tmp_path):
    assert two.info.fastest in two.formats
    times = {"paddle_inference": two.info.latency, "paddle_program": two.info.formats[0].latency}
    assert two.info.fastest == min(times, key=lambda name: times[name][0].p50_ms)
    # A format whose check fails is timed, but never the one to run.
    copy = Bundle.open(tampered(two, tmp_path / "b"))
    failed = copy.info.formats[0].parity.model_copy(update={"verified": False})
    record = copy.info.formats[0].model_copy(update={"parity": failed})
    timed = time_formats(copy.updated(formats=[record]), quick(), None)
    assert timed.info.fastest == "paddle_inference"
    assert timed.info.formats[0].latency
    assert not timed.verified


def test_the_runtime_is_chosen_by_name(two, data):
    pixels = data.validation.raw(np.arange(6))
    found = {}
    for runtime in ("auto", "paddle", "paddle_inference", "paddle_program"):
        predictor = Predictor(two, runtime=runtime)
        found[predictor.format] = predictor.predict_arrays(pixels)
        if runtime != "auto":
            assert predictor.format == {"paddle": "paddle_inference"}.get(runtime, runtime)
    assert Predictor(two).format == two.info.fastest
    assert set(found) == {"paddle_inference", "paddle_program"}
    np.testing.assert_allclose(found["paddle_inference"], found["paddle_program"], atol=1e-5)
    assert check_samples(two).passed


def test_a_format_that_the_bundle_lacks_is_named(two):
    with pytest.raises(ConfigError, match=r"runtime: the bundle has no file for 'onnx'; valid: auto, paddle_inf"):
        Predictor(two, runtime="onnx")
    with pytest.raises(
        ConfigError, match=r"runtime: the bundle has no file for 'openvino'; valid: auto, paddle_inf"
    ):
        Predictor(two, runtime="openvino")
    with pytest.raises(ConfigError, match="the bundle has no 'onnx'; it has paddle_inference, paddle_program"):
        two.session(name="onnx")


def test_a_format_is_given_once(net, data, tmp_path):
    with pytest.raises(ValueError, match="the format onnx is given twice"):
        quick(formats=["onnx", {"name": "onnx", "opset": 17}])
    with pytest.raises(ConfigError, match=r"paddle_inference is already deployment\.exporter"):
        make(tmp_path / "b", net, data, "paddle_inference")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["onnx_int8", "openvino_int8"])
def test_the_first_format_is_not_in_8_bits(net, data, tmp_path, name):
    with pytest.raises(ConfigError, match=rf"exporter: {name} computes .* add {name} to deployment\.formats"):
        create_bundle(net, folder=tmp_path / "b", data=data, deployment=quick(exporter=name), config={}, metrics={})
    assert not (tmp_path / "b").exists()


def test_without_the_extra_the_formats_are_refused_by_name(net, data, tmp_path, without_extra):
    extras = {"onnx": "onnx", "onnx_int8": "onnx"}
    extras |= dict.fromkeys(("openvino", "openvino_bfloat16", "openvino_int8"), "openvino")
    for name, extra in extras.items():
        with pytest.raises(UnsupportedError, match=rf"exporter {name}: .*pip install 'paddle_automl\[{extra}\]'"):
            make(tmp_path / "b", net, data, name)
    assert not (tmp_path / "b").exists()


def test_without_the_runtime_paddle_is_run_and_it_is_said_once(bundle, tmp_path, without_extra, caplog):
    copy = Bundle.open(tampered(bundle, tmp_path / "b"))
    config = EXPORTERS["onnx"].Config(name="onnx")
    record = FormatRecord(exporter=config, parity=copy.info.parity)
    copy = copy.updated(formats=[record], fastest="onnx")
    with caplog.at_level(logging.WARNING):
        assert Predictor(copy).format == Predictor(copy).format == "paddle_inference"
    assert len(caplog.records) == 1
    assert "fastest format is onnx, but paddle_inference is run" in caplog.text
    assert "paddle_automl[onnx]" in caplog.text
    with pytest.raises(UnsupportedError, match="onnxruntime is not installed"):
        Predictor(copy, runtime="onnx")
    alone = copy.updated(exporter=config, formats=[], fastest="onnx")
    with pytest.raises(UnsupportedError, match="onnxruntime is not installed"):
        Predictor(alone)
    assert len(caplog.records) == 1


def test_networks_are_timed_in_turn():
    calls = []
    timings = measure_in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, warmup=2, runs=15)
    assert "".join(calls) == "aabb" + "a" * 11 + "b" * 11 + "a" * 6 + "b" * 6
    assert timings["a"].min_ms <= timings["a"].p50_ms <= timings["a"].p95_ms


def test_a_drop_of_the_metric_fails_the_check(net, bundle, data):
    other = make_net(seed=4)
    predictor = Predictor(bundle)
    record = check_parity(other, predictor, data.validation, limits=ParityLimits(None, 0.0))
    assert record.verified
    gain = record.network_value - record.value
    assert record.drop == gain
    for allowed, verified in ((max(gain, 0.0), True), (max(gain, 0.0) - 0.01, gain <= -0.01)):
        record = check_parity(other, predictor, data.validation, limits=ParityLimits(None, 0.0, allowed))
        assert record.verified is verified
        assert f"may lose {allowed:g}" in record.describe()


@pytest.fixture(scope="module")
def onnx_bundle(net, data, tmp_path_factory) -> Bundle:
    data = replace(data, train=data.validation)
    return make(tmp_path_factory.mktemp("onnx") / "开 onnx", net, data, "onnx", "onnx_int8")


@needs_extra
def test_onnx_files_have_their_checks(onnx_bundle):
    exact, int8 = onnx_bundle.info.formats
    assert onnx_bundle.verified
    assert exact.parity.agreement == 1.0
    assert exact.parity.largest_difference <= 1e-5
    assert int8.parity.min_agreement == 0.95
    assert int8.parity.max_drop == 0.01
    assert int8.parity.max_difference is None
    assert int8.parity.largest_difference > 1e-5
    samples = json.loads((onnx_bundle.folder / "samples" / "expected.json").read_text(encoding="utf-8"))
    assert list(samples["formats"]) == ["onnx_int8"]
    assert np.shape(samples["formats"]["onnx_int8"]) == (5, 3)
    assert check_samples(Predictor(onnx_bundle, runtime="onnx_int8")).largest_difference < 1e-6
    assert exact.latency[0].runtime.startswith("ONNX Runtime")
    assert onnx_bundle.info.latency[0].runtime == "Paddle Inference"


@needs_extra
def test_onnx_predicts_as_paddle_does(onnx_bundle, data):
    pixels = data.validation.raw(np.arange(6))
    expected = Predictor(onnx_bundle, runtime="paddle").predict_arrays(pixels)
    np.testing.assert_allclose(Predictor(onnx_bundle, runtime="onnx").predict_arrays(pixels), expected, atol=1e-5)
    int8 = Predictor(onnx_bundle, runtime="onnx_int8", threads=2)
    np.testing.assert_allclose(int8.predict_arrays(pixels), expected, atol=0.1)
    assert int8.format == "onnx_int8"


@needs_extra
def test_an_operator_that_onnx_lacks_is_an_error_and_no_crash(tmp_path):
    class Net(nn.Layer):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(80, 3)

        def forward(self, images):
            return self.fc(paddle.erfinv(images.flatten(1) * 0.01))

    with pytest.raises(
        UnsupportedError, match="exporter onnx: paddle2onnx cannot convert the network: Due to the unsupp"
    ):
        make(tmp_path / "b", Net(), array_data(), "onnx")
    assert not (tmp_path / "b").exists()


@needs_extra
def test_8_bits_need_items(net, data, tmp_path):
    exporter = EXPORTERS["onnx_int8"](EXPORTERS["onnx_int8"].Config(name="onnx_int8"))
    with pytest.raises(UnsupportedError, match="needs training items"):
        exporter.export(net, tmp_path, specs=data.specs, final=data.task.final)


FORK = """
import multiprocessing, sys
import numpy as np
from paddle_automl.deployment.predictor import Predictor

predictor = Predictor(sys.argv[1], runtime="onnx", threads=2)
pixels = np.arange(80, dtype=np.uint8).reshape(1, 1, 8, 10)
before = predictor.predict_arrays(pixels)

def work(queue):
    queue.put(np.array_equal(predictor.predict_arrays(pixels), before))

context = multiprocessing.get_context("fork")
queue = context.Queue()
child = context.Process(target=work, args=(queue,))
child.start()
assert queue.get(timeout=60)
child.join(60)
assert child.exitcode == 0, child.exitcode
"""


@needs_extra
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_onnx_in_a_forked_child(onnx_bundle):
    command = [sys.executable, "-c", FORK, str(onnx_bundle.folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert result.returncode == 0, result.stderr


def test_all_formats_are_timed_with_all_threads_and_batch_sizes(net, data, tmp_path):
    latency = {"warmup": 0, "runs": 2, "batch_sizes": [1, 3], "threads": 1, "further_threads": [2, 1]}
    bundle = make(tmp_path / "b", net, data, "paddle_program", latency=latency)
    for records in (bundle.info.latency, bundle.info.formats[0].latency):
        assert [(item.threads, item.batch_size) for item in records] == [(1, 1), (1, 3), (2, 1), (2, 3)]


@pytest.mark.slow
@pytest.mark.skipif(bool(EXPORTERS["openvino"].missing()), reason="the extra `openvino` is not installed")
def test_openvino_in_a_bundle(net, data, tmp_path):
    names = ("openvino", "openvino_bfloat16", "openvino_int8")
    parity = {"min_agreement_int8": 0.5, "max_drop_int8": 0.5}
    bundle = make(tmp_path / "开 b", net, data, *names, parity=parity)
    assert bundle.verified
    expected = Predictor(bundle, runtime="paddle").predict_items(data.validation.raw(np.arange(20)))
    for name, allowed in zip(names, (1e-5, 0.01, 0.1), strict=True):
        predictor = Predictor(bundle, runtime=name)
        got = predictor.predict_items(data.validation.raw(np.arange(20)))
        assert np.abs(got - expected).mean() < allowed
        assert predictor.runtime_name.startswith("OpenVINO 20")
    assert Predictor(bundle, runtime="openvino").format == "openvino"
    assert bundle.info.fastest in bundle.formats
    sizes = {name: bundle.info.files[f"{name}/inference.bin"].bytes for name in names}
    assert sizes["openvino_bfloat16"] < sizes["openvino"]
    session = EXPORTERS["openvino"](EXPORTERS["openvino"].Config(name="openvino"))
    (bundle.folder / "openvino" / "inference.xml").write_text("<net>", encoding="utf-8")
    with pytest.raises(BundleError, match=r"OpenVINO cannot load inference\.xml: .*; export again"):
        session.session(bundle.folder / "openvino")
    (bundle.folder / "openvino" / "inference.bin").unlink()
    with pytest.raises(BundleError, match=r"the file inference\.bin is missing; export again"):
        session.session(bundle.folder / "openvino")
