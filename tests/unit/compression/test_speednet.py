"""Speednet in the chain: its whitening stays as it is, the rest is pruned and gets 8-bit weights."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from paddle_automl.compression.base import STEPS, Form
from paddle_automl.compression.measuring import export_network, exporter_for, main_score
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.models.profile import profile
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import evaluate, predict
from paddle_automl.training.loop import train
from tests.unit.compression.small import SPECS, context, digits, network

RECIPE = TrainingConfig.model_validate(
    {
        "epochs": 8,
        "batch_size": 32,
        "optimizer": {
            "name": "muon", "units": "decoupled", "learning_rate": 0.4, "momentum": 0.6, "iterations": 3,
            "normalize_kernels": True, "descent_rate": 416.0, "descent_momentum": 0.85,
        },
        "rates": {"head": 12.6},
        "ends": {"whitening_bias": 0.3},
        "lr_schedule": "polynomial",
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def speednet():
    model = network(backbone={"name": "speednet", "width": 0.125})
    result = train(model, digits(), RECIPE, seed=0, folder=None)
    assert result.metrics["accuracy"] >= 0.9
    model.eval()
    return model


def context_of(model):
    return context(original=model, training=RECIPE)


def made(name, model, **options):
    step = STEPS[name](STEPS[name].Config.model_validate({"name": name, **options}))
    step.check(model, context_of(model))
    return step.apply(model, context_of(model))


def whitening_of(model):
    return model.backbone.whiten.weight.numpy()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("quantize_post", {"images": 128}),
        ("quantize_aware", {"tune": {"epochs": 1, "rate": 0.02}, "teacher": None}),
    ],
)
def test_8_bit_weights_leave_the_whitening_in_float(name, options, speednet, tmp_path):
    outcome = made(name, speednet, **options)
    model, data = outcome.model, digits()
    assert not [layer for layer in outcome.facts["layers"] if "whiten" in layer]
    assert len(outcome.facts["layers"]) == 5
    assert np.array_equal(whitening_of(model), whitening_of(speednet))
    export = export_network(model, exporter_for(Form.QUANTIZED), tmp_path / "int8", data, threads=1)
    expected = predict(model, data.validation)
    assert (export.outputs.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.95
    before = evaluate(speednet, data.validation, ["accuracy"])["accuracy"]
    assert main_score(export.outputs, data.validation) >= before - 0.04


@pytest.mark.skipif(find_spec("paddle2onnx") is None, reason="needs the extra onnx")
def test_onnx_keeps_the_whitening_in_float(speednet, tmp_path):
    import onnx
    from onnx import numpy_helper

    exporter = EXPORTERS["onnx_int8"]
    images, _ = context_of(speednet).sample(64, "onnx")
    final = digits().task.final
    exporter(exporter.Config(name="onnx_int8")).export(
        speednet, tmp_path, specs=SPECS, final=final, calibration=images
    )
    (file,) = tmp_path.rglob("*.onnx")
    values = [numpy_helper.to_array(item) for item in onnx.load(str(file)).graph.initializer]
    kernels = [value for value in values if value.ndim == 4]
    assert sorted(str(kernel.dtype) for kernel in kernels) == ["float32", *["int8"] * 4]
    assert any(np.array_equal(kernel, whitening_of(speednet)) for kernel in kernels)


def test_filters_are_removed_but_not_those_of_the_whitening(speednet):
    tune = {"epochs": 1, "rate": 0.5}
    outcome = made("prune_filters", speednet, flops=0.6, sensitivity=False, align=2, tune=tune, teacher=None)
    assert not [layer for layer in outcome.facts["filters"] if "whiten" in layer]
    assert np.array_equal(whitening_of(outcome.model), whitening_of(speednet))
    before, after = profile(speednet, SPECS), profile(outcome.model, SPECS)
    assert after.flops <= 0.66 * before.flops
    assert np.isfinite(predict(outcome.model, digits().validation)).all()


def test_weights_become_zero_but_not_those_of_the_whitening(speednet):
    outcome = made("prune_weights", speednet, ratio=0.5, gradual=False, tune={"epochs": 1, "average": False})
    assert np.array_equal(whitening_of(outcome.model), whitening_of(speednet))
    assert outcome.facts["sparsity"] == pytest.approx(0.5, abs=0.02)
