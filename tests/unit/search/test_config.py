"""The search section."""

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.search.config import SearchConfig


def mistake(**data):
    with pytest.raises(ConfigError) as caught:
        validate(SearchConfig, data)
    return str(caught.value)


def test_defaults():
    config = SearchConfig()
    assert config.controller.name == "auto"
    assert config.scheduler.name == "none"
    assert [(o.metric, o.goal) for o in config.objectives] == [("accuracy", "maximize")]


def test_unknown_controller_and_option():
    assert "did you mean 'bayesian'?" in mistake(controller="bayes")
    assert "did you mean 'surrogate'?" in mistake(controller={"name": "bayesian", "surogate": "GP"})


def test_optuna_samplers_are_checked():
    assert "did you mean 'TPESampler'?" in mistake(controller={"name": "optuna", "sampler": "TPSampler"})
    wrong = {"name": "optuna", "sampler": "TPESampler", "options": {"startup": 3}}
    assert "TPESampler cannot be made" in mistake(controller=wrong)
    seeded = {"name": "optuna", "options": {"seed": 3}}
    assert "the seed of the run is used" in mistake(controller=seeded)


def test_a_scheduler_needs_a_metric_that_changes_with_the_epochs():
    message = mistake(scheduler="asha", objectives=[{"metric": "latency_ms"}])
    assert "none of the objectives (latency_ms) changes with the epochs" in message
    validate(SearchConfig, {"scheduler": "none", "objectives": [{"metric": "latency_ms"}]})
    validate(SearchConfig, {"scheduler": "asha", "objectives": [{"metric": "latency_ms"}, {"metric": "loss"}]})


def test_final_repeats_leave_trials_to_search_with():
    assert "final_repeats: 5 of 5 trials leave none" in mistake(trials=5, final_repeats=5)
    assert validate(SearchConfig, {"trials": 5, "final_repeats": 4}).final_repeats == 4


def test_objectives_are_named_once():
    assert "is given twice" in mistake(objectives=[{"metric": "loss"}, {"metric": "loss"}])
    assert "needs at least one metric" in mistake(objectives=[])
    assert "objectives.0.metric" in mistake(objectives=[{"metric": "acuracy"}])
