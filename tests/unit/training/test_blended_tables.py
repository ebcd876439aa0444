"""Mixup of tables with a teacher, which sees the items as they are."""

import numpy as np
import paddle
import pytest

from paddle_automl.compression.copying import copy_of
from paddle_automl.compression.distillation import Distillation, DistillationConfig
from paddle_automl.compression.teachers import NetworkTeacher
from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.learner import Learner
from tests.unit.training.test_solving import data

WIDE = {"backbone": {"name": "wide", "ngram_dropout": 0.0}}


class Plain(Callback):
    """Computes the outputs of the items as they are."""

    def __init__(self, model):
        self.model, self.seen, self.losses = model, [], []

    def loss(self, step, loss):
        with evaluating(self.model), paddle.no_grad():
            self.seen.append((self.model(*step.inputs), step))
        self.losses.append(float(loss))
        return loss


@pytest.mark.parametrize("mixup", [None, 0.5])
def test_what_is_computed_of_the_inputs_can_be_blended_too(mixup):
    """The outputs of this network are linear in the vectors that are blended."""
    given = data(("ngrams", "ngram_weights"))
    model = build_network(validate(ModelConfig, WIDE), given.input, 2, seed=0)
    plain = Plain(model)
    recipe = {"batch_size": 8, "tables": {"learning_rate": 0.5, "mixup": mixup}}
    learner = Learner.on(model, given, validate(TrainingConfig, recipe).for_task(given.task), callbacks=[plain])
    learner.begin(1)
    for batch in list(given.train.batches(8, rng=np.random.default_rng(0)))[:3]:
        inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
        learner.step(inputs, paddle.to_tensor(batch.targets))
    outputs, step = plain.seen[-1]
    np.testing.assert_allclose(step.blended(outputs).numpy(), step.outputs.numpy(), rtol=1e-4, atol=1e-5)
    assert np.allclose(outputs.numpy(), step.outputs.numpy(), atol=1e-3) == (mixup is None)
    np.testing.assert_allclose(
        step.blended(paddle.to_tensor(batch.targets)).numpy(), step.targets.numpy(), atol=1e-6
    )


def test_a_teacher_s_answers_are_blended_like_the_targets():
    """A student that equals its teacher in all items has nothing to learn from it: regression, as it is linear."""
    given = data(("ngrams", "ngram_weights"))
    model = build_network(validate(ModelConfig, WIDE), given.input, 2, seed=0)
    teaching = Distillation(
        DistillationConfig(temperature=1.0, weight=1.0),
        NetworkTeacher(model, given.task),
        model,
        given.input.specs,
        "identity",
    )
    teaching.teacher.soft_targets = lambda inputs, temperature: _outputs(model, inputs)
    recipe = {"batch_size": 8, "optimizer": "sgd", "tables": {"mixup": 0.5}}
    model.backbone.table.weight.set_value(paddle.rand(model.backbone.table.weight.shape))
    learner = Learner.on(model, given, validate(TrainingConfig, recipe).for_task(given.task), callbacks=[teaching])
    learner.begin(1)
    batch = next(iter(given.train.batches(8)))
    inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
    assert float(learner.step(inputs, paddle.to_tensor(batch.targets))) == pytest.approx(0, abs=1e-9)


def test_a_teacher_s_features_are_blended_like_the_student_s():
    given = data(("ngrams", "ngram_weights"))
    backbone = {"name": "bag", "ngram_dropout": 0.0, "dropout": 0.0}
    model = build_network(validate(ModelConfig, {"backbone": backbone}), given.input, 2, seed=0)
    teacher = NetworkTeacher(copy_of(model), given.task)
    config = DistillationConfig(weight=0.0, hints="relations")
    teaching = Distillation(config, teacher, model, given.input.specs)
    recipe = {"batch_size": 8, "optimizer": "sgd", "tables": {"mixup": 0.5}}
    plain = Plain(model)
    callbacks = [plain, teaching, plain]
    learner = Learner.on(model, given, validate(TrainingConfig, recipe).for_task(given.task), callbacks=callbacks)
    learner.begin(1)
    batch = next(iter(given.train.batches(8)))
    inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
    with teaching.watching():
        learner.step(inputs, paddle.to_tensor(batch.targets))
    before, after = plain.losses
    assert after == pytest.approx(before, abs=1e-5)


def _outputs(model, inputs):
    with evaluating(model), paddle.no_grad():
        return model(*inputs)
