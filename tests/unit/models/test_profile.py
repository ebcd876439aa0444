import paddle
import pytest
from paddle import nn

from paddle_automl.core.loading import validate
from paddle_automl.models.classifier import build_model
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.profile import profile


def test_by_hand():
    net = nn.Sequential(
        nn.Conv2D(2, 4, 3, padding=1, bias_attr=False),
        nn.BatchNorm2D(4),
        nn.Conv2D(4, 4, 3, stride=2, padding=1, groups=2),
        nn.Flatten(),
        nn.Linear(4 * 3 * 4, 5),
    )
    facts = profile(net, (2, 6, 8))
    first, second, last = 4 * 6 * 8 * (2 * 9), 4 * 3 * 4 * (2 * 9 + 1), 5 * 48
    assert facts.flops == first + second + last
    learned = 4 * 2 * 9 + 8 + (4 * 2 * 9 + 4) + 48 * 5 + 5
    assert facts.parameters == learned
    # Running mean and variance are stored too.
    assert facts.size_mb == pytest.approx((learned + 8) * 4 / 1e6)


def test_agrees_with_paddle_where_both_count():
    net = nn.Sequential(nn.Conv2D(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    assert profile(net, (1, 8, 8)).flops == paddle.flops(net, [1, 1, 8, 8])


def test_the_model_is_left_as_it_was():
    model = build_model(validate(ModelConfig, {}), in_channels=1, num_classes=3, image_size=(8, 8), seed=0)
    model.train()
    model.backbone.stem.eval()
    before = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    first = profile(model, (1, 8, 8))
    assert first == profile(model, (1, 8, 8))
    assert model.training
    assert not model.backbone.stem.training
    assert all((tensor.numpy() == before[name]).all() for name, tensor in model.state_dict().items())
