"""Every loss against its contract, and our own against their formulas."""

import math
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.tasks.base import TASKS, RawTargets
from paddle_automl.testing.losses import LossContract, value
from paddle_automl.training.losses.base import LOSSES

CLASSES = [LOSSES[name] for name in LOSSES.names()]
SINGLE = [cls.name for cls in CLASSES if "single_label" in cls.tasks]


@pytest.mark.parametrize("plugin", [cls for cls in CLASSES if cls.name != "mse_one_hot"], ids=lambda cls: cls.name)
class TestLosses(LossContract):
    def tasks(self, plugin):
        found = super().tasks(plugin)
        if plugin.name == "quantile":
            found.append(regression(interval=0.8, names=("u", "v")))
        return found


@pytest.mark.parametrize("plugin", [LOSSES["mse_one_hot"]], ids=lambda cls: cls.name)
class TestMseOneHot(LossContract):
    # The contract's surest right answer is 5; with the height 1 it would be far too sure.
    options: ClassVar = {"height": 6.0, "weight": 1.5}


def regression(interval=None, names=("u",)):
    values = np.array([[0.0] * len(names), [2.0] * len(names)])
    kind = TASKS["regression"]
    raw = RawTargets("numbers", values, names)
    task = kind.fit(kind.Config(name="regression", interval=interval), raw)
    return task, task.encode(raw)


def task_of(name, count):
    kind = TASKS[name]
    names = tuple(f"name {index}" for index in range(count))
    if name == "single_label":
        return kind.fit(kind.Config(name=name), RawTargets("classes", np.arange(count), names))
    if name == "multi_label":
        return kind.fit(
            kind.Config(name=name), RawTargets("labels", np.eye(count + 1, count, dtype=np.uint8), names)
        )
    return regression(names=names)[0]


def make(name, count, *, features=1, task=None, weights=None, **options):
    cls = LOSSES[name]
    if task is None:
        kind = next(kind for kind in ("single_label", "multi_label", "regression") if kind in cls.tasks)
        task = task_of(kind, count)
    weights = None if weights is None else paddle.to_tensor(weights, dtype="float32")
    return cls(cls.Config(name=name, **options), task=task, feature_dim=features, class_weights=weights)


def cost(loss, outputs, targets, features=None):
    features = np.zeros((len(outputs), loss.feature_dim)) if features is None else features
    return value(loss, outputs, features, targets)


@pytest.mark.parametrize("name", SINGLE)
def test_equal_weights_of_classes_change_nothing_whatever_their_size(name):
    outputs, targets = np.random.default_rng(0).normal(size=(4, 3)), np.eye(3)[[0, 1, 2, 1]]
    assert cost(make(name, 3, weights=[2.0] * 3), outputs, targets) == pytest.approx(
        cost(make(name, 3), outputs, targets), rel=1e-5
    )


@pytest.mark.parametrize("name", SINGLE)
def test_a_class_of_weight_zero_does_not_count(name):
    loss, targets = make(name, 3, weights=[1.0, 1.0, 0.0]), np.eye(3)[[0, 1, 2, 1]]
    outputs = np.random.default_rng(0).normal(size=(4, 3))
    changed = outputs.copy()
    changed[2] = [5.0, -3.0, 1.0]
    assert cost(loss, changed, targets) == pytest.approx(cost(loss, outputs, targets), rel=1e-5)


def test_cross_entropy_by_hand():
    # softmax of (0, log 3) is (1/4, 3/4).
    outputs = np.array([[0.0, math.log(3)]])
    plain = make("cross_entropy", 2)
    assert cost(plain, outputs, [[1, 0]]) == pytest.approx(math.log(4))
    assert cost(plain, outputs, [[0.5, 0.5]]) == pytest.approx(0.5 * math.log(4) + 0.5 * math.log(4 / 3))
    smooth = make("cross_entropy", 2, label_smoothing=0.2)
    assert cost(smooth, outputs, [[1, 0]]) == pytest.approx(0.9 * math.log(4) + 0.1 * math.log(4 / 3))


def test_class_weights_by_hand():
    weighted = make("cross_entropy", 2, weights=[3.0, 1.0])
    outputs = np.array([[0.0, math.log(3)], [0.0, math.log(3)]])
    # (3 log 4 + 1 log 4/3) / (3 + 1)
    expected = (3 * math.log(4) + math.log(4 / 3)) / 4
    assert cost(weighted, outputs, np.eye(2)) == pytest.approx(expected)
    reference = paddle.nn.CrossEntropyLoss(weight=paddle.to_tensor([3.0, 1.0]))(
        paddle.to_tensor(outputs.astype("float32")), paddle.to_tensor([0, 1])
    )
    assert float(reference) == pytest.approx(expected)


