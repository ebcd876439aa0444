"""Each repair of PaddleSlim on Paddle 3, and that old-graph work does not leak into the process."""

import contextlib
import logging
import subprocess
import sys

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.inference import Config, create_predictor
from paddle.jit.dy2static import program_translator
from paddle.nn import functional as F

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.paddle_compat.slim.conversion import plain_convolution, plain_linear
from paddle_automl.paddle_compat.slim.filters import FilterPruning
from paddle_automl.paddle_compat.slim.old_ir import new_ir_is_on, old_ir, static_old_ir
from paddle_automl.paddle_compat.slim.packing import is_quantized, pack_int8
from paddle_automl.paddle_compat.slim.probe import capabilities
from paddle_automl.paddle_compat.slim.quantization import AwareTraining, PostTraining
from paddle_automl.paddle_compat.slim.repairs import import_paddleslim
from paddle_automl.paddle_compat.slim.sparsity import WeightPruning, prunable_weights
from paddle_automl.paddle_compat.tracing import as_written

SHAPE = (3, 16, 16)
IMAGES = np.random.default_rng(0).random((16, *SHAPE), dtype=np.float32)


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2D(3, 16, 3, padding=1)
        self.b1 = nn.BatchNorm2D(16)
        self.c2 = nn.Conv2D(16, 32, 3, stride=2, padding=1)
        self.b2 = nn.BatchNorm2D(32)
        self.fc = nn.Linear(32, 5)

    def forward(self, x):
        x = F.relu(self.b2(self.c2(F.relu(self.b1(self.c1(x))))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Text(nn.Layer):
    """Functions that Paddle 3.3 no longer offers for old graphs: sum, matmul, gelu, sigmoid, maximum, softmax."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.layer = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, activation="gelu"), 1)
        self.state = nn.GRU(16, 16)
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        mask = (x != 0).astype("float32").unsqueeze(-1)
        states, _ = self.state(self.layer(self.embed(x)))
        mean = (states * mask).sum(1) / paddle.maximum(mask.sum(1), paddle.ones_like(mask.sum(1)))
        return F.sigmoid(self.fc(mean))


class Depthwise(nn.Layer):
    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2D(3, 16, 1)
        self.deep = nn.Conv2D(16, 16, 3, padding=1, groups=16)
        self.norm = nn.BatchNorm2D(16)
        self.narrow = nn.Conv2D(16, 8, 1)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        x = F.hardswish(self.norm(self.deep(F.relu(self.wide(x)))))
        return self.fc(F.adaptive_avg_pool2d(self.narrow(x), 1).flatten(1))


@pytest.fixture
def net() -> Net:
    paddle.seed(1)
    net = Net()
    for _ in range(3):
        net(paddle.to_tensor(IMAGES))
    net.eval()
    return net


@pytest.fixture(autouse=True)
def _nothing_leaks():
    functions = (paddle.sum, paddle.matmul, F.gelu, F.relu)
    yield
    assert new_ir_is_on()
    assert paddle.in_dynamic_mode()
    assert functions == (paddle.sum, paddle.matmul, F.gelu, F.relu)


def spec():
    # Paddle changes the list that it is given.
    return [paddle.static.InputSpec([None, *SHAPE], "float32")]


def save_old(layer, prefix, specs=None):
    with old_ir():
        paddle.jit.save(layer, str(prefix), specs or spec())


@pytest.mark.parametrize("guard", [old_ir, contextlib.nullcontext])
def test_a_trace_that_failed_leaves_nothing_to_later_ones(net, guard, tmp_path, monkeypatch):
    """Paddle keeps its parameters under the address of a program, where a later program may lie."""
    monkeypatch.setattr(program_translator, "_program_hash", lambda program: 1)
    recorder = program_translator.ProgramTranslator.get_instance()._params_recorder
    recorder.add(None, paddle.nn.Linear(2, 2).weight)
    with guard(), as_written(net):
        paddle.jit.save(net, str(tmp_path / "net"), spec())
    np.testing.assert_allclose(
        predict(tmp_path / "net", IMAGES), net(paddle.to_tensor(IMAGES)).numpy(), rtol=1e-4, atol=1e-5
    )


def predict(prefix, inputs, int8=False):
    suffix = ".json" if prefix.with_suffix(".json").exists() else ".pdmodel"
    config = Config(str(prefix) + suffix, str(prefix) + ".pdiparams")
    config.disable_glog_info()
    if int8:
        config.enable_mkldnn()
        config.enable_mkldnn_int8({"conv2d", "fc"})
    predictor = create_predictor(config)
    handle = predictor.get_input_handle(predictor.get_input_names()[0])
    handle.copy_from_cpu(inputs)
    predictor.run()
    return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()


def test_the_old_kind_of_graph_ends_with_its_block(net, tmp_path):
    expected = net(paddle.to_tensor(IMAGES)).numpy()
    paddle.jit.save(net, str(tmp_path / "a"), spec())
    save_old(net, tmp_path / "b")
    paddle.jit.save(net, str(tmp_path / "c"), spec())
    assert (tmp_path / "a.json").exists()
    assert (tmp_path / "b.pdmodel").exists()
    assert (tmp_path / "c.json").exists()
    for name in "abc":
        np.testing.assert_allclose(predict(tmp_path / name, IMAGES), expected, atol=1e-4)
    with pytest.raises(ZeroDivisionError), old_ir():
        _ = 1 / 0
    assert new_ir_is_on()


class Sum(nn.Layer):
    """Its two numbers are made one after another, with `between` run before each."""

    def __init__(self, between):
        super().__init__()
        for name, value in (("first", 1.0), ("second", 10.0)):
            between()
            self.register_buffer(name, paddle.to_tensor([value]))

    def forward(self, x):
        return x * self.first + self.second


def in_static_mode():
    with static_old_ir():
        assert not paddle.in_dynamic_mode()


def prune_filters():
    FilterPruning(Net(), "l1", SHAPE)


@pytest.mark.parametrize("between", [in_static_mode, prune_filters])
def test_no_two_tensors_of_a_network_get_one_name(between, tmp_path):
    """An exported file holds one tensor of a name: Paddle counts names anew after each change of the mode."""
    between()
    parameter = nn.Linear(1, 1).weight.name
    layer = Sum(between)
    assert layer.first.name != layer.second.name
    assert nn.Linear(1, 1).weight.name != parameter
    layer.eval()
    save_old(layer, tmp_path / "sum", [paddle.static.InputSpec([None, 1], "float32")])
    np.testing.assert_array_equal(predict(tmp_path / "sum", np.ones((2, 1), np.float32)), [[11.0], [11.0]])
    assert paddle.in_dynamic_mode()


def test_functions_moved_into_cpp_work_in_old_graphs(tmp_path):
    paddle.seed(0)
    text = Text()
    text.eval()
    words = np.random.default_rng(0).integers(1, 50, (4, 7))
    expected = text(paddle.to_tensor(words)).numpy()
    save_old(text, tmp_path / "text", [paddle.static.InputSpec([None, None], "int64")])
    np.testing.assert_allclose(predict(tmp_path / "text", words), expected, atol=1e-5)
    with old_ir():
        assert float(paddle.sum(paddle.ones([3]))) == 3


@pytest.mark.parametrize("criterion", ["l1", "l2", "fpgm"])
def test_filters_are_pruned_and_come_back(net, criterion):
    expected = net(paddle.to_tensor(IMAGES)).numpy()
    names = set(net.state_dict())
    pruning = FilterPruning(net, criterion, SHAPE)
    assert pruning.layers == {"c1": 16, "c2": 32}
    pruning.prune({"c1": 0.5})
    assert [list(net.c1.weight.shape), list(net.c2.weight.shape)] == [[8, 3, 3, 3], [32, 8, 3, 3]]
    assert (net.c1._out_channels, net.b1._num_features) == (8, 8)
    assert list(net(paddle.to_tensor(IMAGES)).shape) == [16, 5]
    pruning.undo()
    np.testing.assert_array_equal(net(paddle.to_tensor(IMAGES)).numpy(), expected)
    pruning.prune({"c2": 0.25})
    pruning.finish()
    assert list(net.fc.weight.shape) == [24, 5]
    assert net.fc.in_features == 24
    assert set(net.state_dict()) == names


def test_l1_takes_the_smallest_filters(net):
    net.c1.weight.set_value(net.c1.weight * paddle.arange(1, 17).reshape([16, 1, 1, 1]).astype("float32"))
    order = net.c1.weight.abs().sum([1, 2, 3]).argsort().numpy()
    kept = net.c1.weight.numpy()[np.sort(order[4:])]
    FilterPruning(net, "l1", SHAPE).prune({"c1": 0.25})
    np.testing.assert_array_equal(net.c1.weight.numpy(), kept)


def test_depthwise_convolutions_lose_the_same_channels():
    net = Depthwise()
    net.eval()
    pruning = FilterPruning(net, "l1", SHAPE)
    assert "deep" not in pruning.layers
    pruning.prune({"wide": 0.5})
    pruning.finish()
    assert list(net.deep.weight.shape) == [8, 1, 3, 3]
    assert net.deep._groups == 8
    assert list(net(paddle.to_tensor(IMAGES)).shape) == [16, 2]


def test_younger_activations_do_not_stop_the_tracing():
    net = nn.Sequential(nn.Conv2D(3, 8, 3), nn.Mish(), nn.Conv2D(8, 8, 3), nn.Tanh(), nn.Conv2D(8, 4, 3))
    assert set(FilterPruning(net, "l1", SHAPE).layers) == {"0", "2"}


def test_obstacles_are_named():
    net = nn.Sequential(nn.Conv2D(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2D(8, 4, 3))
    pruning = FilterPruning(net, "l1", SHAPE)
    assert pruning.layers == {}
    assert pruning.obstacles == ["group_norm"]


def test_a_network_that_cannot_be_traced_leaves_dynamic_mode_on():
    class Broken(nn.Layer):
        def forward(self, x):
            raise KeyError("broken")

    with pytest.raises(UnsupportedError, match="trace"):
        FilterPruning(Broken(), "l1", SHAPE)
    assert paddle.in_dynamic_mode()


@pytest.mark.parametrize("steps", [None, 24])
def test_masks_stay_float_and_leave_no_trace(net, steps):
    names = set(net.state_dict())
    pruning = WeightPruning(net, 0.5, local=False, steps=steps, increases=2)
    net.train()
    for _ in range(30):
        net(paddle.to_tensor(IMAGES)).sum().backward()
        pruning.step()
    assert {mask.dtype for mask in pruning._pruner.masks.values()} == {paddle.float32}
    pruning.finish()
    values = np.concatenate([layer.weight.numpy().ravel() for layer in (net.c1, net.c2, net.fc)])
    assert abs((values == 0).mean() - 0.5) < 0.01
    assert set(net.state_dict()) == names
    assert not any(layer._forward_pre_hooks for layer in net.sublayers())


class Tokens(nn.Layer):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(50, 8)
        self.places = self.create_parameter([9, 8])
        self.conv = nn.Conv1D(8, 8, 3)
        self.gru = nn.GRU(8, 8)
        self.fc = nn.Linear(8, 2)


@pytest.mark.parametrize("local", [False, True])
def test_tables_keep_all_their_vectors(local):
    """They are small at first, so that the least of all weights were theirs."""
    net = Tokens()
    for table in (net.tokens.weight, net.places):
        table.set_value(1e-4 * (1 + paddle.rand(table.shape)))
    WeightPruning(net, 0.5, local=local, steps=None, increases=1).finish()
    weights = prunable_weights(net)
    assert set(weights) == {"conv.weight", "gru.weight_ih_l0", "gru.weight_hh_l0", "fc.weight"}
    zeros = {name: (tensor.numpy() == 0).mean() for name, tensor in net.named_parameters()}
    assert zeros["tokens.weight"] == zeros["places"] == 0
    total = sum(tensor.size for tensor in weights.values())
    count = sum(zeros[name] * tensor.size for name, tensor in weights.items())
    assert count == pytest.approx(total / 2, abs=4.5)


def test_a_network_of_tables_cannot_be_pruned():
    with pytest.raises(UnsupportedError, match="no convolution, linear or recurrent"):
        WeightPruning(nn.Sequential(nn.Embedding(5, 2)), 0.5, local=False, steps=10, increases=1)


@pytest.mark.parametrize("observer", ["abs_max", "avg", "hist", "mse"])
def test_weights_are_stored_as_integers(net, observer, tmp_path):
    expected = net(paddle.to_tensor(IMAGES)).numpy()
    quantization = PostTraining(net, ["c1", "c2", "fc"], observer)
    quantization.model(paddle.to_tensor(IMAGES))
    converted = quantization.convert()
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    save_old(converted, plain)
    assert is_quantized(plain.with_suffix(".pdmodel"))
    assert pack_int8(str(plain), str(packed)) == 3
    assert pack_int8(str(packed), str(tmp_path / "again")) == 0
    assert packed.with_suffix(".pdiparams").stat().st_size < 0.45 * plain.with_suffix(".pdiparams").stat().st_size
    tolerance = 0.1 * np.abs(expected).max() + 0.05
    for int8 in (False, True):
        np.testing.assert_allclose(predict(packed, IMAGES, int8), expected, atol=tolerance)


def test_without_packing_int8_kernels_compute_nonsense(net, tmp_path):
    """The reason for packing: should this test fail one day, Paddle has mended it itself."""
    expected = net(paddle.to_tensor(IMAGES)).numpy()
    quantization = PostTraining(net, ["c1", "c2", "fc"], "abs_max")
    quantization.model(paddle.to_tensor(IMAGES))
    save_old(quantization.convert(), tmp_path / "plain")
    pack_int8(str(tmp_path / "plain"), str(tmp_path / "packed"))
    plain, packed = (
        np.abs(predict(tmp_path / name, IMAGES, True) - expected).max() for name in ("plain", "packed")
    )
    assert plain > 5 * packed


def test_weights_that_are_no_integers_are_refused(net, tmp_path):
    quantization = PostTraining(net, ["c1"], "abs_max")
    quantization.model(paddle.to_tensor(IMAGES))
    converted = quantization.convert()
    converted.c1.weight.set_value(converted.c1.weight + 0.3)
    save_old(converted, tmp_path / "plain")
    with pytest.raises(UnsupportedError, match="8-bit"):
        pack_int8(str(tmp_path / "plain"), str(tmp_path / "packed"))


def test_trained_quantization_converts_and_keeps_batch_norm_still(net, tmp_path):
    mean = net.b1._mean.numpy().copy()
    quantization = AwareTraining(net, ["c1", "c2", "fc"])
    quantization.model.train()
    optimizer = paddle.optimizer.SGD(0.01, parameters=quantization.model.parameters())
    for _ in range(8):
        quantization.model(paddle.to_tensor(IMAGES)).square().mean().backward()
        optimizer.step()
        optimizer.clear_grad()
    np.testing.assert_array_equal(net.b1._mean.numpy(), mean)
    quantization.model.eval()
    expected = quantization.model(paddle.to_tensor(IMAGES)).numpy()
    converted = quantization.convert()
    np.testing.assert_allclose(converted(paddle.to_tensor(IMAGES)).numpy(), expected, atol=1e-4)
    save_old(converted, tmp_path / "plain")
    pack_int8(str(tmp_path / "plain"), str(tmp_path / "packed"))
    found = predict(tmp_path / "packed", IMAGES, True)
    np.testing.assert_allclose(found, expected, atol=0.15 * np.abs(expected).max() + 0.1)


def test_plain_convolutions_share_their_parameters():
    class Special(nn.Conv2D):
        pass

    layer = Special(4, 8, 3, stride=2, padding=1, groups=2)
    plain = plain_convolution(layer)
    assert type(plain) is nn.Conv2D
    assert plain.weight is layer.weight
    assert plain.bias is layer.bias
    images = paddle.to_tensor(np.random.default_rng(0).random((2, 4, 6, 6), dtype=np.float32))
    np.testing.assert_array_equal(plain(images).numpy(), layer(images).numpy())
    assert plain_convolution(plain) is plain
    assert plain_convolution(Special(4, 8, 1, bias_attr=False)).bias is None


def test_plain_linear_layers_share_their_parameters():
    class Special(nn.Linear):
        pass

    layer = Special(4, 3)
    plain = plain_linear(layer)
    assert type(plain) is nn.Linear
    assert plain.weight is layer.weight
    assert plain.bias is layer.bias
    assert plain_linear(plain) is plain
    assert plain_linear(Special(4, 3, bias_attr=False)).bias is None


def test_repairs_can_be_applied_twice_and_are_quiet(capsys):
    first, second = import_paddleslim(), import_paddleslim()
    assert first is second
    FilterPruning(Net(), "l1", SHAPE).prune({"c1": 0.5})
    WeightPruning(Net(), 0.5, local=False, steps=None, increases=1)
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""
    assert logging.getLogger("paddleslim.prune.collections").level == logging.ERROR


def test_everything_works_with_the_installed_paddle():
    assert set(capabilities().values()) == {""}


def test_importing_the_package_does_not_import_paddleslim():
    code = (
        "import sys, paddle_automl.paddle_compat.slim.probe, paddle_automl.compression.config; "
        "print('paddleslim' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
