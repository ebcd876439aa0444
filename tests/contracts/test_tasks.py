"""What every task must hold to; each class of the registry is tested by itself."""

import numpy as np
import pytest

from paddle_automl.tasks.base import TASKS, RawTargets
from paddle_automl.testing.tasks import TaskContract


@pytest.mark.parametrize("plugin", [TASKS[name] for name in TASKS.names()], ids=TASKS.names())
class TestTasks(TaskContract):
    pass


@pytest.mark.parametrize("plugin", [TASKS["regression"]])
class TestOneColumn(TaskContract):
    raw = RawTargets("numbers", np.linspace(-3, 40, 44)[:, None], ("value",))


@pytest.mark.parametrize("plugin", [TASKS["regression"]])
class TestNumbersAsClasses(TaskContract):
    raw = RawTargets("classes", np.arange(50) % 5, ("0", "1", "2.5", "10", "-3"))


@pytest.mark.parametrize("plugin", [TASKS["single_label"]])
class TestTwoClasses(TaskContract):
    raw = RawTargets("classes", np.arange(50) % 2, ("no", "yes"))


def test_a_task_whose_loss_is_upside_down_is_caught():
    class Wrong(TASKS["single_label"]):
        def loss(self, outputs, codes):
            return -super().loss(outputs, codes)

    with pytest.raises(AssertionError):
        TaskContract().test_better_outputs_have_a_lower_loss(Wrong)
