"""Losses against numbers worked out by hand, teachers, and the maps they teach from."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.compression.base import STEPS
from paddle_automl.compression.context import TrainedNetwork, tensors
from paddle_automl.compression.copying import copy_of
from paddle_automl.compression.distillation import Distillation, DistillationConfig, soft_label_loss
from paddle_automl.compression.hints import _attention
from paddle_automl.compression.maps import map_points
from paddle_automl.compression.teachers import BundleTeacher, Ensemble, NetworkTeacher, find_teacher
from paddle_automl.core.errors import ConfigError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.tasks.base import Task
from paddle_automl.training.callback import ForwardPass
from paddle_automl.training.evaluation import evaluate
from tests.unit.compression.small import SPECS, batch, context, digits, narrow, network, tensor, trained


def seen(x, logits) -> ForwardPass:
    return ForwardPass(tuple(x), paddle.zeros_like(logits), logits, logits)


def named(names, target="digit") -> Task:
    """Return the task of the digits with other names."""
    task = digits(target).task
    return type(task)(task.fitted.model_copy(update={"names": tuple(names)}))


def known(model, names="0123456789") -> TrainedNetwork:
    return TrainedNetwork(model, digits().input, named(names))


def distillation(teacher, student, **options) -> Distillation:
    return Distillation(DistillationConfig.model_validate(options), teacher, student, SPECS)


def of_network(model) -> NetworkTeacher:
    return NetworkTeacher(model, digits().task)


def of_bundle(bundle, **changes) -> BundleTeacher:
    return BundleTeacher(bundle.folder, (changes.get("input", digits().input), changes.get("task", digits().task)))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    data = digits()
    folder = tmp_path_factory.mktemp("teacher") / "model"
    folder.mkdir()
    return Bundle.write(
        folder, model=trained(), exporter=DeploymentConfig().exporter, input=data.input, task=data.task
    )


def test_soft_labels_by_hand():
    # Student: softmax([2 ln 3, 0] / 2) = (3/4, 1/4); teacher (1/2, 1/2): KL = 1/2 ln(2/3) + 1/2 ln 2 = ln(4/3) / 2.
    loss = soft_label_loss(tensor([[2 * math.log(3), 0.0]]), tensor([[0.5, 0.5]]), 2.0)
    assert float(loss) == pytest.approx(4 * math.log(4 / 3) / 2, rel=1e-5)
    same = soft_label_loss(tensor([[2 * math.log(3), 0.0]]), tensor([[0.75, 0.25]]), 2.0)
    assert float(same) == pytest.approx(0, abs=1e-6)


def test_the_weight_divides_the_loss():
    teacher, student = of_network(trained()), network(seed=5)
    x, hard = batch(4), tensor(3.0)
    logits = student(*x)
    soft = soft_label_loss(logits, teacher.soft_targets(x, 4.0), 4.0)
    mixed = distillation(teacher, student, weight=0.25).loss(seen(x, logits), hard)
    assert float(mixed) == pytest.approx(0.75 * 3 + 0.25 * float(soft), rel=1e-5)
    assert float(distillation(teacher, student, weight=0.0).loss(seen(x, logits), hard)) == 3.0


def test_a_teacher_gives_softened_probabilities_without_gradient():
    model = trained()
    x = batch(4)
    found = of_network(model).soft_targets(x, 2.0)
    np.testing.assert_allclose(found.numpy(), nn.functional.softmax(model(*x) / 2.0).numpy(), atol=1e-6)
    assert found.stop_gradient


def test_a_bundle_teaches_as_its_network(bundle):
    x = batch(6)
    teacher, expected = of_bundle(bundle), of_network(trained())
    for temperature in (1.0, 4.0):
        np.testing.assert_allclose(
            teacher.soft_targets(x, temperature).numpy(),
            expected.soft_targets(x, temperature).numpy(),
            atol=2e-4,
        )


def test_a_bundle_teaches_in_a_thread_of_its_own(bundle, monkeypatch):
    """Paddle Inference leaves the thread that calls it with one math thread."""
    teacher = of_bundle(bundle)
    session, threads = teacher._session, []
    monkeypatch.setattr(teacher, "_session", lambda x: threads.append(threading.get_ident()) or session(x))
    teacher.soft_targets(batch(2), 1.0)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


def test_the_bundle_beside_a_run_that_cannot_be_read_teaches(bundle):
    def unreadable(folder):
        raise ConfigError(f"{folder}/config.yaml: an option of another version")

    found = find_teacher([str(bundle.folder.parent)], 0, replace(context(), load_network=unreadable))
    assert isinstance(found, BundleTeacher)


def test_a_bundle_normalizes_in_its_own_way(bundle):
    data = digits()
    other = type(data.input)(data.input.fitted.model_copy(update={"mean": (0.0,), "std": (1.0,)}))
    items = data.validation.raw(np.arange(5))
    found = of_bundle(bundle, input=other).soft_targets(tensors(other.batch(items)), 1.0)
    expected = of_bundle(bundle).soft_targets(tensors(data.input.batch(items)), 1.0)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-4)


def test_an_ensemble_is_the_mean():
    first, second = of_network(trained()), of_network(network(seed=9))
    x = batch(3)
    found = Ensemble([first, second]).soft_targets(x, 3.0)
    mean = (first.soft_targets(x, 3.0) + second.soft_targets(x, 3.0)) / 2
    np.testing.assert_allclose(found.numpy(), mean.numpy(), atol=1e-6)


def test_teachers_are_found_by_name(bundle, tmp_path):
    ctx = context(best_networks=lambda count: [known(network(seed=n)) for n in range(count)])
    assert isinstance(find_teacher(["original"], 0, ctx), NetworkTeacher)
    assert isinstance(find_teacher([str(bundle.folder)], 0, ctx), BundleTeacher)
    assert isinstance(find_teacher([str(bundle.folder.parent)], 0, ctx), BundleTeacher)
    ensemble = find_teacher(["original"], 3, ctx)
    assert isinstance(ensemble, Ensemble)
    assert len(ensemble.members) == 4
    run = find_teacher([str(tmp_path)], 0, replace(ctx, load_network=lambda folder: known(network(seed=2))))
    assert isinstance(run, NetworkTeacher)


@pytest.mark.parametrize(
    ("names", "best", "changes", "message"),
    [
        (["nowhere"], 0, {}, "'nowhere' is not a folder"),
        ([], 0, {}, "name at least one"),
        (["original"], 2, {}, "needs a study"),
        (["."], 0, {}, "name a bundle"),
        (["."], 0, {"load_network": lambda folder: known(network(), "abc")}, "3 classes, not the 10 of the data"),
        (
            [],
            1,
            {"best_networks": lambda count: [known(network(), "0123456789x")]},
            "a best trial knows 11 classes, not the 10",
        ),
        (["."], 0, {"load_network": lambda folder: known(network(), "abcdefghij")}, "0, 1, 2, 3, 4 missing"),
    ],
)
def test_teachers_that_cannot_teach(names, best, changes, message):
    with pytest.raises(ConfigError, match=message):
        find_teacher(names, best, context(**changes))


def test_a_bundle_of_other_classes_cannot_teach(bundle):
    with pytest.raises(ConfigError, match=r"not the 3 of the data.*cat, dog, fox missing"):
        of_bundle(bundle, task=named(("cat", "dog", "fox")))


def test_map_points_are_the_last_layers_of_each_resolution():
    points = map_points(network(), SPECS)
    assert [(point.size, point.channels) for point in points] == [((8, 8), 16), ((4, 4), 32)]
    assert points[0].layer.startswith("backbone.stages.0")


def test_attention_by_hand():
    """Maps [1, 2, 1, 2]: squares summed over channels (4, 0) and (0, 9): unit vectors at right angles."""
    teacher, student = Maps([[[2.0, 0.0]], [[0.0, 0.0]]]), Maps([[[0.0, 3.0]], [[0.0, 0.0]]])
    learned = Distillation(
        DistillationConfig(hints="attention", weight=0.0, hint_weight=2.0),
        of_network(teacher),
        student,
        [TensorSpec("image", (1, 1, 2))],
    )
    with learned.watching():
        x = paddle.zeros([1, 1, 1, 2])
        total = learned.loss(seen([x], student(x)), tensor(1.0))
    assert float(total) == pytest.approx(1 + 2 * math.sqrt(2), rel=1e-5)


def test_attention_is_that_of_the_images_as_they_are():
    """A teacher of several views runs on the mirrored images last."""
    teacher, (x,) = trained(), batch(8)
    teacher.test_time_augmentation = "mirror"
    student = copy_of(trained())
    learned = distillation(of_network(teacher), student, hints="attention", weight=0.0)
    with learned.watching():
        assert float(learned.loss(seen([x], student(x)), tensor(0.0))) == pytest.approx(0, abs=1e-4)


def test_fitnets_regressor_learns():
    teacher, student = trained(), narrow(seed=3)
    learned = distillation(of_network(teacher), student, hints="fitnets", weight=0.0)
    x = batch(8)
    losses = []
    optimizer = paddle.optimizer.Momentum(0.05, parameters=list(learned.parameters()))
    with learned.watching():
        for _ in range(30):
            loss = learned.loss(seen(x, student(*x)), tensor(0.0))
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            losses.append(float(loss))
    assert losses[-1] < 0.9 * losses[0]
    assert not any(layer._forward_post_hooks for model in (teacher, student) for layer in model.sublayers())


def test_hints_need_a_network_with_maps_of_the_same_size(bundle):
    with pytest.raises(ConfigError, match="must be one network"):
        distillation(of_bundle(bundle), trained(), hints="fitnets")
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ConfigError, match="no feature maps of the same size"):
        distillation(of_network(flat), trained(), hints="attention")


def test_a_new_smaller_student_learns():
    options = {
        "name": "distill",
        "student": {"backbone": {"name": "resnet", "width": 8, "blocks": [1, 1]}},
        "method": {"hints": "fitnets"},
    }
    step = STEPS["distill"](STEPS["distill"].Config.model_validate(options))
    assert step.gain == "cost"
    model = trained()
    student = step.apply(model, context()).model
    assert student.feature_dim == 16
    assert evaluate(student, digits().validation, ["accuracy"])["accuracy"] > 0.7


class Maps(nn.Layer):
    """A network whose one feature map is the same for every image."""

    def __init__(self, values):
        super().__init__()
        self.conv = nn.Conv2D(1, 2, 1)
        self.conv.weight.set_value(paddle.zeros([2, 1, 1, 1]))
        self.add = Plus(np.asarray(values, dtype="float32")[None])

    def forward(self, x):
        return self.add(self.conv(x) * 0).flatten(1)


class Plus(nn.Layer):
    def __init__(self, values):
        super().__init__()
        self.values = paddle.to_tensor(values)

    def forward(self, x):
        return x + self.values


def test_attention_of_a_map_of_zeros_has_a_finite_gradient():
    """A ReLU may leave nothing of an item."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 3, 4, 4)).astype("float32")
    values[0] = -1.0
    before = paddle.to_tensor(values, stop_gradient=False)
    found = _attention(nn.functional.relu(before))
    (found - tensor(rng.uniform(size=(2, 16)).astype("float32"))).square().mean().backward()
    gradient = before.grad.numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[0].any()
    assert gradient[1].any()
    np.testing.assert_allclose(found.square().sum(axis=1).numpy(), [0, 1], atol=1e-5)
