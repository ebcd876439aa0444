import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.training.ema import ExponentialMovingAverage


def one_weight():
    return nn.Linear(1, 1, bias_attr=False)


def values(ema, model, sequence):
    averages = []
    for value in sequence:
        model.weight.set_value(paddle.to_tensor([[value]]))
        ema.update()
        with ema.applied():
            averages.append(model.weight.item())
    return averages


def test_bias_corrected_average_by_hand():
    model = one_weight()
    ema = ExponentialMovingAverage(model, 0.9, warmup=False)
    # 3; (0.9 3 + 5) / 1.9; (0.81 3 + 0.9 5 + 1) / 2.71
    expected = [3.0, (0.9 * 3 + 5) / 1.9, (0.81 * 3 + 0.9 * 5 + 1) / 2.71]
    assert values(ema, model, [3.0, 5.0, 1.0]) == pytest.approx(expected, rel=1e-5)


def test_warm_up_by_hand():
    model = one_weight()
    ema = ExponentialMovingAverage(model, 0.2, warmup=True)
    # The decays are 2/11 and then 0.2, which is less than 3/12.
    first = 9 / 11 * 3
    second = 0.2 * first + 0.8 * 5
    assert values(ema, model, [3.0, 5.0]) == pytest.approx([3.0, second / (0.2 * 9 / 11 + 0.8)], rel=1e-5)


def test_a_constant_weight_stays_itself():
    model = one_weight()
    ema = ExponentialMovingAverage(model, 0.999, warmup=False)
    assert values(ema, model, [0.3] * 50) == pytest.approx([0.3] * 50, rel=1e-5)


def test_swapping_in_and_out_is_exact_and_covers_statistics():
    model = nn.Sequential(nn.Conv2D(1, 2, 3), nn.BatchNorm2D(2))
    ema = ExponentialMovingAverage(model, 0.9, warmup=False)
    for _ in range(3):
        model(paddle.randn([4, 1, 5, 5]))
        with paddle.no_grad():
            model[0].weight.add_(paddle.full([1], 0.1))
        ema.update()
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    with ema.applied():
        inside = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    after = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    for name in before:
        assert np.array_equal(before[name], after[name]), name
    for name in ("0.weight", "1._mean", "1._variance"):
        assert not np.array_equal(before[name], inside[name]), name


def test_weights_come_back_after_an_error():
    model = one_weight()
    ema = ExponentialMovingAverage(model, 0.9, warmup=False)
    values(ema, model, [3.0, 5.0])
    with pytest.raises(KeyError), ema.applied():
        raise KeyError
    assert model.weight.item() == 5.0


def test_without_an_update_the_weights_are_left_alone():
    model = one_weight()
    before = model.weight.item()
    ema = ExponentialMovingAverage(model, 0.9, warmup=False)
    with ema.applied():
        assert model.weight.item() == before
