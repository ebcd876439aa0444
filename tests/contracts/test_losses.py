"""What every loss must hold to; each file in the folder is tested by itself."""

import math

import numpy as np
import paddle
import pytest

from paddle_automl.core.describe import all_options
from paddle_automl.training.losses.base import LOSSES

N, K, F = 5, 3, 4
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(N, K)).astype("float32")
FEATURES = RNG.normal(size=(N, F)).astype("float32")
LABELS = np.array([0, 1, 2, 1, 1])
ONE_HOT = np.eye(K, dtype="float32")[LABELS]
SOFT = (0.7 * ONE_HOT + 0.3 * np.eye(K, dtype="float32")[(LABELS + 1) % K]).astype("float32")

named = pytest.mark.parametrize("name", LOSSES.names())


def make(name, weights=None, **options):
    cls = LOSSES[name]
    weights = None if weights is None else paddle.to_tensor(weights, dtype="float32")
    return cls(cls.Config(name=name, **options), num_classes=K, feature_dim=F, class_weights=weights)


def value(loss, logits=LOGITS, features=FEATURES, targets=ONE_HOT):
    result = loss(*(paddle.to_tensor(np.asarray(item, "float32")) for item in (logits, features, targets)))
    assert result.shape == []
    return float(result)


@named
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_gradients_are_those_of_finite_differences(name, weights):
    loss = make(name, weights)
    logits = paddle.to_tensor(LOGITS, stop_gradient=False)
    features = paddle.to_tensor(FEATURES, stop_gradient=False)
    total = loss(logits, features, paddle.to_tensor(SOFT)) + 0 * features.sum()
    total.backward()
    step = 1e-2
    for tensor, base, key in ((logits, LOGITS, "logits"), (features, FEATURES, "features")):
        numeric = np.zeros_like(base)
        for index in np.ndindex(*base.shape):
            shift = np.zeros_like(base)
            shift[index] = step
            up, down = (value(loss, targets=SOFT, **{key: base + sign * shift}) for sign in (1, -1))
            numeric[index] = (up - down) / (2 * step)
        np.testing.assert_allclose(tensor.grad.numpy(), numeric, atol=2e-4)


@named
def test_extreme_logits_stay_finite(name):
    loss = make(name)
    logits = paddle.to_tensor(np.where(ONE_HOT == 1, -1e4, 1e4).astype("float32"), stop_gradient=False)
    wrong = loss(logits, paddle.to_tensor(FEATURES), paddle.to_tensor(ONE_HOT))
    wrong.backward()
    assert np.isfinite(float(wrong))
    assert np.isfinite(logits.grad.numpy()).all()
    assert value(loss, logits=np.where(ONE_HOT == 1, 1e4, -1e4)) < float(wrong)


@named
def test_right_predictions_cost_less_than_wrong_ones(name):
    assert value(make(name), logits=5 * ONE_HOT) < value(make(name), logits=np.zeros((N, K)))
    assert value(make(name), logits=np.zeros((N, K))) < value(make(name), logits=-5 * ONE_HOT)


@named
def test_equal_class_weights_change_nothing(name):
    assert value(make(name, [2.0] * K), targets=SOFT) == pytest.approx(value(make(name), targets=SOFT), rel=1e-5)


@named
def test_a_class_of_weight_zero_does_not_count(name):
    loss = make(name, [1.0, 1.0, 0.0])
    changed = LOGITS.copy()
    changed[2] = [5.0, -3.0, 1.0]
    assert LABELS[2] == 2
    assert value(loss, logits=changed) == pytest.approx(value(loss), rel=1e-5)


@named
def test_options_are_described(name):
    assert LOSSES.summary(name)
    for option in all_options(LOSSES[name].Config):
        assert option.doc, option.key


def test_cross_entropy_by_hand():
    # softmax of (0, log 3) is (1/4, 3/4).
    loss = LOSSES["cross_entropy"]
    plain = loss(loss.Config(), num_classes=2, feature_dim=1, class_weights=None)
    logits, features = np.array([[0.0, math.log(3)]]), np.zeros((1, 1))
    assert value(plain, logits, features, [[1, 0]]) == pytest.approx(math.log(4))
    assert value(plain, logits, features, [[0.5, 0.5]]) == pytest.approx(0.5 * math.log(4) + 0.5 * math.log(4 / 3))
    smooth = loss(loss.Config(label_smoothing=0.2), num_classes=2, feature_dim=1, class_weights=None)
    assert value(smooth, logits, features, [[1, 0]]) == pytest.approx(0.9 * math.log(4) + 0.1 * math.log(4 / 3))


