"""A study that is continued with more data: its best configurations come first, on the old and the new images."""

import pytest

from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.stages.run import run_search
from tests.unit.pipeline.test_refitting import config_of, photos

SEARCH = {
    "trials": 2,
    "controller": "random_search",
    "objectives": [{"metric": "loss", "goal": "minimize"}],
    "space": {"training.optimizer.learning_rate": {"log": [1e-6, 0.1]}},
}


@pytest.mark.slow
def test_the_best_of_a_search_comes_first_in_one_on_more_data(tmp_path):
    photos(tmp_path / "old", {"red": 12, "sea": 12}, 0)
    photos(tmp_path / "new", {"grass": 12, "sea": 5}, 1)
    # The configuration's own value, trial 0, learns nothing.
    weak = {"epochs": 4, "batch_size": 8, "optimizer": {"name": "adamw", "learning_rate": 1e-6}}
    first = run_search(config_of(tmp_path / "old", tmp_path / "out", search=SEARCH, training=weak))
    assert first.best.number == 1
    again = {**SEARCH, "warm_start": [str(tmp_path / "out")]}
    given = config_of(tmp_path / "old", tmp_path / "more", search=again, training=weak)
    grown = given.as_dict()
    grown["data"]["dataset"]["added"] = [str(tmp_path / "new")]
    second = run_search(validate(RunConfig, grown))
    name = "training.optimizer.learning_rate"
    assert second.trials[1].params[name] == first.best.params[name]
    assert second.trials[1].warm_start
    assert second.data.train + second.data.validation + second.data.test == 41
    assert second.bundle.verified
