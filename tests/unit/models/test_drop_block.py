"""DropBlock by itself, and where the backbones of stages have it."""

import numpy as np
import paddle
import pytest

from paddle_automl.core.loading import validate
from paddle_automl.models import kernels
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.drop_block import DropBlock
from paddle_automl.models.network import build_network
from paddle_automl.testing.backbones import image_input


def dropped(rate, side, size=(12, 12)):
    layer = DropBlock(rate, side)
    layer.train()
    paddle.seed(0)
    return layer(paddle.ones([64, 8, *size])).numpy()


@pytest.mark.parametrize(("rate", "side"), [(0.1, 3), (0.2, 2), (0.3, 1)])
def test_about_that_fraction_is_zero_and_the_sum_stays(rate, side):
    values = dropped(rate, side)
    # Squares overlap, so that a little less is dropped.
    assert rate * 0.75 <= (values == 0).mean() <= rate * 1.05
    assert values.mean() == pytest.approx(1.0, rel=1e-4)
    assert len(np.unique(values)) == 2


def test_zeros_are_whole_squares_and_differ_between_channels():
    values = dropped(0.05, 3)
    zero = values == 0
    windows = np.lib.stride_tricks.sliding_window_view(zero, (3, 3), axis=(2, 3)).all(axis=(4, 5))
    covered = np.zeros_like(zero)
    for row in range(3):
        for column in range(3):
            covered[:, :, row : row + 10, column : column + 10] |= windows
    assert (covered == zero).all()
    assert not (zero[:, 0] == zero[:, 1]).all()


def test_small_maps_and_evaluation():
    assert set(np.unique(dropped(0.4, 5, size=(1, 2)) == 0)) == {True, False}
    assert np.isfinite(dropped(0.99, 7, size=(2, 2))).all()
    layer, x = DropBlock(0.5, 3), paddle.ones([2, 3, 4, 4])
    layer.eval()
    assert layer(x) is x


@pytest.mark.parametrize("name", ["resnet", "vgg", "densenet"])
def test_it_follows_the_last_two_stages(name):
    def build(**options):
        config = validate(ModelConfig, {"backbone": {"name": name, "width": 8, **options}})
        return build_network(config, image_input(1, 8, 8), 2, seed=0)

    plain, network = build(), build(drop_block=0.3)
    assert list(plain.state_dict()) == list(network.state_dict())
    places = [path for path, layer in network.named_sublayers() if isinstance(layer, DropBlock)]
    stages = "blocks" if name == "densenet" else "stages"
    assert places == [f"backbone.{stages}.{number}.drop_block" for number in (1, 2)]
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype("float32"))
    plain.eval(), network.eval()
    assert np.array_equal(plain(x).numpy(), network(x).numpy())
    network.train()
    with kernels.use("float32"):
        loss = network(x).square().sum()
    loss.backward()
    assert np.isfinite(float(loss))
