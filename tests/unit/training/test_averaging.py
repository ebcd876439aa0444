import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.training.averaging import EpochMean
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.loop import Keep, train


def test_the_mean_is_that_of_the_last_epochs_and_leaves_the_weights_alone():
    model = paddle.nn.Sequential(paddle.nn.Linear(1, 1, bias_attr=False), paddle.nn.BatchNorm1D(1))
    mean = EpochMean(model, 2)
    with mean.applied():
        before = model[0].weight.item()
    for value in (7.0, 3.0, 5.0):
        model[0].weight.set_value(paddle.to_tensor([[value]]))
        model[1]._mean.set_value(paddle.to_tensor([value + 1]))
        mean.end_epoch()
    model[0].weight.set_value(paddle.to_tensor([[9.0]]))
    with mean.applied():
        assert (model[0].weight.item(), model[1]._mean.item()) == (4.0, 5.0)
    assert model[0].weight.item() == 9.0
    assert before not in (4.0, 9.0)


@pytest.mark.parametrize("on", ["train", "train+validation"])
def test_a_training_ends_with_the_mean_of_its_last_epochs(digits, make_model, tmp_path, on):
    recipe = {"epochs": 3, "batch_size": 50, "amp": None}
    kept = []
    for epochs, average in ((2, None), (3, None), (3, 2)):
        model = make_model()
        # The same steps as in three epochs: a constant rate does not depend on their number.
        options = {**recipe, "epochs": epochs, "average_epochs": average, "lr_schedule": "constant"}
        train(model, digits, validate(TrainingConfig, options), seed=1, folder=None, on=on, keep=Keep("last"))
        kept.append({name: value.numpy() for name, value in model.state_dict().items()})
    for name, second in kept[0].items():
        np.testing.assert_allclose(kept[2][name], (second + kept[1][name]) / 2, rtol=1e-5, atol=1e-6)


def test_cheap_epochs_are_no_part_of_the_mean(digits, make_model):
    """Their weights are those of smaller images or less data."""
    recipe = {"epochs": 3, "batch_size": 50, "progressive": {"epochs": 2}}
    kept = []
    for average in (None, 2):
        model = make_model()
        config = validate(TrainingConfig, {**recipe, "average_epochs": average})
        train(model, digits, config, seed=1, folder=None, keep=Keep("last"))
        kept.append({name: value.numpy() for name, value in model.state_dict().items()})
    for name, last in kept[0].items():
        np.testing.assert_allclose(kept[1][name], last, rtol=1e-6, err_msg=name)


def test_two_averages_are_refused():
    with pytest.raises(ConfigError, match="only one average of the weights is possible, got average_epochs, ema"):
        validate(TrainingConfig, {"average_epochs": 2, "ema": {}})
