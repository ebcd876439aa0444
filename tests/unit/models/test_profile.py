import paddle
import pytest
from paddle import nn

from paddle_automl.core.loading import validate
from paddle_automl.inputs.base import UNKNOWN_AXIS, TensorSpec
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.models.profile import flops_of_step, profile
from paddle_automl.testing.backbones import image_input


def test_by_hand():
    net = nn.Sequential(
        nn.Conv2D(2, 4, 3, padding=1, bias_attr=False),
        nn.BatchNorm2D(4),
        nn.Conv2D(4, 4, 3, stride=2, padding=1, groups=2),
        nn.Flatten(),
        nn.Linear(4 * 3 * 4, 5),
    )
    facts = profile(net, [TensorSpec("image", (2, 6, 8))])
    first, second, last = 4 * 6 * 8 * (2 * 9), 4 * 3 * 4 * (2 * 9 + 1), 5 * 48
    assert facts.flops == first + second + last
    learned = 4 * 2 * 9 + 8 + (4 * 2 * 9 + 4) + 48 * 5 + 5
    assert facts.parameters == learned
    # Running mean and variance are stored too.
    assert facts.size_mb == pytest.approx((learned + 8) * 4 / 1e6)


def test_agrees_with_paddle_where_both_count():
    net = nn.Sequential(nn.Conv2D(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    assert profile(net, [TensorSpec("image", (1, 8, 8))]).flops == paddle.flops(net, [1, 1, 8, 8])


def test_the_model_is_left_as_it_was():
    given = image_input(1, 8, 8)
    model = build_network(validate(ModelConfig, {}), given, 3, seed=0)
    model.train()
    model.backbone.stem.eval()
    before = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    first = profile(model, given.specs)
    assert first == profile(model, given.specs)
    assert model.training
    assert not model.backbone.stem.training
    assert all((tensor.numpy() == before[name]).all() for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("views", ["none", "mirror_and_shifts"])
def test_a_step_sees_one_view(views):
    given = image_input(1, 8, 8)
    model = build_network(validate(ModelConfig, {"test_time_augmentation": views}), given, 3, seed=0)
    plain = build_network(validate(ModelConfig, {}), given, 3, seed=0)
    assert flops_of_step(model, given.specs, 7) == 7 * profile(plain, given.specs).flops
    assert (profile(model, given.specs) == profile(plain, given.specs)) == (views == "none")


def test_several_arrays_and_open_axes():
    class Both(nn.Layer):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv1D(2, 3, 3, padding=1), nn.Linear(4, 5)

        def forward(self, sequence, numbers):
            return self.conv(sequence).mean() + self.fc(numbers)

    specs = [TensorSpec("sequence", (2, None)), TensorSpec("numbers", (4,))]
    # Three outputs of 2 x 3 products and a bias for each place, and 4 x 5 products.
    assert profile(Both(), specs).flops == UNKNOWN_AXIS * 3 * (2 * 3 + 1) + 20


def test_a_network_that_fails_keeps_no_hook():
    net = nn.Linear(4, 5)
    with pytest.raises(ValueError, match=r"shape|dimension|InvalidArgument"):
        profile(net, [TensorSpec("numbers", (3,))])
    assert not net._forward_post_hooks