def test_focal_by_hand():
    outputs = np.array([[0.0, math.log(3)]])
    for gamma, expected in ((0.0, math.log(4)), (2.0, 0.75**2 * math.log(4)), (0.5, 0.75**0.5 * math.log(4))):
        assert cost(make("focal", 2, gamma=gamma), outputs, [[1, 0]]) == pytest.approx(expected, rel=1e-5)


def test_center_loss_by_hand():
    loss = make("center_loss", 2, features=2, weight=0.1, center_rate=0.5)
    outputs = np.zeros((3, 2))
    features = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
    targets = np.array([[1, 0], [1, 0], [0, 1]])
    # Centres at zero: (25 + 1 + 4) / 2 / 3 images = 5.
    assert cost(loss, outputs, targets, features) == pytest.approx(math.log(2) + 0.1 * 5.0)
    loss.after_step()
    # c_0 = 0.5 (3 + 1, 4 + 0) / (1 + 2), c_1 = 0.5 (0, 2) / (1 + 1).
    np.testing.assert_allclose(loss.centers.numpy(), [[2 / 3, 2 / 3], [0, 0.5]], rtol=1e-6)
    distances = (7 / 3) ** 2 + (10 / 3) ** 2 + (1 / 3) ** 2 + (2 / 3) ** 2 + 1.5**2
    assert cost(loss, outputs, targets, features) == pytest.approx(math.log(2) + 0.1 * distances / 6, rel=1e-6)
    before = loss.centers.numpy()
    loss.after_step()
    change = np.array([[2 * 2 / 3 - 4, 2 * 2 / 3 - 4], [0, 0.5 - 2]]) / np.array([[3], [2]])
    np.testing.assert_allclose(loss.centers.numpy(), before - 0.5 * change, rtol=1e-5)
    loss.after_step()
    np.testing.assert_allclose(loss.centers.numpy(), before - 0.5 * change, rtol=1e-5)


def test_center_loss_pulls_features_to_their_centres():
    loss = make("center_loss", 2, weight=1.0, center_rate=1.0)
    loss.centers.set_value(paddle.to_tensor([[1.0], [-1.0]]))
    features = paddle.to_tensor([[3.0]], stop_gradient=False)
    loss(paddle.zeros([1, 2]), features, paddle.to_tensor([[1.0, 0.0]])).backward()
    # d L_C / d x = x - c (eq. 3).
    assert features.grad.numpy() == pytest.approx(np.array([[2.0]]))
    loss.eval()
    cost(loss, np.zeros((1, 2)), [[1, 0]], np.ones((1, 1)))
    centers = loss.centers.numpy()
    loss._seen = None
    loss.after_step()
    assert np.array_equal(loss.centers.numpy(), centers)


def test_binary_cross_entropy_by_hand():
    # sigmoid of log 3 is 3/4.
    outputs, targets = np.array([[0.0, math.log(3)]]), [[1, 0]]
    plain = (math.log(2) + math.log(4)) / 2
    assert cost(make("binary_cross_entropy", 2), outputs, targets) == pytest.approx(plain)
    weighted = make("binary_cross_entropy", 2, weights=[3.0, 5.0])
    assert cost(weighted, outputs, targets) == pytest.approx((3 * math.log(2) + math.log(4)) / 2)
    smooth = make("binary_cross_entropy", 2, label_smoothing=0.2)
    expected = (math.log(2) + 0.9 * math.log(4) + 0.1 * math.log(4 / 3)) / 2
    assert cost(smooth, outputs, targets) == pytest.approx(expected)
    reference = paddle.nn.BCEWithLogitsLoss(pos_weight=paddle.to_tensor([3.0, 5.0]))(
        *(paddle.to_tensor(np.asarray(item, "float32")) for item in (outputs, targets))
    )
    assert cost(weighted, outputs, targets) == pytest.approx(float(reference), rel=1e-6)


def test_asymmetric_by_hand():
    # p = (1/2, 3/4, 1/40): one label that applies, two that do not, of which one lies below the margin.
    outputs, targets = np.array([[0.0, math.log(3), -math.log(39)]]), [[1, 0, 0]]
    shifted = 0.75 - 0.05
    negative = -(shifted**4) * math.log(1 - shifted)
    assert cost(make("asymmetric", 3), outputs, targets) == pytest.approx((math.log(2) + negative) / 3, rel=1e-5)
    options = {"gamma_positive": 1.0, "gamma_negative": 2.0, "margin": 0.0}
    expected = 0.5 * math.log(2) + 0.75**2 * math.log(4) - (1 / 40) ** 2 * math.log(39 / 40)
    assert cost(make("asymmetric", 3, **options), outputs, targets) == pytest.approx(expected / 3, rel=1e-5)
    same = make("asymmetric", 3, gamma_positive=0.0, gamma_negative=0.0, margin=0.0, weights=[3.0, 1.0, 1.0])
    binary = make("binary_cross_entropy", 3, weights=[3.0, 1.0, 1.0])
    assert cost(same, outputs, targets) == pytest.approx(cost(binary, outputs, targets), rel=1e-5)


