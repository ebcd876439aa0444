"""Inverted residuals in 8 bits: maps with and without a sign are added, and the export must tell them apart."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_automl.compression.base import STEPS, Form
from paddle_automl.compression.measuring import export_network, exporter_for, main_score
from paddle_automl.models.profile import profile
from paddle_automl.training.evaluation import evaluate, predict
from paddle_automl.training.loop import train
from tests.unit.compression.small import RECIPE, SPECS, context, digits, network


@pytest.fixture(scope="module")
def mobilenet():
    model = network(backbone={"name": "mobilenet", "width": 8, "blocks": [1, 2], "expansion": 3})
    train(model, digits(), RECIPE.model_copy(update={"epochs": 6}), seed=0, folder=None)
    model.eval()
    return model


def test_the_8_bit_export_agrees_with_its_network(mobilenet, tmp_path):
    step = STEPS["quantize_post"](STEPS["quantize_post"].Config(name="quantize_post", analysis=False, images=128))
    model = step.apply(mobilenet, context(original=mobilenet)).model
    data = digits()
    export = export_network(model, exporter_for(Form.QUANTIZED), tmp_path / "int8", data, threads=1)
    expected = predict(model, data.validation)
    assert (export.outputs.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.95
    assert (
        main_score(export.outputs, data.validation)
        >= evaluate(mobilenet, data.validation, ["accuracy"])["accuracy"] - 0.03
    )


def test_filters_are_removed_through_depth_wise_convolutions(mobilenet):
    options = {"name": "prune_filters", "flops": 0.6, "sensitivity": False, "align": 2, "tune": {"epochs": 0}}
    step = STEPS["prune_filters"](STEPS["prune_filters"].Config.model_validate(options))
    pruned = step.apply(mobilenet, context(original=mobilenet)).model
    before, after = profile(mobilenet, SPECS), profile(pruned, SPECS)
    assert after.flops <= 0.66 * before.flops
    assert np.isfinite(predict(pruned, digits().validation)).all()
