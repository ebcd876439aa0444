"""What a network learns from training items before its first step."""

from dataclasses import replace

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.models.pretrained import load_backbone
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.training import preparing
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.loop import train
from paddle_automl.training.preparing import prepare

SPEED = {"backbone": {"name": "speednet", "width": 0.0625}}


@pytest.fixture
def make_speednet(digits):
    def make(**model):
        return build_network(validate(ModelConfig, {**SPEED, **model}), digits.input, 10, seed=0)

    return make


def kernels_of(model):
    return model.backbone.whiten.weight.numpy().copy()


def test_it_depends_on_the_training_split_alone(digits, make_speednet):
    first, second, third = make_speednet(), make_speednet(), make_speednet()
    start = kernels_of(first)
    prepare(first, digits, 0)
    assert not np.array_equal(kernels_of(first), start)
    fewer = replace(digits, validation=digits.validation.with_indices(digits.validation.indices[:5]))
    prepare(second, fewer, 0)
    assert np.array_equal(kernels_of(first), kernels_of(second))
    prepare(third, replace(digits, train=digits.validation), 0)
    assert not np.array_equal(kernels_of(first), kernels_of(third))


def test_the_seed_draws_the_items_and_all_of_few_are_used(digits, make_speednet, monkeypatch):
    def prepared(seed):
        model = make_speednet()
        prepare(model, digits, seed)
        return kernels_of(model)

    assert np.array_equal(prepared(0), prepared(1))
    monkeypatch.setattr(preparing, "ITEMS", 50)
    assert np.array_equal(prepared(0), prepared(0))
    assert not np.array_equal(prepared(0), prepared(1))


def test_it_happens_once(digits, make_speednet):
    model = make_speednet()
    recipe = validate(TrainingConfig, {"epochs": 1})
    train(model, digits, recipe, seed=0, folder=None)
    found = kernels_of(model)
    train(model, replace(digits, train=digits.validation), recipe, seed=0, folder=None)
    assert np.array_equal(kernels_of(model), found)


def test_equal_seeds_train_equal_networks(digits, make_speednet):
    def trained():
        model = make_speednet()
        return train(model, digits, validate(TrainingConfig, {"epochs": 2}), seed=3, folder=None).metrics, model

    (first, model), (second, twin) = trained(), trained()
    assert first == second
    for name, tensor in model.state_dict().items():
        assert np.array_equal(tensor.numpy(), twin.state_dict()[name].numpy()), name


def test_a_network_from_a_file_is_not_prepared(digits, make_speednet, tmp_path):
    model = make_speednet()
    prepare(model, digits, 0)
    save_weights(tmp_path / "all.pdparams", model.state_dict())
    loaded = make_speednet(pretrained=str(tmp_path / "all.pdparams"))
    assert not loaded.needs_preparation
    prepare(loaded, replace(digits, train=digits.validation), 0)
    assert np.array_equal(kernels_of(loaded), kernels_of(model))
    rest = {name: tensor for name, tensor in model.state_dict().items() if "whiten" not in name}
    save_weights(tmp_path / "rest.pdparams", rest)
    assert make_speednet(pretrained=str(tmp_path / "rest.pdparams")).needs_preparation


def test_a_network_with_the_backbone_of_another_is_not_prepared(digits, make_speednet):
    """Its other convolutions are learned on the maps of these kernels."""
    trained, model = make_speednet(), make_speednet()
    prepare(trained, digits, 0)
    arrays = {name: tensor.numpy() for name, tensor in trained.backbone.state_dict().items()}
    load_backbone(model, arrays, "another run")
    prepare(model, replace(digits, train=digits.validation), 0)
    assert np.array_equal(kernels_of(model), kernels_of(trained))


def test_statistics_need_training_items(digits, make_speednet):
    nothing = replace(digits, train=digits.train.with_indices(digits.train.indices[:0]))
    with pytest.raises(ConfigError, match="computed from training images, but there are none"):
        prepare(make_speednet(), nothing, 0)
