"""Statistics of batch normalization, computed anew before an evaluation."""

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.loading import validate
from paddle_automl.core.seeds import generator
from paddle_automl.models import kernels
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.loop import train
from paddle_automl.training.recalibration import Recalibration


def recalibration(digits, batches=4):
    return Recalibration(digits.train, batches, 50, None, generator(0, "test"))


def norms_of(model):
    return [layer for layer in model.sublayers() if isinstance(layer, nn.BatchNorm2D)]


VIEWS = {"test_time_augmentation": "mirror_and_shifts"}
MEMBER = {"backbone": {"name": "resnet", "width": 8, "blocks": [1]}, **VIEWS}


@pytest.mark.parametrize(
    ("dtype", "options"),
    [(None, {}), ("float32", {}), (None, VIEWS), (None, {"backbone": {"name": "ensemble", "members": [MEMBER]}})],
)
def test_they_are_the_mean_over_the_batches(digits, make_model, dtype, options):
    """Without the views of an image: those of a network, or of the members of an ensemble."""
    model = make_model(**options)
    views = [getattr(layer, "test_time_augmentation", None) for layer in model.sublayers(include_self=True)]
    model.train()
    first = norms_of(model)[0]
    inputs = []
    first.register_forward_pre_hook(lambda layer, given: inputs.append(given[0].numpy()))
    with kernels.use(dtype):
        recalibration(digits)(model)
    assert len(inputs) == 4
    expected = np.mean([x.mean(axis=(0, 2, 3)) for x in inputs], axis=0)
    np.testing.assert_allclose(first._mean.numpy(), expected, rtol=1e-3, atol=1e-5)
    expected = np.mean([x.var(axis=(0, 2, 3)) for x in inputs], axis=0)
    np.testing.assert_allclose(first._variance.numpy(), expected, rtol=5e-3)
    assert {layer._momentum for layer in norms_of(model)} == {0.9}
    assert {layer.options[0] for layer in norms_of(model)} == {0.9}
    assert all(layer.training for layer in model.sublayers())
    assert views == [getattr(layer, "test_time_augmentation", None) for layer in model.sublayers(include_self=True)]


def test_layers_in_evaluation_mode_keep_theirs(digits, make_model):
    model = make_model()
    model.train()
    first, *others = norms_of(model)
    first.eval()
    before = [layer._mean.numpy().copy() for layer in (first, *others)]
    recalibration(digits)(model)
    same = [np.array_equal(layer._mean.numpy(), old) for layer, old in zip((first, *others), before, strict=True)]
    assert same == [True, *[False] * len(others)]
    assert not first.training


def test_networks_without_batch_norm_are_left_alone(digits, make_model):
    model = make_model(norm="group_norm")
    model.train()
    recalibration(digits)(model)


def test_training_itself_is_the_same_with_it(digits, make_model):
    def trained(**options):
        model = make_model()
        recipe = validate(TrainingConfig, {"epochs": 1, **options})
        return train(model, digits, recipe, seed=0, folder=None), model

    (plain, model), (fresh, twin), (again, _) = trained(), trained(recalibrate=3), trained(recalibrate=3)
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        statistics = name.endswith(("_mean", "_variance"))
        assert np.array_equal(one.numpy(), other.numpy()) != statistics, name
    assert fresh.metrics == again.metrics
    assert fresh.metrics["loss"] != plain.metrics["loss"]


def test_averaged_weights_get_statistics_of_their_own(digits, make_model):
    model = make_model()
    options = {"epochs": 1, "ema": {"decay": 0.9}, "recalibrate": 4}
    train(model, digits, validate(TrainingConfig, options), seed=0, folder=None, on="train+validation")
    inputs = []
    norms_of(model)[0].register_forward_pre_hook(lambda layer, given: inputs.append(given[0].numpy()))
    batch = next(digits.train.batches(200))
    model(*(paddle.to_tensor(array) for array in batch.inputs.values()))
    np.testing.assert_allclose(norms_of(model)[0]._mean.numpy(), inputs[0].mean(axis=(0, 2, 3)), atol=0.05)
