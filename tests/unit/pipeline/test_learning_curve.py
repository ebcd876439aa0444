"""Learning curves: sizes, the extrapolation, and the items that are drawn for them."""

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.data.stratify import drawn_items
from paddle_automl.pipeline.learning_curve import LearningCurve, Point, sizes_of
from paddle_automl.tasks.base import Strata


def test_sizes_end_with_all_items():
    assert sizes_of(33590) == [100, 300, 1000, 3000, 10000, 33590]
    assert sizes_of(120) == [120]
    assert sizes_of(500, [50, 200]) == [50, 200, 500]
    with pytest.raises(ConfigError, match="between 2 and the 500 training items, got 501"):
        sizes_of(500, [501])


def test_twice_as_many_items_follow_a_power_law():
    points = (Point(1000, (0.8, 0.8)), Point(4000, (0.9, 0.9)))
    curve = LearningCurve("accuracy", points, "text")
    assert curve.doubled() == pytest.approx(1 - 0.1 / 2**0.5)
    assert curve.as_dict()["points"][0] == {"items": 1000, "mean": 0.8, "deviation": 0.0, "values": [0.8, 0.8]}
    assert LearningCurve("accuracy", points[::-1], "text").doubled() is None
    assert LearningCurve("mae", points, "text").doubled() is None
    assert Point(5, (0.5,)).deviation is None


def test_drawn_items_keep_the_proportions():
    values = np.repeat([0, 1, 2], [600, 300, 3])
    strata = Strata(values, ("a", "b", "c"))
    members = np.arange(903)
    found = drawn_items(strata, members, 90, 0)
    assert np.bincount(values[found]).tolist() == [59, 30, 1]
    assert (np.diff(found) > 0).all()
    assert not np.array_equal(found, drawn_items(strata, members, 90, 1))
    assert drawn_items(strata, members, 1000, 0) is members
    assert len(drawn_items(None, members, 10, 0)) == 10