def cosine_head(scale, bias=0.0):
    return SimpleNamespace(fc=SimpleNamespace(scale=paddle.to_tensor([scale]), bias=paddle.to_tensor(bias)))


def test_arcface_by_hand():
    loss = make("arcface", 3, margin=0.3)
    loss.attach(cosine_head(4.0))
    angles = np.array([[0.5, 1.2, 2.0]])
    logits = 4 * np.cos(angles + np.array([0.3, 0, 0]))
    expected = math.log(np.exp(logits).sum()) - logits[0, 0]
    assert cost(loss, 4 * np.cos(angles), [[1, 0, 0]]) == pytest.approx(expected, rel=1e-5)
    # Without a margin, and beyond 180 degrees.
    plain = make("arcface", 3, margin=0.0)
    outputs = 10 * np.cos(angles)
    assert cost(plain, outputs, [[0, 1, 0]]) == pytest.approx(
        cost(make("cross_entropy", 3), outputs, [[0, 1, 0]]), rel=1e-5
    )
    logits = 4 * np.array([math.cos(3.0) - 0.3 * math.sin(0.3), 1.0, 0.0])
    expected = math.log(np.exp(logits).sum()) - logits[0]
    assert cost(loss, [[4 * math.cos(3.0), 4.0, 0.0]], [[1, 0, 0]]) == pytest.approx(expected, rel=1e-4)


def test_arcface_widens_the_angle_whatever_the_bias():
    """With the bias it would take the cosine of a common class for one beyond 1, which has no gradient."""
    loss, bias = make("arcface", 3, margin=0.3), np.array([2.0, 0.0, -1.0], "float32")
    loss.attach(cosine_head(4.0, bias))
    angles = np.array([[0.1, 1.2, 2.0]])
    logits = 4 * np.cos(angles + np.array([0.3, 0, 0])) + bias
    expected = math.log(np.exp(logits).sum()) - logits[0, 0]
    outputs = paddle.to_tensor((4 * np.cos(angles) + bias).astype("float32"), stop_gradient=False)
    found = loss(outputs, paddle.zeros([1, 1]), paddle.to_tensor([[1.0, 0.0, 0.0]]))
    found.backward()
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert (outputs.grad.numpy() != 0).all()


def test_arcface_needs_cosines():
    loss = make("arcface", 3)
    with pytest.raises(ConfigError, match=r"training\.loss: arcface .* set model\.head: cosine"):
        loss.attach(paddle.nn.Linear(2, 3))
    loss.attach(cosine_head(2.0))
    assert not list(loss.parameters())


def test_mse_of_classes_by_hand():
    outputs, targets = np.array([[1.0, 0.5], [0.0, 3.0]]), np.eye(2)
    assert cost(make("mse_one_hot", 2), outputs, targets) == pytest.approx((0.25 + 4) / 4)
    scaled = make("mse_one_hot", 2, height=2.0, weight=3.0)
    assert cost(scaled, outputs, targets) == pytest.approx((3 + 0.25 + 3) / 4)
    weighted = make("mse_one_hot", 2, weights=[3.0, 1.0])
    assert cost(weighted, outputs, targets) == pytest.approx((3 * 0.25 / 2 + 4 / 2) / 4)


def test_errors_of_numbers_by_hand():
    outputs, targets = np.array([[1.0, 0.5], [4.0, 0.0]]), [[0.0, 0.5], [1.0, -0.5]]
    # Differences 1, 0, 3, 0.5.
    assert cost(make("mse", 2), outputs, targets) == pytest.approx((1 + 9 + 0.25) / 4)
    assert cost(make("mae", 2), outputs, targets) == pytest.approx(4.5 / 4)
    assert cost(make("huber", 2), outputs, targets) == pytest.approx((0.5 + 2.5 + 0.125) / 4)
    assert cost(make("huber", 2, delta=2.0), outputs, targets) == pytest.approx((0.5 + 4.0 + 0.125) / 4)


def test_quantiles_by_hand():
    task, _ = regression(interval=0.8)
    loss = make("quantile", 1, task=task)
    # Point, lower and upper end of the levels 0.5, 0.1 and 0.9.
    assert cost(loss, [[1.0, -1.0, 2.0]], [[0.0] * 3]) == pytest.approx((0.5 + 0.1 + 0.1 * 2) / 3, rel=1e-5)
    assert cost(loss, [[-1.0, 1.0, -2.0]], [[0.0] * 3]) == pytest.approx((0.5 + 0.9 + 0.9 * 2) / 3, rel=1e-5)
    median = make("quantile", 1, task=regression()[0])
    assert cost(median, [[3.0]], [[1.0]]) == pytest.approx(1.0)


