import numpy as np
import paddle
from paddle import nn

from paddle_automl.training.gradients import centralize, centralized_parameters


def test_each_outputs_gradient_has_mean_zero_and_the_rest_is_left_alone():
    net = nn.Sequential(
        nn.Conv2D(2, 3, 3, padding=1),
        nn.BatchNorm2D(3),
        nn.Conv2D(3, 3, 3, groups=3),
        nn.Flatten(),
        nn.Linear(27, 4),
    )
    net(paddle.randn([2, 2, 5, 5])).square().sum().backward()
    before = {name: p.grad.numpy().copy() for name, p in net.named_parameters() if p.grad is not None}
    centralize(centralized_parameters(net))
    after = {name: p.grad.numpy() for name, p in net.named_parameters() if p.grad is not None}
    for name, axes in (("0.weight", (1, 2, 3)), ("2.weight", (1, 2, 3)), ("4.weight", (0,))):
        expected = before[name] - before[name].mean(axis=axes, keepdims=True)
        np.testing.assert_allclose(after[name], expected, rtol=1e-4, atol=1e-5)
        assert np.abs(after[name] - before[name]).max() > 0
        # Eq. 2 is a projection: doing it twice changes nothing more.
    for name in ("0.bias", "1.weight", "1.bias", "2.bias", "4.bias"):
        assert np.array_equal(after[name], before[name]), name


def test_centralizing_twice_is_centralizing_once():
    net = nn.Linear(5, 3)
    net(paddle.randn([4, 5])).square().sum().backward()
    centralize(centralized_parameters(net))
    once = net.weight.grad.numpy().copy()
    centralize(centralized_parameters(net))
    np.testing.assert_allclose(net.weight.grad.numpy(), once, atol=1e-6)


def test_parameters_without_a_gradient_are_passed_over():
    net = nn.Linear(5, 3)
    centralize(centralized_parameters(net))
    assert net.weight.grad is None


def test_weights_of_a_single_input_go_on_learning():
    """Their mean is the gradient itself: without it nothing would be left."""
    net = nn.Sequential(nn.Conv2D(2, 2, 1, groups=2), nn.Conv1D(1, 1, 1), nn.Linear(1, 3))
    assert centralized_parameters(net) == []
    assert len(centralized_parameters(nn.Linear(2, 3))) == 1
