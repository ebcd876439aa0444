"""Objectives: goals, limits, dominance."""

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError, StudyError, TrialError
from paddle_automl.core.loading import validate
from paddle_automl.core.registry import registrations, take_back
from paddle_automl.search.config import SearchConfig
from paddle_automl.search.limits import SearchLimits
from paddle_automl.search.objective import (
    Objective,
    costs_of,
    curve_objective,
    dominates,
    excess_of,
    pareto_front,
    scalarize,
    values_of,
)
from paddle_automl.search.reading import read_study
from paddle_automl.tasks.base import TASKS
from paddle_automl.tasks.metrics.base import METRICS, Metric, Predictions
from paddle_automl.tasks.metrics.spelling import epoch_metrics, epoch_part, measure
from tests.unit.search.helpers import open_study, scheduler, search

ACCURACY = Objective(metric="accuracy", limit=0.9)
LATENCY = Objective(metric="latency_ms", limit=2.0)


def test_goal_follows_from_the_metric():
    assert ACCURACY.goal == "maximize"
    assert LATENCY.goal == "minimize"
    assert ACCURACY.cost(0.8) == -0.8
    assert ACCURACY.value(-0.8) == 0.8
    assert costs_of((0.8, 3.0), (ACCURACY, LATENCY)) == (-0.8, 3.0)


def test_limits_bound_the_worse_side():
    assert excess_of((0.95, 1.0), (ACCURACY, LATENCY)) == 0
    assert excess_of((0.81, 1.0), (ACCURACY, LATENCY)) == pytest.approx(0.1)
    assert excess_of((0.95, 3.0), (ACCURACY, LATENCY)) == pytest.approx(0.5)


def test_missing_and_non_finite_metrics_are_named():
    with pytest.raises(TrialError, match="no metric 'latency_ms'; it has accuracy"):
        values_of({"accuracy": 0.5}, (ACCURACY, LATENCY))
    with pytest.raises(TrialError, match="the metric 'accuracy' is nan"):
        values_of({"accuracy": float("nan")}, (ACCURACY,))


def test_pareto_front():
    assert dominates((1.0, 2.0), (1.0, 3.0))
    assert not dominates((1.0, 2.0), (1.0, 2.0))
    items = [("a", (1.0, 3.0)), ("b", (2.0, 2.0)), ("c", (3.0, 3.0)), ("d", (3.0, 1.0))]
    assert pareto_front(items) == ["a", "b", "d"]


def test_scalarize_is_the_augmented_chebyshev_norm():
    # Scaled costs (0, 1), (1, 0), (0.5, 0.5); weights 0.5: max part + 0.05 * sum of parts.
    costs = [(0.0, 30.0), (2.0, 10.0), (1.0, 20.0)]
    assert scalarize(costs, (0.5, 0.5)) == pytest.approx([0.525, 0.525, 0.275])
    assert scalarize([(3.0,), (1.0,)], (1.0,)) == [3.0, 1.0]


def made(**data):
    return validate(Objective, data)


def test_options_of_the_metric_stand_beside_its_name():
    objective = made(metric="recall", **{"class": "cat, big"}, limit=0.5)
    assert objective.metric == 'recall[class="cat, big"]'
    assert (objective.goal, objective.limit) == ("maximize", 0.5)
    assert validate(Objective, objective.model_dump(mode="json")) == objective
    assert made(metric="f_beta", beta=2.0).metric == "f_beta[beta=2]"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"metric": "acuracy"}, "metric: unknown metric 'acuracy'; did you mean 'accuracy'?"),
        (
            {"metric": "accuracy", "gaol": "maximize"},
            "unknown key 'gaol'; did you mean 'goal'? valid: metric, goal",
        ),
        (
            {"metric": "recall", "clas": "cat"},
            "unknown key 'clas'; did you mean 'class'? valid: metric, goal, limit",
        ),
        ({"metric": "top_k_accuracy", "k": 0}, "metric: top_k_accuracy: k: input should be greater than"),
        ({"metric": "accuracy + loss"}, "would have to be maximized for accuracy and minimized for loss"),
        ({"metric": "accuracy", "goal": "up"}, "goal: input should be 'maximize' or 'minimize'"),
        ({}, "metric: is required"),
        ({"limit": 3}, "metric: is required"),
    ],
)
def test_mistakes(data, text):
    with pytest.raises(ConfigError) as caught:
        made(**data)
    assert text in str(caught.value)
    assert len(caught.value.issues) == 1


def test_a_sum_takes_its_direction_from_its_terms_or_from_the_user():
    assert made(metric="accuracy - loss").goal == "maximize"
    assert made(metric="loss - accuracy").goal == "minimize"
    assert made(metric="accuracy + loss", goal="minimize").goal == "minimize"