def test_class_weights_by_hand():
    loss = LOSSES["cross_entropy"]
    weights = paddle.to_tensor([3.0, 1.0])
    weighted = loss(loss.Config(), num_classes=2, feature_dim=1, class_weights=weights)
    logits = np.array([[0.0, math.log(3)], [0.0, math.log(3)]])
    # (3 log 4 + 1 log 4/3) / (3 + 1)
    expected = (3 * math.log(4) + math.log(4 / 3)) / 4
    assert value(weighted, logits, np.zeros((2, 1)), np.eye(2)) == pytest.approx(expected)
    reference = paddle.nn.CrossEntropyLoss(weight=weights)(
        paddle.to_tensor(logits.astype("float32")), paddle.to_tensor([0, 1])
    )
    assert float(reference) == pytest.approx(expected)


def test_focal_by_hand():
    loss = LOSSES["focal"]
    logits = np.array([[0.0, math.log(3)]])
    for gamma, expected in ((0.0, math.log(4)), (2.0, 0.75**2 * math.log(4)), (0.5, 0.75**0.5 * math.log(4))):
        focal = loss(loss.Config(gamma=gamma), num_classes=2, feature_dim=1, class_weights=None)
        assert value(focal, logits, np.zeros((1, 1)), [[1, 0]]) == pytest.approx(expected, rel=1e-5)


def test_center_loss_by_hand():
    cls = LOSSES["center_loss"]
    loss = cls(cls.Config(weight=0.1, center_rate=0.5), num_classes=2, feature_dim=2, class_weights=None)
    logits = np.zeros((3, 2))
    features = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
    targets = np.array([[1, 0], [1, 0], [0, 1]])
    # Centres at zero: (25 + 1 + 4) / 2 / 3 images = 5.
    assert value(loss, logits, features, targets) == pytest.approx(math.log(2) + 0.1 * 5.0)
    loss.after_step()
    # c_0 = 0.5 (3 + 1, 4 + 0) / (1 + 2), c_1 = 0.5 (0, 2) / (1 + 1).
    np.testing.assert_allclose(loss.centers.numpy(), [[2 / 3, 2 / 3], [0, 0.5]], rtol=1e-6)
    distances = (7 / 3) ** 2 + (10 / 3) ** 2 + (1 / 3) ** 2 + (2 / 3) ** 2 + 1.5**2
    assert value(loss, logits, features, targets) == pytest.approx(math.log(2) + 0.1 * distances / 6, rel=1e-6)
    before = loss.centers.numpy()
    loss.after_step()
    change = np.array([[2 * 2 / 3 - 4, 2 * 2 / 3 - 4], [0, 0.5 - 2]]) / np.array([[3], [2]])
    np.testing.assert_allclose(loss.centers.numpy(), before - 0.5 * change, rtol=1e-5)
    loss.after_step()
    np.testing.assert_allclose(loss.centers.numpy(), before - 0.5 * change, rtol=1e-5)


def test_center_loss_pulls_features_to_their_centres():
    cls = LOSSES["center_loss"]
    loss = cls(cls.Config(weight=1.0, center_rate=1.0), num_classes=2, feature_dim=1, class_weights=None)
    loss.centers.set_value(paddle.to_tensor([[1.0], [-1.0]]))
    features = paddle.to_tensor([[3.0]], stop_gradient=False)
    loss(paddle.zeros([1, 2]), features, paddle.to_tensor([[1.0, 0.0]])).backward()
    # d L_C / d x = x - c (eq. 3).
    assert features.grad.numpy() == pytest.approx(np.array([[2.0]]))
    loss.eval()
    value(loss, np.zeros((1, 2)), np.ones((1, 1)), [[1, 0]])
    centers = loss.centers.numpy()
    loss._seen = None
    loss.after_step()
    assert np.array_equal(loss.centers.numpy(), centers)
