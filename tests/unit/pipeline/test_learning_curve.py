"""Learning curves: sizes, the extrapolation, the items that are drawn for them, and the network they start from."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.data.prepare import prepare
from paddle_automl.data.stratify import drawn_items
from paddle_automl.pipeline import learning_curve as module
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.learning_curve import (
    LearningCurve,
    Point,
    config_from_scratch,
    learning_curve,
    sizes_of,
)
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.sources import open_run
from paddle_automl.pipeline.runs.trials import split_seed
from paddle_automl.pipeline.training import train_run
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


def config_of(output, **model):
    given = {
        "output": str(output),
        "device": "cpu",
        "visualdl": False,
        "report": "none",
        "data": {"dataset": "digits"},
        "model": {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}, **model},
        "training": {"epochs": 1, "batch_size": 256},
    }
    return validate(RunConfig, given)


def trainings(config, monkeypatch, **more):
    """Return the data of each training of a learning curve, and the curve."""
    found = []

    def call(executor, job, result, *rest):
        request = job.request
        data = prepare(request.config.data, seed=split_seed(request.config))
        if job.target.endswith("check:run"):
            return SimpleNamespace(train=len(data.train), word="image", items={})
        found.append(data)
        return SimpleNamespace(metrics={"accuracy": 0.5})

    monkeypatch.setattr(module, "call", call)
    config = config.model_copy(update={"metric": "accuracy"})
    return found, module._measured(config, None, more.get("sizes", ()), 2, Observer())


def test_all_items_are_those_that_the_configuration_has(tmp_path, monkeypatch):
    config = config_of(tmp_path)
    data = config.data.model_copy(update={"items": 60, "items_seed": 7})
    found, curve = trainings(config.model_copy(update={"data": data}), monkeypatch, sizes=[20])
    assert [point.items for point in curve.points] == [20, 60]
    assert [len(data.train) for data in found] == [20, 20, 60, 60]
    asked = prepare(data, seed=config.seed).train.indices
    assert all(np.array_equal(one.train.indices, asked) for one in found[2:])
    assert not np.array_equal(found[0].train.indices, found[1].train.indices)


def test_all_draws_have_the_splits_of_the_configuration(tmp_path, monkeypatch):
    config = config_of(tmp_path).model_copy(update={"seed": 3})
    assert config.data.split.seed is None
    found, _ = trainings(config, monkeypatch, sizes=[20])
    asked = prepare(config.data, seed=3)
    for data in found:
        assert np.array_equal(data.validation.indices, asked.validation.indices)
        assert np.isin(data.train.indices, asked.train.indices).all()


class Shown(Observer):
    def __init__(self):
        self.entered = self.left = 0

    def __enter__(self):
        self.entered += 1
        return self

    def __exit__(self, *ended):
        self.left += 1


def test_a_network_that_was_trained_further_is_trained_from_its_first_start(tmp_path):
    first = config_of(tmp_path / "first", frozen_epochs=0)
    train_run(first)
    tuned = RunFolder(tmp_path / "tuned")
    shutil.copytree(tmp_path / "first", tuned.path)
    dataset = {"name": "digits", "target": "digit"}
    later = config_of(tuned.path, pretrained=str(tmp_path / "first"), frozen_epochs=3)
    tuned.write_config(later.model_copy(update={"data": validate(RunConfig, {"data": {"dataset": dataset}}).data}))
    found = config_from_scratch(open_run(tuned.path))
    assert (found.model.pretrained, found.model.frozen_epochs) == (None, 0)
    assert found.data.dataset == open_run(tuned.path).config.data.dataset
    # Of no other data: its own configuration.
    assert config_from_scratch(open_run(tmp_path / "first")) == open_run(tmp_path / "first").config
    before, shown = sorted(tmp_path.rglob("*")), Shown()
    with pytest.raises(
        ConfigError, match=r"model\.pretrained: the network of .*first has already learned these items"
    ):
        learning_curve(later, observer=shown)
    assert (shown.entered, shown.left) == (1, 1)
    assert sorted(tmp_path.rglob("*")) == before
