"""What single steps promise: targets reached, zeros kept, places observed, layers skipped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.compression.base import STEPS, Step
from paddle_automl.compression.copying import Zeros, copy_of, sparsity
from paddle_automl.compression.finetuning import FineTuning, tune
from paddle_automl.compression.int8_layers import (
    Observed,
    layers_for_int8,
    observed_outputs,
    ready_for_int8,
    without,
)
from paddle_automl.compression.ratios import rounded, search, tolerated
from paddle_automl.core.errors import ConfigError, UnsupportedError
from paddle_automl.models.profile import profile
from paddle_automl.training import loop
from paddle_automl.training.evaluation import evaluate, predict
from tests.unit.compression.small import RECIPE, SPECS, batch, context, digits, network, trained


def step(name: str, **options) -> Step:
    return STEPS[name](STEPS[name].Config.model_validate({"name": name, **options}))


def accuracy(model) -> float:
    return evaluate(model, digits().validation, ["accuracy"])["accuracy"]


NO_TUNING = {"epochs": 0}


def test_tolerated_ratios_rise_with_the_loss():
    curves = {"a": [(0.5, 0.1), (0.9, 0.5)], "b": [(0.5, 0.0), (0.9, -0.1)]}
    assert tolerated(curves, 0.0) == {"a": 0.0, "b": 0.0}
    assert tolerated(curves, 0.05)["a"] == pytest.approx(0.25, abs=1e-4)
    # b loses nothing at all: it is pruned first, and no more than the largest fraction.
    assert tolerated(curves, 0.05)["b"] == pytest.approx(0.9)
    levels = [tolerated(curves, level)["a"] for level in np.linspace(0, 0.6, 30)]
    assert levels == sorted(levels)
    assert levels[-1] == 0.9


def test_rounding_leaves_multiples():
    assert rounded({"a": 0.5, "b": 0.3, "c": 0.99}, {"a": 32, "b": 10, "c": 32}, 8) == {
        "a": 0.5,
        "b": pytest.approx(0.3),
        "c": 0.75,
    }
    assert rounded({"a": 0.95}, {"a": 4}, 8) == {"a": 0.75}


@pytest.mark.parametrize("target", [0.2, 0.5, 0.77])
def test_the_search_goes_on_until_the_target(target):
    ratios, cost = search(lambda level: {"a": level}, lambda found: 1 - found["a"], target, upper=0.9)
    assert target - 0.001 <= cost <= target
    assert ratios["a"] == pytest.approx(1 - target, abs=0.001)


def test_an_unreachable_target_gives_what_is_left():
    assert search(lambda level: {"a": level}, lambda found: 1 - found["a"], 0.01, upper=0.9)[1] == pytest.approx(
        0.1
    )


@pytest.mark.parametrize("options", [{"flops": 0.5}, {"flops": 0.6, "criterion": "fpgm", "sensitivity": False}])
@pytest.mark.parametrize(
    "backbone",
    [
        {"name": "resnet", "width": 16, "blocks": [1, 1]},
        {"name": "resnet", "width": 16, "blocks": [1, 1], "order": "pre"},
        {"name": "vgg", "width": 16},
        {"name": "inception", "width": 16},
    ],
    ids=lambda item: "-".join(str(value) for value in item.values()),
)
def test_flops_are_reached(options, backbone):
    model = network(backbone=backbone)
    before = profile(model, SPECS)
    outcome = step("prune_filters", tune=NO_TUNING, align=1, **options).apply(model, context())
    after = profile(outcome.model, SPECS)
    assert options["flops"] - 0.06 <= after.flops / before.flops <= options["flops"]
    assert outcome.facts["flops_left"] == pytest.approx(after.flops / before.flops)
    assert after.parameters < before.parameters
    assert profile(model, SPECS) == before
    assert outcome.model.feature_dim == outcome.model.fc.weight.shape[0]


@pytest.mark.slow  # times a network, so it needs a quiet machine
def test_latency_is_a_target_too():
    model = network(backbone={"name": "resnet", "width": 32, "blocks": [1, 1]})
    facts = step("prune_filters", tune=NO_TUNING, sensitivity=False, latency=0.9).apply(model, context()).facts
    assert facts["target"] == {"latency": 0.9}
    assert facts["reached"] <= 0.9


def test_pruned_networks_recover_with_their_teacher():
    model = trained()
    outcome = step("prune_filters", flops=0.6, tune={"epochs": 6, "rate": 0.5}, align=4).apply(model, context())
    found = accuracy(outcome.model)
    assert found > outcome.facts["accuracy_before_tuning"]
    assert found > accuracy(model) - 0.06


def test_targets_out_of_reach_say_what_can_be_reached():
    model = network(backbone={"name": "inception", "width": 16})
    with pytest.raises(UnsupportedError, match=r"0.05 cannot be reached, .* leaves 0\.\d+.*concat"):
        step("prune_filters", flops=0.05, sensitivity=False, tune=NO_TUNING).apply(model, context())


def test_networks_that_cannot_be_pruned_say_why():
    with pytest.raises(UnsupportedError, match="group_norm"):
        step("prune_filters", ratio=0.5).apply(network(norm="group_norm"), context())


def test_networks_without_convolutions_are_refused():
    class Flat(nn.Layer):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(64, 10)

        def forward(self, x):
            return self.fc(x.flatten(1))

    with pytest.raises(UnsupportedError, match="no convolution"):
        step("prune_filters", ratio=0.5).apply(Flat(), context())


@pytest.mark.parametrize("local", [True, False])
def test_zeros_are_as_many_as_asked(local):
    outcome = step("prune_weights", ratio=0.6, local=local, tune={"epochs": 0, "average": False}).apply(
        trained(), context()
    )
    assert outcome.facts["sparsity"] == pytest.approx(0.6, abs=0.01)
    if local:
        assert (outcome.model.fc.weight.numpy() == 0).mean() == pytest.approx(0.6, abs=0.02)


def test_gradual_pruning_ends_with_all_zeros_and_without_masks():
    model = trained()
    outcome = step("prune_weights", ratio=0.5, increases=2, tune={"epochs": 3, "average": False}).apply(
        model, context()
    )
    assert outcome.facts["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert set(outcome.model.state_dict()) == set(model.state_dict())
    assert "the file does not get smaller" in outcome.facts["note"]


SCHEDULE_FREE = RECIPE.model_validate(
    {
        "epochs": 2,
        "optimizer": {"name": "schedule_free", "learning_rate": 0.2},
        "lr_schedule": {"name": "constant"},
        "clip_global_norm": 5.0,
    }
)


def test_an_average_of_iterates_is_judged_with_its_zeros(monkeypatch):
    seen = []

    def spied(model, *args, **options):
        seen.append(sparsity(model))
        return predict(model, *args, **options)

    monkeypatch.setattr(loop, "predict", spied)
    pruning = step("prune_weights", ratio=0.7, gradual=False, tune={"epochs": 2, "average": False})
    pruned = pruning.apply(trained(), context(training=SCHEDULE_FREE)).model
    assert seen == pytest.approx([0.7, 0.7], abs=0.01)
    model = copy_of(pruned)
    tune(model, context(), SCHEDULE_FREE, purpose="test", callbacks=[Zeros(model)])
    assert sparsity(model) == pytest.approx(0.7, abs=0.01)


def test_averaging_weights_while_pruning_them_is_refused():
    averaged = RECIPE.model_validate({"ema": {"decay": 0.9}})
    with pytest.raises(ConfigError, match="average"):
        step("prune_weights", tune={"average": True}).check(trained(), context(training=averaged))


def test_quantization_aware_training_keeps_zeros():
    sparse = (
        step("prune_weights", ratio=0.5, tune={"epochs": 0, "average": False}).apply(trained(), context()).model
    )
    before = {name: layer.weight.numpy() == 0 for name, layer in sparse.named_sublayers() if name == "fc"}
    quantized = step("quantize_aware", tune={"epochs": 1, "rate": 0.02, "average": False}).apply(sparse, context())
    integers = quantized.model.fc.weight.numpy()
    assert np.abs(integers).max() <= 128
    assert (integers[before["fc"]] == 0).all()


def test_zeros_are_put_back():
    model = copy_of(network())
    model.fc.weight.set_value(paddle.concat([paddle.zeros([16, 10]), paddle.ones([16, 10])]))
    zeros = Zeros(model)
    model.fc.weight.set_value(paddle.ones([32, 10]))
    zeros.after_step()
    assert (model.fc.weight.numpy() == 0).mean() == 0.5
    assert sparsity(model) > 0
    assert not Zeros(network())


def test_places_are_observed_where_branches_meet_or_are_pooled():
    model = trained()
    ready, names = ready_for_int8(model, SPECS)
    found = observed_outputs(ready)
    assert "backbone.stages.1.0.shortcut.norm.output" in found
    assert "backbone.stages.1.0.activation.output" in found
    assert not any("stem" in name for name in found)
    (x,) = batch(4)
    np.testing.assert_array_equal(ready(x).numpy(), model(x).numpy())
    assert not any(isinstance(layer, Observed) for layer in model.sublayers())
    assert set(names) == set(layers_for_int8(model))


def test_observed_convolutions_keep_their_names_outside():
    model = network(norm="none")
    _, names = ready_for_int8(model, SPECS)
    assert names["backbone.stages.1.0.shortcut.conv"] == "backbone.stages.1.0.shortcut.conv.layer"


def test_layers_are_skipped_by_name_and_pattern():
    names = layers_for_int8(trained())
    kept = without(names, ("backbone.stem*", "fc"), "quantize_post.skip")
    assert "fc" not in kept
    assert not any("stem" in name for name in kept)
    with pytest.raises(ConfigError, match=r"no layer is called 'fcc'; did you mean 'fc'\? valid: backbone"):
        without(names, ("fcc",), "quantize_post.skip")
    with pytest.raises(UnsupportedError, match="no layer that would get 8-bit weights"):
        without(names, ("*",), "quantize_post.skip")
    outcome = step("quantize_post", skip=["fc"], analysis=False).apply(trained(), context())
    assert outcome.facts["skipped"] == ["fc"]
    assert isinstance(outcome.model.fc, nn.Linear)


@pytest.mark.parametrize(
    "observer", ["avg", "hist", "mse", *(pytest.param(name, marks=pytest.mark.slow) for name in ("kl", "emd"))]
)
def test_observers(observer):
    outcome = step("quantize_post", observer=observer, images=64, analysis=False).apply(trained(), context())
    assert accuracy(outcome.model) > accuracy(trained()) - 0.05


@pytest.mark.parametrize("changes", [{"norm": "none"}, {"activation": "gelu"}, {"activation": "hardswish"}])
def test_other_layers_can_be_quantized(changes):
    model = network(**changes)
    model.eval()
    outcome = step("quantize_post", images=64, analysis=False).apply(model, context())
    (x,) = batch(16)
    expected = model(x).numpy()
    assert np.abs(outcome.model(x).numpy() - expected).max() < 0.15 * np.abs(expected).max() + 0.05


def test_the_recipe_of_a_tuning():
    recipe = RECIPE.model_copy(
        update={"lr_schedule": RECIPE.lr_schedule.model_copy(update={"warmup_epochs": 3.0}), "patience": 2}
    )
    tuned = FineTuning(epochs=2, rate=0.5).recipe(recipe)
    assert (tuned.epochs, tuned.optimizer.learning_rate, tuned.patience) == (2, 0.05, None)
    assert tuned.lr_schedule.warmup_epochs == 0
    assert recipe.optimizer.learning_rate == 0.1


def test_a_tuning_without_averages_and_its_rate_of_tables():
    """An average of any kind would mix zeros with old values; a tenth of the rate is that of tables, too."""
    recipe = RECIPE.model_copy(update={"ema": None, "average_epochs": 3, "soup": 2})
    tuned = FineTuning(epochs=2, rate=0.1, average=False).recipe(recipe)
    assert (tuned.ema, tuned.average_epochs, tuned.soup) == (None, None, None)
    assert tuned.tables.learning_rate == pytest.approx(recipe.tables.learning_rate / 10)
    tuned = FineTuning(epochs=2).recipe(recipe)
    assert (tuned.average_epochs, tuned.soup) == (3, 2)
    given = replace(context(), training=recipe)
    with pytest.raises(ConfigError, match=r"tune\.average: must be false with training\.average_epochs"):
        step("prune_weights", tune={"average": True}).check(network(), given)
