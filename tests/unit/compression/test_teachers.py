"""Teachers of labels and numbers: soft targets, losses by hand, other orders, other units, intervals."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

from paddle_automl.compression.base import STEPS
from paddle_automl.compression.chain import compress
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.context import TrainedNetwork
from paddle_automl.compression.distillation import (
    Distillation,
    DistillationConfig,
    distillation_of,
    soft_label_loss,
    soft_multi_label_loss,
    soft_target_loss,
)
from paddle_automl.compression.teachers import BundleTeacher, Ensemble, NetworkTeacher, find_teacher, raw_of
from paddle_automl.compression.views import View
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.tasks.base import TASKS, Final, Task
from paddle_automl.training.callback import ForwardPass
from paddle_automl.training.evaluation import evaluate
from tests.unit.compression.small import SPECS, batch, context, digits, narrow, network, tensor, trained

OTHERS = ["digit_and_parity", "value"]


def regression(names=("a", "b"), mean=(0.0, 0.0), scale=(1.0, 1.0), interval=None) -> Task:
    cls = TASKS["regression"]
    return cls(cls.Fitted(name="regression", names=names, mean=mean, scale=scale, interval=interval))


def labels(names) -> Task:
    cls = TASKS["multi_label"]
    return cls(cls.Fitted(name="multi_label", names=tuple(names), thresholds=(0.5,) * len(names)))


class Fixed(paddle.nn.Layer):
    """A network with the same raw outputs for every item."""

    def __init__(self, raw):
        super().__init__()
        self.raw = tensor([raw])

    def forward(self, x):
        return self.raw.expand([x.shape[0], -1])


def taught(theirs: Task, ours: Task, raw, temperature=1.0) -> list[float]:
    """Return the soft targets that a network of another training gives for raw outputs."""
    data = digits()
    teacher = NetworkTeacher(Fixed(raw), ours, View((data.input, theirs), (data.input, ours), "x"))
    return teacher.soft_targets(batch(1), temperature).numpy()[0].tolist()


def bundle_of(model, data, folder):
    folder.mkdir()
    exporter = DeploymentConfig().exporter
    return Bundle.write(folder, model=model, exporter=exporter, input=data.input, task=data.task)


def test_soft_targets_of_labels_by_hand():
    # sigmoid(2 ln 3 / 2) = 3/4 against 1/2: KL = 1/2 ln(2/3) + 1/2 ln 2 = ln(4/3) / 2; half as mean of two labels.
    student, teacher = tensor([[2 * math.log(3), 0.0]]), tensor([[0.5, 0.5]])
    loss = soft_multi_label_loss(student, teacher, 2.0)
    assert float(loss) == pytest.approx(4 * math.log(4 / 3) / 4, rel=1e-5)
    assert float(soft_multi_label_loss(student, tensor([[0.75, 0.5]]), 2.0)) == pytest.approx(0, abs=1e-6)
    assert float(soft_target_loss(student, teacher, 2.0, "sigmoid")) == float(loss)
    assert np.isfinite(float(soft_multi_label_loss(tensor([[90.0, -90.0]]), tensor([[1.0, 0.0]]), 1.0)))


def test_a_label_is_a_choice_between_two_classes():
    """softmax([z, 0]) = (sigmoid(z), 1 - sigmoid(z)): both losses are the same divergence."""
    raw, probabilities = np.array([[1.3], [-0.4]]), np.array([[0.2], [0.9]])
    of_label = soft_multi_label_loss(tensor(raw), tensor(probabilities), 3.0)
    of_classes = soft_label_loss(
        tensor(np.hstack([raw, 0 * raw])), tensor(np.hstack([probabilities, 1 - probabilities])), 3.0
    )
    assert float(of_label) == pytest.approx(float(of_classes), rel=1e-5)


def test_soft_targets_of_numbers_are_compared_by_the_mean_square():
    loss = soft_target_loss(tensor([[1.0, 2.0]]), tensor([[0.0, 4.0]]), 4.0, "identity")
    assert float(loss) == 2.5


@pytest.mark.parametrize(
    ("final", "raw"),
    [
        (Final("sigmoid"), [[-2.0, 0.5, 3.0]]),
        (Final("identity", scale=(2.0, 3.0, 4.0), shift=(1.0, 0.0, -1.0)), [[-2.0, 0.5, 3.0]]),
        (Final("softmax"), [[math.log(0.2), math.log(0.3), math.log(0.5)]]),
    ],
)
def test_raw_outputs_are_found_again(final, raw):
    found = raw_of(tensor(final(np.array(raw))), final)
    np.testing.assert_allclose(found.numpy(), raw, rtol=1e-5)


def test_certain_outputs_have_finite_raw_ones():
    assert np.isfinite(raw_of(tensor([[0.0, 1.0]]), Final("sigmoid")).numpy()).all()
    assert np.isfinite(raw_of(tensor([[0.0, 1.0]]), Final("softmax")).numpy()).all()


@pytest.mark.parametrize("target", OTHERS)
def test_a_bundle_teaches_as_its_network(target, tmp_path):
    data = digits(target)
    bundle = bundle_of(trained(target), data, tmp_path / "model")
    teacher = BundleTeacher(bundle.folder, (data.input, data.task))
    expected = NetworkTeacher(trained(target), data.task)
    for temperature in (1.0, 4.0):
        np.testing.assert_allclose(
            teacher.soft_targets(batch(6), temperature).numpy(),
            expected.soft_targets(batch(6), temperature).numpy(),
            atol=2e-4,
        )


def test_a_network_gives_softened_labels_and_standardized_numbers():
    x = batch(3)
    model = trained("digit_and_parity")
    found = NetworkTeacher(model, digits("digit_and_parity").task).soft_targets(x, 2.0)
    np.testing.assert_allclose(found.numpy(), 1 / (1 + np.exp(-model(*x).numpy() / 2)), atol=1e-5)
    model = trained("value")
    found = NetworkTeacher(model, digits("value").task).soft_targets(x, 2.0)
    np.testing.assert_allclose(found.numpy(), model(*x).numpy(), atol=1e-5)
    assert found.stop_gradient


def test_labels_of_another_order():
    assert taught(labels("ab"), labels("ba"), [0.0, 2 * math.log(3)], 2.0) == pytest.approx([0.75, 0.5])


def test_numbers_of_another_order_and_standardization():
    """Raw (1, 2) of (a, b) are a = 2 * 1 + 10 = 12, b = 4 * 2 + 20 = 28; ours are (28 - 8) / 5 and (12 - 2) / 2."""
    theirs = regression(("a", "b"), mean=(10.0, 20.0), scale=(2.0, 4.0))
    ours = regression(("b", "a"), mean=(8.0, 2.0), scale=(5.0, 2.0))
    assert taught(theirs, ours, [1.0, 2.0]) == pytest.approx([4.0, 5.0])


def test_numbers_of_another_order_with_the_same_scales_by_place():
    theirs = regression(("a", "b"), scale=(1.0, 2.0))
    ours = regression(("b", "a"), scale=(1.0, 2.0))
    # a = 3, b = 2 * 5 = 10.
    assert taught(theirs, ours, [3.0, 5.0]) == pytest.approx([10.0, 1.5])


def test_intervals_are_taught_too():
    theirs = regression(("a", "b"), mean=(1.0, 0.0), scale=(2.0, 1.0), interval=0.8)
    ours = regression(("b", "a"), interval=0.8)
    found = taught(theirs, ours, [0.0, 5.0, -1.0, 4.0, 1.0, 6.0])
    assert found == pytest.approx([5.0, 1.0, 4.0, -1.0, 6.0, 3.0])


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        (labels("ab"), labels("abc"), "x knows 2 labels, not the 3 of the data: c missing.*of the same labels"),
        (regression(), regression(("a", "c")), "x knows 2 columns, not the 2 of the data: c missing"),
        (regression(interval=0.8), regression(), "x was trained with other options of the task regression"),
        (
            regression(interval=0.8),
            regression(interval=0.9),
            "x was trained with other options of the task regression",
        ),
        (labels("ab"), regression(), "x was trained for the task multi_label, not for regression"),
    ],
)
def test_teachers_of_other_tasks_are_refused(theirs, ours, message):
    data = digits()
    with pytest.raises(ConfigError, match=f"teacher: {message}"):
        View((data.input, theirs), (data.input, ours), "x")


class Words:
    """Stands in for an input that is not an image."""

    name, specs = "words", ()

    def same_items(self, other):
        return other is self


def test_other_inputs_than_images_must_be_the_same():
    words, task = Words(), digits().task
    x = batch(2)
    assert View((words, task), (words, task), "x").inputs(x) == x
    for theirs in (Words(), digits().input):
        message = f"x takes {theirs.name} input that differs from the words input of the data"
        with pytest.raises(ConfigError, match=message):
            View((theirs, task), (words, task), "x")


@pytest.mark.parametrize("target", OTHERS)
def test_an_ensemble_of_all_kinds_teaches_a_smaller_student(target, tmp_path):
    data = digits(target)
    bundle_of(trained(target), data, tmp_path / "model")
    other = TrainedNetwork(trained(target), data.input, context(target).task)
    ctx = context(target, best_networks=lambda count: [other] * count)
    teacher = find_teacher(["original", str(tmp_path / "model")], 1, ctx)
    assert isinstance(teacher, Ensemble)
    assert len(teacher.members) == 3
    one = NetworkTeacher(trained(target), ctx.task).soft_targets(batch(4), 4.0)
    np.testing.assert_allclose(teacher.soft_targets(batch(4), 4.0).numpy(), one.numpy(), atol=2e-4)
    options = {
        "name": "distill",
        "teacher": ["original", str(tmp_path / "model")],
        "best_trials": 1,
        "student": {"backbone": {"name": "resnet", "width": 8, "blocks": [1, 1]}},
    }
    speed = {"batch_sizes": [1], "gate_batch_size": 4, "rounds": 2, "runs": 1}
    chosen = validate(CompressionConfig, {"steps": [options], "speed": speed, "max_drop": 0.5})
    before, student = compress(trained(target), chosen, ctx).steps
    assert student.kept, student.reason
    assert student.parameters < 0.5 * before.parameters
    assert student.score > 0.6


@pytest.mark.parametrize("hints", ["none", "fitnets", "attention", "relations"])
@pytest.mark.parametrize("target", OTHERS)
def test_students_come_closer_to_their_teacher(target, hints):
    ctx, student = context(target), narrow(seed=3, target=target)
    teacher = NetworkTeacher(trained(target), ctx.task)
    learned = distillation_of(DistillationConfig(hints=hints, weight=1.0), teacher, student, ctx)
    parameters = [p for p in [*student.parameters(), *learned.parameters()] if not p.stop_gradient]
    optimizer = paddle.optimizer.Adam(3e-3, parameters=parameters)
    x, losses = batch(16, target), []
    with learned.watching():
        for _ in range(15):
            features = student.features(*x)
            raw = student.head(features)
            loss = learned.loss(ForwardPass(tuple(x), raw.detach(), features, raw), paddle.zeros([]))
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            losses.append(float(loss))
    assert losses[-1] < 0.9 * losses[0]
    assert losses[-1] >= 0


def test_the_weight_divides_the_loss_of_numbers_too():
    ctx, student = context("value"), network(seed=1, target="value")
    learned = Distillation(
        DistillationConfig(weight=0.25), NetworkTeacher(trained("value"), ctx.task), student, SPECS, "identity"
    )
    x = batch(4)
    raw = student(*x)
    soft = float((raw - trained("value")(*x)).square().mean())
    loss = learned.loss(ForwardPass(tuple(x), raw, raw, raw), tensor(3.0))
    assert float(loss) == pytest.approx(0.75 * 3 + 0.25 * soft, rel=1e-4)


@pytest.mark.parametrize("target", OTHERS)
def test_a_network_learns_on_from_itself(target):
    step = STEPS["distill"](STEPS["distill"].Config.model_validate({"name": "distill", "tune": {"epochs": 2}}))
    model = step.apply(trained(target), context(target)).model
    data, key = context(target).data, context(target).task.metrics[0]
    before, after = (evaluate(item, data.validation, [key])[key] for item in (trained(target), model))
    assert after > before - 0.02
