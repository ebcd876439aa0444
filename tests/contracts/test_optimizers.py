"""Every optimizer against its contract, and the first steps of our own."""

import numpy as np
import pytest

from paddle_automl.testing.optimizers import OptimizerContract, parameter, step
from paddle_automl.training.optimizers.base import OPTIMIZERS, ParameterGroup

SLOW = ["adadelta", "adagrad"]
WRAPPERS = ["lookahead", "sam", "schedule_free"]
CLASSES = [OPTIMIZERS[name] for name in OPTIMIZERS.names() if name not in SLOW]


@pytest.mark.parametrize("plugin", CLASSES, ids=lambda cls: cls.name)
class TestOptimizers(OptimizerContract):
    pass


@pytest.mark.parametrize("plugin", [OPTIMIZERS[name] for name in SLOW], ids=SLOW)
class TestThoseThatBeginSlowly(OptimizerContract):
    rate = 1.0
    options = {"epsilon": 1e-3}  # noqa: RUF012


@pytest.mark.parametrize("plugin", [OPTIMIZERS[name] for name in WRAPPERS], ids=WRAPPERS)
class TestWrappersOfAnother(OptimizerContract):
    options = {"base": "adamw"}  # noqa: RUF012


def build(name, groups, **options):
    return OptimizerContract().build(OPTIMIZERS[name], groups, **options)


def test_first_steps_by_hand():
    cases = {
        # 1 - 0.1 (2 + 0.5)
        "sgd": 0.75,
        "momentum": 0.75,
        # The first step of Adam is the sign of the gradient.
        "adam": 0.9,
        # 1 - 0.1 0.5 1 - 0.1
        "adamw": 0.85,
    }
    for name, expected in cases.items():
        p = parameter([[1.0]])
        optimizer = build(name, [ParameterGroup([p])], learning_rate=0.1, weight_decay=0.5)
        step(optimizer, [p], [[[2.0]]])
        assert p.numpy() == pytest.approx(np.array([[expected]]), rel=1e-5), name


def test_second_step_of_momentum_by_hand():
    for nesterov, expected in ((False, 1 - 0.1 - 0.1 * 1.9), (True, 1 - 0.1 * 1.9 - 0.1 * (1 + 0.9 * 1.9))):
        p = parameter([[1.0]])
        optimizer = build("momentum", [ParameterGroup([p])], learning_rate=0.1, nesterov=nesterov)
        step(optimizer, [p], [[[1.0]]])
        step(optimizer, [p], [[[1.0]]])
        assert p.numpy() == pytest.approx(np.array([[expected]]), rel=1e-5)
