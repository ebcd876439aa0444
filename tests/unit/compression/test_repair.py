"""An 8-bit network that loses too much keeps the layers that do most damage in float."""

import paddle
import pytest

from paddle_automl.compression.chain import compress
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.core.loading import validate
from tests.unit.compression.small import context, trained

DAMAGED = "backbone.stages.0.0.residual.1.conv"


def spoiled():
    """Return the trained network with a huge map between two convolutions, which the second one ignores."""
    model = trained()
    first, second = model.backbone.stages[0][0].residual
    with paddle.no_grad():
        weight, bias, kernel = first.norm.weight.numpy(), first.norm.bias.numpy(), second.conv.weight.numpy()
        weight[0], bias[0], kernel[:, 0] = 3000, 3000, 0
        first.norm.weight.set_value(weight)
        first.norm.bias.set_value(bias)
        second.conv.weight.set_value(kernel)
    return model


def chain(**options):
    speed = {"batch_sizes": [1], "gate_batch_size": 1, "rounds": 2, "runs": 1}
    return validate(CompressionConfig, {"steps": ["quantize_post"], "speed": speed, **options})


@pytest.mark.timeout(170)
def test_the_layer_that_breaks_the_network_stays_float32():
    model = spoiled()
    result = compress(model, chain(max_drop=0.02), context(original=model))
    after = result.steps[1]
    assert after.facts["broken_by"] > 0.02
    assert after.facts["damage"][0][0] == DAMAGED
    assert after.facts["float_layers"] == [DAMAGED]
    assert DAMAGED in after.facts["skipped"]
    assert DAMAGED not in after.facts["layers"]
    assert after.drop <= 0.02
    assert f"1 of {len(after.facts['damage'])} layers in float32: {DAMAGED}" in after.reason
    assert result.table()[-1]["in float32"] == DAMAGED
    assert after.kept or "neither clearly faster nor smaller" in after.reason


def test_a_network_without_damage_is_quantized_whole():
    model = trained()
    after = compress(model, chain(max_drop=0.05), context(original=model)).steps[1]
    assert "float_layers" not in after.facts
    assert after.repaired.layers == ()
    assert "in float32" not in after.reason