def test_a_sum_is_found_in_its_terms():
    objective = made(metric="accuracy - 0.5 * size_mb")
    assert objective.measured({"accuracy": 1.0, "size_mb": 0.5}) == 0.75
    assert values_of({"accuracy": 1.0, "size_mb": 0.5}, (objective,)) == (0.75,)
    with pytest.raises(TrialError, match=r"no metric 'accuracy - 0.5 \* size_mb'; it has accuracy"):
        values_of({"accuracy": 1.0}, (objective,))


def test_the_curve_is_that_of_the_first_metric_per_epoch():
    costly, sum_ = made(metric="latency_ms"), made(metric="roc_auc - 0.1 * latency_ms")
    assert curve_objective((costly, sum_)) is sum_
    assert curve_objective((costly,)) is costly


def test_a_metric_of_a_users_own_is_an_objective():
    before = len(registrations())

    @METRICS.register("test_shortness")
    class Shortness(Metric):
        """One less than nothing."""

        goal = "minimize"

        def value(self, facts):
            return 0.0

    try:
        assert made(metric="test_shortness").goal == "minimize"
        assert "test_shortness" in [name for name in METRICS.names() if METRICS[name].when == "epoch"]
    finally:
        take_back(registrations()[before:])
    assert "test_shortness" not in METRICS


def test_objectives_are_read_from_studies_old_and_new(tmp_path):
    objectives = (
        made(metric="recall", **{"class": 'a, b] "c'}),
        made(metric="0.5 * accuracy - loss"),
        made(metric="latency_ms"),
    )
    with open_study(tmp_path, objectives=objectives) as study:
        identity = study._study.user_attrs["identity"]["search.objectives"]
        assert identity.endswith("maximize 0.5 * accuracy - loss, minimize latency_ms")
    assert read_study(tmp_path / "study.db").objectives == objectives
    with open_study(tmp_path / "old", objectives=(ACCURACY, LATENCY)) as study:
        assert study._study.user_attrs["identity"]["search.objectives"] == "maximize accuracy, minimize latency_ms"


def test_a_study_of_an_unknown_metric_cannot_be_read(tmp_path):
    with open_study(tmp_path) as study:
        identity = {**study._study.user_attrs["identity"], "search.objectives": "maximize my_metric"}
        study._study.set_user_attr("identity", identity)
    with pytest.raises(StudyError, match="objectives 'maximize my_metric' are unknown: metric: unknown metric"):
        read_study(tmp_path / "study.db")


# -- one expression decides ----------------------------------------------------------------------------------------
COST = {"metric": "cost", "matrix": {"cat": {"dog": 20}}}
NAMES = ("cat", "dog")
CODES = np.repeat([0, 1], 50)


def measured(cats_lost, dogs_lost, keys):
    """Return the metrics of a network that takes so many of 50 cats for dogs, and of 50 dogs for cats."""
    cls = TASKS["single_label"]
    task = cls(cls.Fitted(name="single_label", names=NAMES))
    predicted = CODES.copy()
    predicted[:cats_lost] = 1
    predicted[50 : 50 + dogs_lost] = 0
    outputs = np.eye(2, dtype=np.float32)[predicted] * 0.8 + 0.1
    return measure(epoch_metrics(task, keys), Predictions(outputs.astype(np.float32), CODES, task))


def run(folder, **options):
    """Search over two networks, the second worse in accuracy and cheaper in its mistakes, and the first again."""
    objectives = validate(SearchConfig, options).objectives
    keys = [objective.metric for objective in objectives]
    accurate, careful = ([(epoch, measured(*lost, keys)) for epoch in (1, 2, 3)] for lost in ((4, 0), (1, 9)))

    def script_of(record):
        reports = careful if record.number == 1 else accurate
        terms = {key: value for key, value in reports[-1][1].items() if key not in keys or " " not in key}
        return [*reports, {"metrics": terms}]

    stops = scheduler("median", warmup_epochs=1, startup_trials=1)
    with open_study(folder, objectives=objectives) as study:
        search(study, script_of, limits=SearchLimits(trials=3), scheduler=stops, epochs=3)
        return study.best().number, [record.state for record in study.records()]


def test_one_expression_changes_what_is_pruned_and_what_wins(tmp_path):
    assert run(tmp_path / "accuracy", metric="accuracy") == (0, ["complete", "pruned", "complete"])
    assert run(tmp_path / "cost", metric=COST) == (1, ["complete", "complete", "pruned"])
    recall = "0.2 * accuracy + 0.8 * recall[class=cat]"
    assert run(tmp_path / "sum", metric=recall) == (1, ["complete", "complete", "pruned"])


def test_one_expression_changes_the_best_epoch():
    lost = [(4, 0), (1, 9), (3, 2)]
    cost = validate(SearchConfig, {"metric": COST}).objectives[0]
    mixed = validate(SearchConfig, {"metric": "accuracy - 0.5 * size_mb"}).objectives[0]

    def best_epoch(objective):
        key = epoch_part(objective.metric)
        return min(range(3), key=lambda epoch: objective.cost(measured(*lost[epoch], [key])[key]))

    assert best_epoch(ACCURACY) == best_epoch(mixed) == 0
    assert best_epoch(cost) == 1
