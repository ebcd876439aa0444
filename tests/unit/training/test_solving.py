"""Weights that are computed at once, before the steps of a training or in place of them."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.data.splits import Everything, PreparedData, Split
from paddle_automl.data.stores import ArrayStore
from paddle_automl.inputs.base import INPUTS
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.models.pretrained import load_backbone
from paddle_automl.tasks.base import TASKS, RawTargets
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.fitting import fit_epochs, measure_pace
from paddle_automl.training.learner import Learner, copy_of_weights
from paddle_automl.training.loop import train
from paddle_automl.training.solving import learns, solve

WORDS = {"good": ("clean", "quiet", "friendly"), "bad": ("dirty", "loud", "rude")}
RECIPE = {
    "epochs": 3,
    "batch_size": 8,
    "optimizer": {"name": "adamw", "learning_rate": 0.01},
    "ema": {"decay": 0.5},
}


def texts(count=60):
    rng = np.random.default_rng(0)
    classes = np.arange(count) % 2
    kinds = [WORDS[("bad", "good")[kind]] for kind in classes]
    found = [" ".join([rng.choice(own), *rng.choice([*own, "room", "hotel"], 3)]) for own in kinds]
    return np.array(found, dtype=object), classes


def data(arrays):
    items, classes = texts()
    kind = INPUTS["text"]
    config = kind.Config.model_validate({"name": "text", "ngrams": ["words 1"], "tokens": "none"})
    reader = kind.reader(config, sources=None, items=items)
    given = kind.fit(config, reader, kind.measure(config, reader, [items])).only(arrays)
    raw = RawTargets("classes", classes, ("bad", "good"))
    task = TASKS["single_label"].fit(TASKS["single_label"].Config(name="single_label"), raw)
    everything = Everything(ArrayStore(items), raw, task.encode(raw), given, task, encoded=given.encode(items))
    train_split = Split(everything, np.arange(40))
    return PreparedData(
        train_split,
        train_split.with_indices(np.arange(40, 50)),
        train_split.with_indices(np.arange(50, 60)),
        given,
        task,
    )


def run(backbone, recipe=RECIPE, folder=None, **options):
    config = validate(ModelConfig, {"backbone": backbone})
    given = data(BACKBONES[config.backbone.name].arrays(config.backbone))
    model = build_network(config, given.input, 2, seed=0)
    recipe = validate(TrainingConfig, recipe).for_task(given.task)
    epochs = []
    result = train(
        model,
        given,
        recipe,
        seed=0,
        folder=folder,
        report=lambda epoch, metrics: epochs.append(metrics) or True,
        **options,
    )
    return model, result, epochs


def test_a_solved_network_has_one_epoch_without_steps(tmp_path):
    model, result, epochs = run("linear_ngrams", folder=tmp_path)
    assert not learns(model)
    assert result.only_solved
    assert not model.needs_solution
    assert len(epochs) == result.epochs_run == 1
    assert result.metrics["accuracy"] == 1.0
    assert 0 < epochs[0]["train_loss"] < 0.5
    assert (tmp_path / "best.pdparams").is_file()


def test_a_sum_is_solved_first_and_then_learns_the_rest():
    parts = {"linear": "linear_ngrams", "wide": "wide", "bag": {"name": "bag", "width": 4}}
    model, result, epochs = run({"name": "sum", "parts": parts})
    alone, _, _ = run("linear_ngrams")
    table = model.backbone.parts["linear"].backbone.table.weight.numpy()
    np.testing.assert_allclose(table, alone.backbone.table.weight.numpy(), atol=1e-6)
    assert np.abs(model.backbone.parts["wide"].backbone.table.weight.numpy()).max() > 0.01
    assert len(epochs) == 3
    assert not result.only_solved
    assert result.metrics["accuracy"] == 1.0
    again, _, _ = run({"name": "sum", "parts": parts})
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name].numpy(), tensor.numpy(), err_msg=name)


def test_steps_compute_no_gradient_of_what_is_solved():
    """One of a whole table would take longer than the rest of a step."""
    backbone = {"name": "sum", "parts": {"linear": "linear_ngrams", "wide": "wide"}}
    config = validate(ModelConfig, {"backbone": backbone})
    given = data(BACKBONES["sum"].arrays(config.backbone))
    model = build_network(config, given.input, 2, seed=0)
    learner = Learner.on(model, given, validate(TrainingConfig, RECIPE).for_task(given.task))
    learner.begin(1)
    batch = next(iter(given.train.batches(8)))
    learner.step([paddle.to_tensor(array) for array in batch.inputs.values()], paddle.to_tensor(batch.targets))
    solved, learned = (model.backbone.parts[name].backbone.table for name in ("linear", "wide"))
    assert (solved.weight.grad, solved.bias.grad) == (None, None)
    assert learned.weight.numpy().any()
    learner.finish(copy_of_weights(model))
    assert not solved.weight.stop_gradient
    assert not solved.bias.stop_gradient


def test_both_passes_of_sam_see_the_same_blend_of_a_batch():
    """The gradient of a step must be that of the loss whose gradient chose the point."""

    class Seen(Callback):
        targets: ClassVar = []

        def loss(self, done, loss):
            self.targets.append(done.targets.numpy())
            return loss

    config = validate(ModelConfig, {"backbone": {"name": "bag", "width": 4}})
    given = data(BACKBONES["bag"].arrays(config.backbone))
    model = build_network(config, given.input, 2, seed=0)
    recipe = {**RECIPE, "optimizer": {"name": "sam", "base": "adamw"}, "tables": {"mixup": 0.4}, "ema": None}
    learner = Learner.on(model, given, validate(TrainingConfig, recipe).for_task(given.task), callbacks=[Seen()])
    learner.begin(1)
    batch = next(iter(given.train.batches(8)))
    for _ in range(2):
        learner.step([paddle.to_tensor(array) for array in batch.inputs.values()], paddle.to_tensor(batch.targets))
    first, again, second, _ = Seen.targets
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, batch.targets)


def test_loaded_weights_are_solved_again_from_the_texts_at_hand():
    """As a refit and a fine-tuning need it, which only start from other texts."""
    given = data(("ngrams", "ngram_weights"))
    config, recipe = validate(ModelConfig, {"backbone": "linear_ngrams"}), validate(TrainingConfig, RECIPE)
    model, alone = (build_network(config, given.input, 2, seed=0) for _ in range(2))
    weight = model.backbone.table.weight
    zeros = {name: tensor.numpy() * 0 for name, tensor in model.backbone.state_dict().items()}
    load_backbone(model, zeros, "another run")
    for network in (model, alone):
        train(network, given, recipe.for_task(given.task), seed=0, folder=None)
    assert weight.numpy().any()
    np.testing.assert_array_equal(weight.numpy(), alone.backbone.table.weight.numpy())


def test_it_learns_from_the_validation_split_too_if_asked():
    model, _, _ = run("linear_ngrams", on="train+validation")
    other, _, _ = run("linear_ngrams")
    assert np.abs(model.backbone.table.weight.numpy() - other.backbone.table.weight.numpy()).max() > 1e-4


def test_options_of_steps_do_not_shorten_it_and_balanced_batches_are_refused():
    given = data(("ngrams", "ngram_weights"))
    model = build_network(validate(ModelConfig, {"backbone": "linear_ngrams"}), given.input, 2, seed=0)
    recipe = validate(TrainingConfig, RECIPE).for_task(given.task)
    pace = measure_pace(model, given, recipe)
    assert pace.step_s == 0
    assert fit_epochs(recipe, replace(pace, evaluation_s=10.0), 40, 1.0) is recipe
    with pytest.raises(ConfigError, match=r"training\.sampling: balanced has no effect"):
        run("linear_ngrams", {**RECIPE, "sampling": "balanced"})


def test_intervals_of_a_solved_network_hold_the_share_that_is_asked_for():
    """Ridge regression has the same coefficients for a number and the ends of its interval."""
    items, classes = texts(400)
    rng = np.random.default_rng(1)
    numbers = classes[:, None] * 4.0 + rng.normal(0, [0.5, 2.0], (len(items), 2))
    kind, task = INPUTS["text"], TASKS["regression"]
    config = kind.Config.model_validate({"name": "text", "ngrams": ["words 1"], "tokens": "none"})
    reader = kind.reader(config, sources=None, items=items)
    given = kind.fit(config, reader, kind.measure(config, reader, [items])).only(("ngrams", "ngram_weights"))
    raw = RawTargets("numbers", numbers, ("narrow", "wide"))
    task = task.fit(task.Config(name="regression", interval=0.8), raw)
    everything = Everything(ArrayStore(items), raw, task.encode(raw), given, task, encoded=given.encode(items))
    model = build_network(validate(ModelConfig, {"backbone": "linear_ngrams"}), given, task.outputs, seed=0)
    recipe = validate(TrainingConfig, {}).for_task(task)
    solve(model, Split(everything, np.arange(200)), recipe, seed=0)
    unseen = Split(everything, np.arange(200, 400))
    model.eval()
    with paddle.no_grad():
        raw_outputs = model(*map(paddle.to_tensor, given.batch(items[200:]).values())).numpy()
    outputs = task.final(raw_outputs)
    low, high = task.bounds(outputs)
    inside = ((low <= unseen.codes) & (unseen.codes <= high)).mean(axis=0)
    assert (np.abs(inside - 0.8) < 0.1).all(), inside
    assert (low < task.points(outputs)).all()
    assert (task.points(outputs) < high).all()
    narrow, wide = (high - low).mean(axis=0)
    assert wide > 2 * narrow
