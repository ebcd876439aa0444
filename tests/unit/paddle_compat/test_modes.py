import pytest
from paddle import nn

from paddle_automl.paddle_compat.modes import evaluating


def test_each_layer_has_its_own_mode_again_even_after_an_error():
    net = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1D(1)))
    net.train()
    net[1][1].eval()
    modes = [layer.training for layer in net.sublayers(include_self=True)]
    with evaluating(net):
        assert not any(layer.training for layer in net.sublayers(include_self=True))
    assert [layer.training for layer in net.sublayers(include_self=True)] == modes
    with pytest.raises(RuntimeError, match="stop"), evaluating(net):
        raise RuntimeError("stop")
    assert [layer.training for layer in net.sublayers(include_self=True)] == modes
