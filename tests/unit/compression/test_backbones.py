"""The steps of compression with networks of every kind of block."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_automl.compression.base import STEPS, Form
from paddle_automl.compression.measuring import export_network, exporter_for
from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.profile import profile
from paddle_automl.training.evaluation import predict
from paddle_automl.training.loop import train
from tests.unit.compression.small import RECIPE, SPECS, context, digits, network

BLOCKS = [
    *({"name": "resnet", "width": 16, "blocks": [1, 1], "attention": kind} for kind in ("se", "cbam")),
    {"name": "mobilenet_v3"},
    {"name": "pp_lcnet"},
    {"name": "densenet"},
    {"name": "inception_v3"},
    {"name": "nas_bench_201"},
    {"name": "layer_list"},
]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backbone", BLOCKS, ids=lambda item: "-".join(map(str, item.values())))
def test_filters_are_pruned_and_8_bits_agree(backbone, tmp_path):
    model = network(backbone=backbone)
    train(model, digits(), RECIPE.model_copy(update={"epochs": 4}), seed=0, folder=None)
    options = {"name": "prune_filters", "flops": 0.6, "sensitivity": False, "align": 1, "tune": {"epochs": 0}}
    step = STEPS["prune_filters"](STEPS["prune_filters"].Config.model_validate(options))
    pruned = step.apply(model, context(original=model)).model
    assert profile(pruned, SPECS).flops <= 0.61 * profile(model, SPECS).flops
    assert np.isfinite(predict(pruned, digits().validation)).all()
    step = STEPS["quantize_post"](STEPS["quantize_post"].Config(name="quantize_post", analysis=False, images=128))
    quantized = step.apply(model, context(original=model)).model
    export = export_network(quantized, exporter_for(Form.QUANTIZED), tmp_path / "int8", digits(), threads=1)
    expected = predict(model, digits().validation).argmax(axis=1)
    assert (export.outputs.argmax(axis=1) == expected).mean() >= 0.93


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        ({"name": "vit", "width": 16, "depth": 1}, "layer_norm"),
        ({"name": "resnet", "width": 16, "blocks": [1, 1], "attention": "eca"}, "cannot trace the network"),
    ],
    ids=["vit", "eca"],
)
def test_networks_whose_channels_cannot_be_followed_say_why(backbone, reason):
    options = {"name": "prune_filters", "ratio": 0.5, "tune": {"epochs": 0}}
    step = STEPS["prune_filters"](STEPS["prune_filters"].Config.model_validate(options))
    model = network(backbone=backbone)
    with pytest.raises(UnsupportedError, match=reason):
        step.apply(model, context(original=model))
