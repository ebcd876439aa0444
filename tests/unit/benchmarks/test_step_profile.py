import json

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.benchmarks.step_profile import profile_step
from paddle_automl.benchmarks.stopwatch import REST, Stopwatch
from paddle_automl.cli.profile_step import main
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models import kernels
from paddle_automl.models.kernels import layers as fast
from paddle_automl.pipeline.config import RunConfig


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.first = fast.Conv2D(3, 16, 3, padding=1)
        self.norm, self.relu = fast.BatchNorm2D(16), fast.ReLU()
        self.second = fast.Conv2D(16, 16, 3, padding=1, groups=16)
        self.pool = fast.AdaptiveAvgPool2D(1)
        self.fc = nn.Sequential(nn.Flatten(), fast.Linear(16, 4))

    def forward(self, x):
        x = fast.norm_act(self.norm, self.relu, self.first(x))
        return self.fc(self.pool(fast.add(x, self.second(x))))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def gradients(net, dtype, around):
    x = paddle.to_tensor(np.random.default_rng(0).standard_normal((8, 3, 12, 12)).astype("float32"))
    net.clear_gradients()
    with kernels.use(dtype):
        y = net(x)
    around(y.square().sum().backward)()
    return [p.grad.numpy() for p in net.parameters() if not p.stop_gradient]


@pytest.mark.parametrize("dtype", [None, "float32", "bfloat16"])
def test_every_layer_is_charged_and_nothing_is_changed(dtype):
    net = Net()
    before = gradients(net, dtype, lambda call: call)
    watch = Stopwatch()
    with watch.watching(net):
        watch.start("step")
        found = gradients(net, dtype, lambda call: watch.around("backward", call))
        watch.stop()
    for one, other in zip(found, before, strict=True):
        np.testing.assert_array_equal(one, other)
    named = {name for name, _ in net.named_sublayers()} - {"relu", "fc.0"}
    if dtype is None or kernels.unsupported("float32"):
        named |= {"relu", "fc.0"}
    # Where the normalization includes it, the ReLU is not called.
    for part in ("forward", "backward"):
        charged = {name for where, name in watch.spent if where == part}
        # A container ends with its last layer's result, so it has no gradients of its own.
        assert named - ({"fc"} if part == "backward" else set()) <= charged
    facts = watch.layers
    assert facts["first"].kind == "convolution 3 x 3"
    assert facts["second"].kind == "convolution 3 x 3, depth-wise"
    assert facts["norm"].kind.startswith("normalization")
    assert facts["fc.1"].kind == "linear"
    assert facts["fc"].kind == REST
    # The first layer's input wants no gradient.
    assert facts["first"].operations == 2 * 2 * 8 * 144 * 16 * (27 + 1)
    assert facts["second"].operations == 2 * 3 * 8 * 144 * 16 * (9 + 1)
    assert "forward" not in vars(net.first)


def test_time_is_charged_to_the_innermost():
    watch = Stopwatch()
    watch.start("outer")
    with watch.on("inner"):
        sum(range(200_000))
    watch.stop()
    assert watch.spent["inner", ""] > 10 * watch.spent["outer", ""]


OPTIONS = {
    "output": "unused",
    "data": {"dataset": "digits", "augment": [{"name": "random_crop", "padding": 1}]},
    "model": {"backbone": {"name": "vgg", "width": 16, "convs": [1]}},
    "training": {"batch_size": 32, "ema": {"decay": 0.9}, "clip_global_norm": 1.0},
}


def test_the_parts_of_a_step_add_up():
    record = profile_step(validate(RunConfig, OPTIONS), steps=10)
    assert sum(record["parts_ms"].values()) == pytest.approx(record["measured_step_ms"], rel=0.05)
    expected = {"data", "augmentation", "forward", "loss", "backward", "clipping", "optimizer", "moving average"}
    assert set(record["parts_ms"]) == expected | {"rest of the step"}
    assert all(spent > 0 for spent in record["parts_ms"].values())
    for part in ("forward", "backward"):
        layers = sum(layer[f"{part}_ms"] for layer in record["layers"])
        assert layers == pytest.approx(record["parts_ms"][part])
    assert record["roofline_gflops"] > 1
    assert record["measured_step_ms"] < 5 * record["step_ms"]


def test_only_the_cpu(monkeypatch):
    monkeypatch.setattr("paddle_automl.benchmarks.step_profile.devices_of", lambda config: ("gpu:0",))
    with pytest.raises(ConfigError, match="-o device=cpu"):
        profile_step(validate(RunConfig, OPTIONS), steps=1)


def test_command(tmp_path, capsys):
    config, target = tmp_path / "config.yaml", tmp_path / "figures.json"
    config.write_text(json.dumps(OPTIONS))
    assert main(["-c", str(config), "-o", "data.augment=[]", "--steps", "5", "--json", str(target)], "x") == 0
    text = capsys.readouterr().out
    assert "their phases add up to" in text
    assert "backbone.stem.conv.conv (convolution 3 x 3)" in text
    assert json.loads(target.read_text())["batch_size"] == 32
    assert main(["-c", str(config), "--steps", "0"], "x") == 2
