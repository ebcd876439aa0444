"""How many epochs of a training fit into its time."""

from types import SimpleNamespace

import pytest

from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs import pacing
from paddle_automl.pipeline.jobs.base import shared_of
from paddle_automl.pipeline.jobs.train import TrainRequest
from paddle_automl.training.fitting import MARGIN, Pace


@pytest.mark.parametrize(("fold", "on", "networks"), [(None, "train", 4), (2, "train", 1), (None, "both", 1)])
def test_the_time_is_divided_among_the_networks_that_are_trained(tmp_path, monkeypatch, fold, on, networks):
    config = validate(RunConfig, {"data": {"folds": 4, "fold": fold}, "training": {"epochs": 400}})
    pace = Pace(step_s=1.0, evaluation_s=0.0)
    work = SimpleNamespace(data=SimpleNamespace(train=range(64), joined=lambda: range(64)))
    monkeypatch.setattr(pacing, "learnable", lambda *_: work)
    monkeypatch.setattr(pacing, "_fastest", lambda *_: (pace, 1, []))
    request = TrainRequest(config, tmp_path, shared_of(config), "train" if on == "train" else "train+validation")
    request, _ = pacing.fitted(request, None, None, 88.0)
    steps = request.config.training.epochs * request.config.training.steps(64)
    assert steps == pytest.approx(88.0 / MARGIN / networks, abs=1.1)