def test_the_quantile_loss_has_its_minimum_at_the_quantiles():
    task, _ = regression(interval=0.5)
    loss = make("quantile", 1, task=task)
    targets = paddle.linspace(0, 1, 101).reshape([101, 1]).expand([101, 3])
    outputs = paddle.zeros([1, 3])
    outputs.stop_gradient = False
    for _ in range(400):
        loss(outputs.expand([101, 3]), paddle.zeros([101, 1]), targets).backward()
        outputs = (outputs - 0.06 * outputs.grad).detach()
        outputs.stop_gradient = False
    assert outputs.numpy() == pytest.approx(np.array([[0.5, 0.25, 0.75]]), abs=0.03)


def test_which_loss_trains_which_task():
    def fitting(task):
        return sorted(cls.name for cls in CLASSES if cls.trains(task))

    assert fitting(task_of("single_label", 2)) == [
        "arcface", "center_loss", "cross_entropy", "focal", "mse_one_hot"
    ]  # fmt: skip
    assert fitting(task_of("multi_label", 2)) == ["asymmetric", "binary_cross_entropy"]
    assert fitting(task_of("regression", 2)) == ["huber", "mae", "mse", "quantile"]
    # A loss of differences would pull all three numbers to the same place.
    assert fitting(regression(interval=0.8)[0]) == ["quantile"]


@pytest.mark.parametrize("name", ["cross_entropy", "center_loss"])
def test_smoothed_items_have_the_weight_of_their_own_class(name):
    """Otherwise the best answer for an item of a common class would be a rare one."""
    weighted = make(name, 3, weights=[0.5, 4.5, 50.0], label_smoothing=0.2)
    targets = np.eye(3, dtype="float32")[:2]
    best = paddle.to_tensor(np.log(0.8 * targets + 0.2 / 3), stop_gradient=False)
    weighted(best, paddle.zeros([2, 1]), paddle.to_tensor(targets)).backward()
    np.testing.assert_allclose(best.grad.numpy(), 0, atol=1e-6)
    plain, outputs = make(name, 3, label_smoothing=0.2), np.random.default_rng(0).normal(size=(2, 3))
    first, second = (cost(plain, outputs[[place]], targets[[place]]) for place in (0, 1))
    assert cost(weighted, outputs, targets) == pytest.approx(0.1 * first + 0.9 * second, rel=1e-5)


def test_smoothed_labels_have_their_weight_where_they_apply_only():
    loss = make("binary_cross_entropy", 2, weights=[3.0, 50.0], label_smoothing=0.2)
    # 0.9 and 0.1 are the best answers.
    outputs = paddle.to_tensor([[math.log(9), -math.log(9)]], stop_gradient=False)
    loss(outputs, paddle.zeros([1, 1]), paddle.to_tensor([[1.0, 0.0]])).backward()
    np.testing.assert_allclose(outputs.grad.numpy(), 0, atol=1e-6)
    values = np.array([[0.0, math.log(3)]])
    expected = (3 * math.log(2) + 0.9 * math.log(4) + 0.1 * math.log(4 / 3)) / 2
    assert cost(loss, values, [[1, 0]]) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
def test_a_mixed_item_is_weighted_as_its_parts(name):
    """With smoothing too."""
    loss = make(name, 2, weights=[3.0, 1.0], label_smoothing=0.2)
    outputs = np.random.default_rng(0).normal(size=(1, 2))
    first, second = (cost(loss, outputs, np.eye(2)[[place]]) for place in (0, 1))
    share = [0.6, 0.4] if name == "binary_cross_entropy" else [0.6 * 3 / 2.2, 0.4 / 2.2]
    assert cost(loss, outputs, [[0.6, 0.4]]) == pytest.approx(share[0] * first + share[1] * second, rel=1e-5)


def test_smoothing_does_not_bring_back_a_class_of_weight_zero():
    """What an item spreads to other classes would be all that a batch of such items teaches."""
    options = LOSSES["cross_entropy"].Config(name="cross_entropy", label_smoothing=0.2)
    weights = paddle.to_tensor([0.0, 3.0], dtype="float32")
    loss = LOSSES["cross_entropy"](options, task=task_of("single_label", 2), feature_dim=1, class_weights=weights)
    outputs, features = [[2.0, -1.0], [0.5, 1.0]], [[0.0], [0.0]]
    assert value(loss, outputs, features, [[1.0, 0.0], [1.0, 0.0]]) == 0
    alone = value(loss, outputs[1:], features[1:], [[0.0, 1.0]])
    assert alone > 0
    assert value(loss, outputs, features, [[1.0, 0.0], [0.0, 1.0]]) == pytest.approx(alone)
