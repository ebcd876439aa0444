"""The speed recipe as it is shipped, on tiny networks: every task, sizes above 64 pixels, bad input."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from paddle_automl.core.loading import load_config, validate
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.kinds import parameter_kinds
from paddle_automl.models.network import build_network
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.kinds import Rates
from paddle_automl.training.learner import Learner
from paddle_automl.training.loop import train

RECIPE = load_config(RunConfig, Path(__file__).parents[3] / "configs/base/speed.yaml", {"training.batch_size": 250})


def data_of(items, **options):
    data = prepare(validate(DataConfig, options), seed=0)
    return replace(
        data,
        train=data.train.with_indices(data.train.indices[:items]),
        validation=data.validation.with_indices(data.validation.indices[:150]),
    )


def network(data, width=0.125):
    backbone = RECIPE.model.backbone.model_copy(update={"width": width})
    return build_network(
        RECIPE.model.model_copy(update={"backbone": backbone}), data.input, data.task.outputs, seed=0
    )


def recipe(**changes):
    return RECIPE.training.model_copy(update={"batch_size": 50, "loss": None, "amp": None, **changes})


@pytest.mark.parametrize(
    ("target", "metric", "bound", "head"),
    # A squared error has a steeper loss than classes, for which the head's rate is made.
    [("digit", "accuracy", 0.9, 12.6), ("digit_and_parity", "macro_f1", 0.8, 12.6), ("ink", "r2", 0.8, 1.0)],
)
def test_it_trains_every_task(target, metric, bound, head):
    data = data_of(900, dataset={"name": "digits", "target": target})
    model = network(data)
    changed = recipe(epochs=5, rates=Rates(head=head)).for_task(data.task)
    result = train(model, data, changed, seed=0, folder=None)
    assert result.metrics[metric] >= bound, result.metrics


def test_the_form_with_gradient_descent_trains_at_the_published_rate():
    data = data_of(900, dataset="digits")
    backbone = {"name": "speednet", "width": 0.125, "feature_scale": 1 / 9}
    model = build_network(validate(ModelConfig, {"backbone": backbone}), data.input, 10, seed=0)
    nesterov = {"name": "momentum", "momentum": 0.85, "nesterov": True, "units": "decoupled"}
    options = {
        "epochs": 5,
        "batch_size": 50,
        "optimizer": {"name": "lookahead", "learning_rate": 11.5, "weight_decay": 0.00133, "base": nesterov},
        "rates": {"norm_bias": 64.0},
        "lr_schedule": "triangle",
    }
    result = train(model, data, validate(TrainingConfig, options), seed=0, folder=None)
    assert result.metrics["accuracy"] >= 0.9


def test_images_above_64_pixels_get_a_stride_and_train():
    data = data_of(150, dataset="digits", input={"size": 66})
    model = network(data, width=0.0625)
    assert model.backbone.whiten.stride == 2
    result = train(model, data, recipe(epochs=4, batch_size=15, recalibrate=4), seed=0, folder=None)
    # A guess has 0.1.
    assert result.metrics["accuracy"] >= 0.4


def test_its_sections_agree_with_those_of_the_backbone():
    assert validate(ModelConfig, {"backbone": RECIPE.model.backbone.model_dump()}) == RECIPE.model
    assert RECIPE.training.ema is None
    assert RECIPE.training.clip_global_norm is None


def test_every_parameter_has_the_published_rate():
    data = data_of(250, dataset="digits")
    model = network(data)
    learner = Learner.on(model, data, RECIPE.training)
    kinds = parameter_kinds(model)
    rates = {
        kinds[name]: learner.learning_rate * p.optimize_attr["learning_rate"] / 250
        for name, p in model.named_parameters()
        if not p.stop_gradient
    }
    assert rates["kernel"] * 250 == pytest.approx(0.24 * np.sqrt(250 / 2000))
    assert rates["head"] == pytest.approx(0.67, rel=5e-3)
    assert rates["norm_bias"] == rates["whitening_bias"] == pytest.approx(0.053, rel=5e-3)


def test_two_trainings_are_equal():
    data = data_of(200, dataset="digits", augment=["alternating_flip", {"name": "translate", "pixels": 1}])
    augment = build_augmenter(RECIPE.data.augment, data.input)

    def trained():
        model = network(data)
        return train(model, data, recipe(epochs=2, recalibrate=2), seed=1, folder=None, augment=augment), model

    (first, model), (second, twin) = trained(), trained()
    assert first.metrics == second.metrics
    assert all(
        np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True)
    )
