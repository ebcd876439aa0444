"""Teachers of other trainings: their normalization, size, colors and order of classes; and relations by hand."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.compression.distillation import Distillation, DistillationConfig, TeachingConfig
from paddle_automl.compression.hints import HINTS
from paddle_automl.compression.teachers import NetworkTeacher, find_teacher
from paddle_automl.compression.views import View
from paddle_automl.core.errors import BundleError, ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.inputs.image.input import ImageInput
from paddle_automl.paddle_compat.slim.distances import relational_loss
from paddle_automl.tasks.base import TASKS, Task
from paddle_automl.training.callback import ForwardPass
from tests.unit.compression.small import SPECS, batch, context, digits, network, tensor, trained


def seen_as(size=(8, 8), channels=1, mean=0.0, std=1.0) -> ImageInput:
    options = {"size": size, "channels": channels, "mean": (mean,) * channels, "std": (std,) * channels}
    return ImageInput(ImageInput.Fitted.model_validate({"name": "image", **options}))


def classes(names) -> Task:
    cls = TASKS["single_label"]
    return cls(cls.Fitted(name="single_label", names=tuple(names)))


def view(theirs, their_names, ours, our_names, what="x") -> View:
    return View((theirs, classes(their_names)), (ours, classes(our_names)), what)


def image(converting: View, images):
    (found,) = converting.inputs([images])
    return found


def test_an_equal_view_changes_nothing():
    same = view(seen_as(), "ab", seen_as(), "ab")
    (x,) = batch(2)
    assert same.inputs([x])[0] is x
    p = tensor([[0.1, 0.9]])
    assert same.outputs(p) is p


def test_normalization_colors_size_and_classes_are_the_teachers():
    grey, color = seen_as(mean=0.5, std=0.25), seen_as((16, 16), 3, mean=0.2, std=0.1)
    pixel = paddle.full([1, 1, 8, 8], (0.75 - 0.5) / 0.25)
    found = image(view(color, "abc", grey, "cab"), pixel)
    assert found.shape == [1, 3, 16, 16]
    np.testing.assert_allclose(found.numpy(), (0.75 - 0.2) / 0.1, rtol=1e-5)
    back = view(grey, "ab", color, "ab")
    pixels = paddle.to_tensor(np.array([0.2, 0.4, 0.6], dtype="float32").reshape(1, 3, 1, 1)).expand([1, 3, 16, 16])
    luminance = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    found = image(back, (pixels - 0.2) / 0.1)
    assert found.shape == [1, 1, 8, 8]
    np.testing.assert_allclose(found.numpy(), (luminance - 0.5) / 0.25, rtol=1e-5)
    ordered = view(grey, "abc", grey, "cab").outputs(tensor([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(ordered.numpy(), [[3.0, 1.0, 2.0]])


def test_a_teacher_sees_its_own_size_while_the_student_sees_less():
    large = view(seen_as((16, 16)), "ab", seen_as((16, 16)), "ab")
    whole, small = paddle.ones([2, 1, 16, 16]), paddle.ones([2, 1, 8, 8])
    assert image(large, whole) is whole
    assert image(large, small).shape == [2, 1, 16, 16]
    assert image(view(seen_as((8, 8)), "ab", seen_as((16, 16)), "ab"), small) is small


def test_other_classes_are_refused():
    with pytest.raises(ConfigError, match=r"teacher: the run r knows 2 classes, not the 3 of the data: c missing"):
        view(seen_as(), "ab", seen_as(), "abc", "the run r")


def test_a_run_without_weights_cannot_teach(tmp_path):
    def missing(folder):
        raise BundleError(f"{folder}: its weights (best.pdparams) are gone")

    with pytest.raises(ConfigError, match=r"teacher: .* no run that can be opened: .*best.pdparams\) are gone"):
        find_teacher([str(tmp_path)], 0, context(load_network=missing))


def test_relations_by_hand():
    """Points on a line, 1 and 2 apart, against three 1 apart each: distances over their means, and cosines."""
    student = paddle.to_tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    teacher = paddle.to_tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, math.sqrt(0.75), 0.0]])
    ours = np.array([[0, 1, 3], [1, 0, 2], [3, 2, 0]]) / (12 / 9)
    theirs = (1 - np.eye(3)) / (6 / 9)
    difference = np.abs(ours - theirs)
    distance = np.where(difference < 1, difference**2 / 2, difference - 0.5).mean()

    def cosines(points):
        directions = points[None] - points[:, None]
        norms = np.linalg.norm(directions, axis=2, keepdims=True)
        unit = directions / np.where(norms == 0, 1, norms)
        return unit @ unit.transpose(0, 2, 1)

    difference = np.abs(cosines(student.numpy()) - cosines(teacher.numpy()))
    angle = np.where(difference < 1, difference**2 / 2, difference - 0.5).mean()
    loss = relational_loss()(student, teacher)
    assert float(loss) == pytest.approx(distance + angle, abs=1e-4)


@pytest.mark.parametrize("hints", sorted(HINTS))
def test_hints_move_a_student_of_the_teachers_own_structure_and_a_smaller_one(hints):
    teacher = trained()
    for width in (16, 8):
        student = network(seed=3, backbone={"name": "resnet", "width": width, "blocks": [1, 1]})
        learned = Distillation(
            DistillationConfig(weight=0.0, hints=hints), NetworkTeacher(teacher, digits().task), student, SPECS
        )
        parameters = [*student.parameters(), *learned.parameters()]
        optimizer = paddle.optimizer.Adam(3e-3, parameters=[p for p in parameters if not p.stop_gradient])
        (x,), losses = batch(16), []
        with learned.watching():
            for _ in range(15):
                features = student.features(x)
                logits = student.head(features)
                loss = learned.loss(ForwardPass((x,), logits.detach(), features, logits), paddle.zeros([]))
                loss.backward()
                assert np.isfinite(student.backbone.stem.conv.conv.weight.grad.numpy()).all()
                optimizer.step()
                optimizer.clear_grad()
                losses.append(float(loss))
        assert losses[-1] < 0.9 * losses[0]


def test_relations_need_features():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ConfigError, match="relations needs a teacher with features"):
        Distillation(DistillationConfig(hints="relations"), NetworkTeacher(flat, digits().task), trained(), SPECS)


def test_one_teacher_may_be_written_without_a_list():
    assert validate(TeachingConfig, {"teacher": "a"}).teacher == ("a",)
    assert not validate(TeachingConfig, {"teacher": "a", "weight": 0.0}).active
    assert validate(TeachingConfig, {"teacher": "a", "weight": 0.0, "hints": "attention"}).active
    with pytest.raises(ConfigError, match="network before a compression"):
        validate(TeachingConfig, {"teacher": ["original"]})
    with pytest.raises(ConfigError, match="teacher"):
        validate(TeachingConfig, {"teacher": []})
