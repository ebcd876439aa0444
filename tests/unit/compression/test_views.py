"""Teachers of other trainings: their normalization, size, colours and order of classes; and relations by hand."""

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
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.paddle_compat.slim.distances import relational_loss
from paddle_automl.training.guide import ForwardPass
from tests.unit.compression.small import SHAPE, context, images, network, trained


def seen_as(size=(8, 8), channels=1, mean=0.0, std=1.0) -> Preprocess:
    return Preprocess(image_size=size, channels=channels, mean=(mean,) * channels, std=(std,) * channels)


def test_an_equal_view_changes_nothing():
    view = View(seen_as(), "ab", seen_as(), "ab", "x")
    x = paddle.to_tensor(images(2))
    assert view.images(x) is x
    p = paddle.to_tensor([[0.1, 0.9]])
    assert view.classes(p) is p


def test_normalization_colours_size_and_classes_are_the_teachers():
    grey, colour = seen_as(mean=0.5, std=0.25), seen_as((16, 16), 3, mean=0.2, std=0.1)
    pixel = paddle.full([1, 1, 8, 8], (0.75 - 0.5) / 0.25)
    found = View(colour, "abc", grey, "cab", "x").images(pixel)
    assert found.shape == [1, 3, 16, 16]
    np.testing.assert_allclose(found.numpy(), (0.75 - 0.2) / 0.1, rtol=1e-5)
    back = View(grey, "ab", colour, "ab", "x")
    pixels = paddle.to_tensor(np.array([0.2, 0.4, 0.6], dtype="float32").reshape(1, 3, 1, 1)).expand([1, 3, 16, 16])
    luminance = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    found = back.images((pixels - 0.2) / 0.1)
    assert found.shape == [1, 1, 8, 8]
    np.testing.assert_allclose(found.numpy(), (luminance - 0.5) / 0.25, rtol=1e-5)
    ordered = View(grey, "abc", grey, "cab", "x").classes(paddle.to_tensor([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(ordered.numpy(), [[3.0, 1.0, 2.0]])


def test_a_teacher_sees_its_own_size_while_the_student_sees_less():
    view = View(seen_as((16, 16)), "ab", seen_as((16, 16)), "ab", "x")
    whole, small = paddle.ones([2, 1, 16, 16]), paddle.ones([2, 1, 8, 8])
    assert view.images(whole) is whole
    assert view.images(small).shape == [2, 1, 16, 16]
    assert View(seen_as((8, 8)), "ab", seen_as((16, 16)), "ab", "x").images(small) is small


def test_other_classes_are_refused():
    with pytest.raises(ConfigError, match=r"teacher: the run r knows 2 classes, not the 3 of the data: c missing"):
        View(seen_as(), "ab", seen_as(), "abc", "the run r")


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
        guide = Distillation(DistillationConfig(weight=0.0, hints=hints), NetworkTeacher(teacher), student, SHAPE)
        parameters = [*student.parameters(), *guide.parameters()]
        optimizer = paddle.optimizer.Adam(3e-3, parameters=[p for p in parameters if not p.stop_gradient])
        x, losses = paddle.to_tensor(images(16)), []
        with guide.watching():
            for _ in range(15):
                features = student.features(x)
                logits = student.head(features)
                loss = guide.loss(ForwardPass(x, logits.detach(), features, logits), paddle.zeros([]))
                loss.backward()
                assert np.isfinite(student.backbone.stem.conv.conv.weight.grad.numpy()).all()
                optimizer.step()
                optimizer.clear_grad()
                losses.append(float(loss))
        assert losses[-1] < 0.9 * losses[0]


def test_relations_need_features():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ConfigError, match="relations needs a teacher with features"):
        Distillation(DistillationConfig(hints="relations"), NetworkTeacher(flat), trained(), SHAPE)


def test_one_teacher_may_be_written_without_a_list():
    assert validate(TeachingConfig, {"teacher": "a"}).teacher == ("a",)
    assert not validate(TeachingConfig, {"teacher": "a", "weight": 0.0}).active
    assert validate(TeachingConfig, {"teacher": "a", "weight": 0.0, "hints": "attention"}).active
    with pytest.raises(ConfigError, match="network before a compression"):
        validate(TeachingConfig, {"teacher": ["original"]})
    with pytest.raises(ConfigError, match="teacher"):
        validate(TeachingConfig, {"teacher": []})
