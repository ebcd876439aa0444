"""The search section."""

import pytest

from paddle_automl.core.describe import options
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.search.config import SearchConfig
from paddle_automl.tasks.base import TASKS


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
    for name in ("GridSampler", "BruteForceSampler"):
        told = mistake(controller={"name": "optuna", "sampler": name})
        assert told.endswith(f"{name} cannot be used; the controller grid tries everything in the space")
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


def test_a_metric_that_useless_networks_have_is_no_goal():
    """The widest interval covers most."""
    for data in (
        {"metric": "coverage"},
        {"metric": "0.5 * coverage - mae"},
        {"objectives": [{"metric": "coverage", "limit": 0.9}]},
        {"objectives": ["mae", "coverage[column=ink]"]},
    ):
        message = mistake(**data)
        assert "'coverage' cannot be optimized" in message
        assert "[{metric: interval_score}, {metric: coverage, limit: ...}]" in message
    limited = ["interval_score", {"metric": "coverage", "limit": 0.88}]
    objectives = validate(SearchConfig, {"objectives": limited}).objectives
    assert [(o.metric, o.goal) for o in objectives] == [("interval_score", "minimize"), ("coverage", "maximize")]


def test_an_objective_may_be_a_bare_name():
    objectives = validate(SearchConfig, {"objectives": ["accuracy", "latency_ms"]}).objectives
    assert [(o.metric, o.goal) for o in objectives] == [("accuracy", "maximize"), ("latency_ms", "minimize")]


@pytest.mark.parametrize(
    ("metric", "key", "goal"),
    [
        ("loss", "loss", "minimize"),
        ("0.7*macro_f1 + 0.3*recall[class=cat]", "0.7 * macro_f1 + 0.3 * recall[class=cat]", "maximize"),
        ({"metric": "recall", "class": "cat"}, "recall[class=cat]", "maximize"),
        ({"metric": "cost", "matrix": {"cat": {"dog": 5}}}, 'cost[matrix={"cat":{"dog":5.0}}]', "minimize"),
    ],
)
def test_one_metric_is_short_for_one_objective(metric, key, goal):
    config = validate(SearchConfig, {"metric": metric, "objectives": None})
    assert [(o.metric, o.goal, o.limit) for o in config.objectives] == [(key, goal, None)]
    assert config.metric is None
    assert validate(SearchConfig, config.model_dump(mode="json")) == config


def test_bad_expressions():
    assert "metric: unknown metric 'acuracy'; did you mean 'accuracy'?" in mistake(metric="acuracy")
    both = mistake(metric="loss", objectives=[{"metric": "loss"}])
    assert "metric: is short for one objective and cannot be combined with objectives" in both
    assert "would have to be maximized for accuracy and minimized for loss" in mistake(metric="accuracy + loss")
    assert "none of the objectives (flops)" in mistake(metric="flops", scheduler="asha")
    assert (
        validate(SearchConfig, {"metric": "roc_auc - flops", "scheduler": "asha"}).objectives[0].goal == "maximize"
    )


def test_without_objectives_the_main_metric_of_the_task_is_improved():
    def metrics(task, **data):
        return [o.metric for o in validate(SearchConfig, data).for_task(TASKS[task]).objectives]

    assert metrics("single_label") == ["accuracy"]
    assert metrics("multi_label") == ["macro_f1"]
    assert metrics("regression") == ["r2"]
    assert metrics("regression", metric="mae") == ["mae"]
    assert metrics("regression", objectives=["accuracy"]) == ["accuracy"]


def test_help_lists_the_metrics():
    types = {option.key: option.type for option in options(SearchConfig)}
    assert types["metric"].startswith("metric: accuracy | average_precision | ")
