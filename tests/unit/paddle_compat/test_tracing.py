"""Networks are traced without rewriting their code, unless a layer may branch on values of tensors."""

import numpy as np
import paddle
from paddle import nn
from paddle.jit.dy2static import convert_call_func, program_translator

from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.norms import NORMS
from paddle_automl.paddle_compat.tracing import as_written


class Branching(nn.Layer):
    """A layer of somebody else, which doubles positive sums and turns the sign of others."""

    def forward(self, x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = -x
        return y


def layers():
    return LayerFactory("relu", NORMS["batch_norm"].Config(name="batch_norm"), "kaiming_normal")


def saved(layer, folder):
    layer.eval()
    with as_written(layer):
        paddle.jit.save(
            layer, str(folder / "net"), input_spec=[paddle.static.InputSpec([None, 3, 4, 4], "float32")]
        )
    return paddle.jit.load(str(folder / "net"))


def rewritten(monkeypatch):
    """Return the list of functions whose source is rewritten from now on."""
    found, convert = [], program_translator.convert_to_static
    monkeypatch.setattr(convert_call_func, "convert_to_static", lambda item: found.append(item) or convert(item))
    return found


def test_own_layers_run_as_they_are(tmp_path, monkeypatch):
    found, before = rewritten(monkeypatch), list(convert_call_func.BUILTIN_LIKELY_MODULES)
    own = layers().conv_norm_act(3, 2, 3)
    x = paddle.randn([5, 3, 4, 4])
    loaded = saved(own, tmp_path)
    np.testing.assert_allclose(loaded(x).numpy(), own(x).numpy(), atol=1e-6)
    assert found == []
    assert before == convert_call_func.BUILTIN_LIKELY_MODULES


def test_a_branch_of_a_foreign_layer_stays_one(tmp_path, monkeypatch):
    found = rewritten(monkeypatch)
    net = nn.Sequential(layers().conv_norm_act(3, 3, 1), Branching())
    loaded = saved(net, tmp_path)
    assert found
    for x in (paddle.ones([2, 3, 4, 4]), -paddle.ones([1, 3, 4, 4])):
        np.testing.assert_allclose(loaded(x).numpy(), net(x).numpy(), atol=1e-6)
