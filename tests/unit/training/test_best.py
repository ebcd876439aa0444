"""Which epoch is kept."""

import math

import numpy as np
import pytest

from paddle_automl.training.best import Best, Keep
from paddle_automl.training.goal import Goal

NAN = math.nan
OUTPUTS = np.zeros((1, 1))


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize(
    ("values", "losses", "best", "improved"),
    [
        ([0.1, 0.3, 0.2], [3, 2, 1], 2, 2),
        ([0.1, 0.3, 0.3], [3, 2, 1], 3, 2),
        ([0.1, NAN, 0.05], [3, 2, 1], 1, 1),
        ([NAN, 0.1, NAN], [1, 2, 1], 2, 2),
        ([NAN, NAN, NAN], [3, 1, 2], 2, 0),
        ([-math.inf, -math.inf], [2, 1], 2, 0),
        ([0.1, math.inf, math.inf], [1, 3, 4], 2, 2),
    ],
)
def test_the_best_metric_then_the_lowest_loss(values, losses, best, improved, maximize):
    """A metric of a user's own may be undefined in some epochs."""
    found = Best(Goal("m", maximize, ("loss", "m")), Keep())
    for epoch, (value, loss) in enumerate(zip(values, losses, strict=True), start=1):
        found.offer(epoch, {"m": value if maximize else -value, "loss": float(loss)}, OUTPUTS)
    assert (found.epoch, found.improved) == (best, improved)
    assert found.metrics["loss"] == losses[best - 1]


def test_the_last_epoch_is_kept_where_that_is_asked_for():
    found = Best(Goal("m", True, ("loss", "m")), Keep("last"))
    assert [found.offer(epoch, {"m": m, "loss": 1.0}, OUTPUTS) for epoch, m in ((1, 0.5), (2, NAN), (3, 0.1))]
    assert (found.epoch, found.improved) == (3, 1)
