"""Layers of an 8-bit network that cost accuracy go back to float."""

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.exporters.onnx_int8 import OnnxInt8Exporter
from paddle_automl.deployment.repair import Repaired, damage, fewest, ranked
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.tasks.base import Final

SPECS = (TensorSpec("image", (3, 8, 8)),)


@pytest.mark.parametrize("needed", range(1, 14))
def test_the_fewest_are_found_with_few_tries(needed):
    tried = []

    def works(count):
        tried.append(count)
        return count >= needed

    assert fewest(13, works) == needed
    assert len(tried) == len(set(tried)) <= 8
    assert max(tried) <= 13


def test_none_is_enough():
    assert fewest(5, lambda count: False) is None


def test_damage_is_zero_for_equal_outputs_and_follows_the_formulas():
    before, after = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.25, 0.75], [1.0, 0.0]])
    assert damage(before, before, probabilities=True) == damage(before, before, probabilities=False) == 0
    kl = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert damage(before, after, probabilities=True) == pytest.approx(kl / 2)
    assert damage(before, after, probabilities=False) == pytest.approx(2 * 0.25**2 / 4)


def test_ranking_and_words():
    assert ranked(["a", "b", "c", "d"], [1.0, 3.0, 1.0, 2.0]) == ["b", "d", "a", "c"]
    assert Repaired(("stem", "head"), 11).describe() == "2 of 11 layers in float32: stem, head"
    assert Repaired((), 11).describe() == ""


class Lopsided(nn.Layer):
    """One channel between the two convolutions is a thousand times as large as the others, and says nothing."""

    def __init__(self):
        super().__init__()
        self.quiet = nn.Conv2D(3, 8, 3, padding=1)
        self.loud = nn.Conv2D(8, 8, 1)
        self.head = nn.Linear(8, 4)
        loudness = np.array([1000] + [1] * 7, np.float32).reshape(8, 1, 1, 1)
        self.loud.weight.set_value(self.loud.weight.numpy() * loudness)
        first = np.ones((8, 4), np.float32) * 40
        first[0] = 0
        self.head.weight.set_value(self.head.weight.numpy() * first)

    def forward(self, x):
        x = nn.functional.relu(self.loud(nn.functional.relu(self.quiet(x))))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


@pytest.fixture(scope="module")
def lopsided():
    if OnnxInt8Exporter.missing():
        pytest.skip("the extra `onnx` is not installed")
    paddle.seed(3)
    network = Lopsided()
    network.eval()
    arrays = {"image": np.random.default_rng(0).normal(0, 1, (200, 3, 8, 8)).astype("float32")}
    expected = nn.functional.softmax(network(paddle.to_tensor(arrays["image"]))).numpy()
    return network, arrays, expected


def accepted(allowed, arrays, expected, seen):
    def accept(session):
        seen.append(float(np.abs(session(arrays) - expected).max()))
        return seen[-1] <= allowed

    return accept


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["onnx_int8", pytest.param("openvino_int8", marks=pytest.mark.slow)])
def test_the_most_damaging_layer_goes_back_to_float(lopsided, tmp_path, name):
    network, arrays, expected = lopsided
    exporter = EXPORTERS[name](EXPORTERS[name].Config(name=name))
    seen = []
    accept = accepted(0.02, arrays, expected, seen)
    found = exporter.export_accepted(
        network, tmp_path, specs=SPECS, final=Final("softmax"), calibration=arrays, accept=accept
    )
    assert seen[0] > 0.02
    # The head reads the channel that the layer before it makes so large.
    assert found == Repaired(("loud", "head"), 3)
    assert len(seen) == 3
    assert accept(exporter.session(tmp_path))


@pytest.mark.timeout(120)
def test_a_network_that_no_layer_of_can_be_in_8_bits(lopsided, tmp_path):
    network, arrays, _ = lopsided
    exporter = OnnxInt8Exporter(OnnxInt8Exporter.Config(name="onnx_int8"))
    with pytest.raises(UnsupportedError, match="no layer of the network can be in 8 bits within the allowed loss"):
        exporter.export_accepted(
            network, tmp_path, specs=SPECS, final=Final("softmax"), calibration=arrays, accept=lambda session: False
        )
    assert not list(tmp_path.iterdir())
