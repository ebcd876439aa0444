"""Networks beyond a constraint are not trained, are not trials, and teach the controller what to avoid."""

import pytest
from pydantic import ValidationError

from paddle_automl.core.errors import ConfigError, InfeasibleError, SearchFailedError
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.search import coordinator
from paddle_automl.search.config import SearchConfig
from paddle_automl.search.constraints import Constraint, check_constraints
from paddle_automl.search.limits import SearchLimits
from tests.unit.search.helpers import SMALL, controller, open_study, script, search

LIMITS = SearchLimits(trials=5)


def constraints(*texts):
    return SearchConfig.model_validate({"constraints": list(texts)}).constraints


def refused(text="latency_ms is 7.5, required <= 5"):
    return [InfeasibleError(f"not trained, beyond search.constraints: {text}")]


def test_spelling():
    found = constraints("latency_ms <= 5", "size_mb<=2.5", {"metric": "flops", "sign": ">=", "limit": 1e6})
    assert [str(item) for item in found] == ["latency_ms <= 5", "size_mb <= 2.5", "flops >= 1e+06"]
    assert str(constraints("0.5 * latency_ms + size_mb <= 3")[0]) == "0.5 * latency_ms + size_mb <= 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency_ms", "must be a metric, <= or >=, and a number, such as latency_ms <= 5"),
        ("latency_ms < 5", "must be a metric, <= or >=, and a number"),
        ("<= 5", "must be a metric, <= or >=, and a number"),
        ("latency_ms <= five", "needs a number after <="),
        ("latency_ms <=", "needs a number after <="),
        ("latency_ms <= inf", "should be a finite number"),
        ("latencyms <= 5", "did you mean 'latency_ms'"),
        ("accuracy >= 0.9", "'accuracy' is known only after training; constraints are checked before it: use"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(ValidationError, match=message):
        constraints(text)


def test_compressed_trials_have_no_constraints():
    with pytest.raises(
        ConfigError, match=r"search\.constraints: are checked before training, but with compression"
    ):
        validate(
            RunConfig,
            {"search": {"constraints": ["size_mb <= 1"]}, "compression": {"in_trials": True, "precision": "int8"}},
        )


def test_all_broken_ones_are_named():
    limits = [Constraint.model_validate(text) for text in ("latency_ms <= 5", "size_mb <= 2", "flops >= 10")]
    check_constraints(limits, {"latency_ms": 5.0, "size_mb": 2.0, "flops": 10})
    with pytest.raises(InfeasibleError) as caught:
        check_constraints(limits, {"latency_ms": 5.01, "size_mb": 1.0, "flops": 9})
    assert str(caught.value).endswith("latency_ms is 5.01, required <= 5; flops is 9, required >= 10")
    with pytest.raises(InfeasibleError, match="size_mb is not measured"):
        check_constraints(limits, {"latency_ms": 1.0, "flops": 10})


def test_refused_networks_are_no_trials(tmp_path):
    def ends(record):
        return script(0.1 * record.params["a"]) if record.params["b"] == "x" else refused()

    with open_study(tmp_path, space=SMALL) as study:
        ending, heard = search(study, ends, limits=SearchLimits(trials=3), controller=controller(space=SMALL))
        assert ending.reason in ("trials", "exhausted")
        beyond = [record for record in heard.ended if record.infeasible and record.duplicate_of is None]
        assert beyond
        assert {record.params["b"] for record in beyond} == {"y"}
        assert not any(record.counted or record.values for record in beyond)
        assert "latency_ms is 7.5" in beyond[0].reason
        assert sum(record.counted for record in study.records()) == 3
        assert all(record.params["b"] == "x" for record in study.ranking())
        kept = study.records()
    with open_study(tmp_path, space=SMALL) as study:
        assert study.records() == kept


def test_they_are_not_proposed_twice(tmp_path):
    with open_study(tmp_path, space=SMALL) as study:
        ending, heard = search(
            study,
            lambda record: script(0.5) if record.params["a"] == 1 else refused(),
            limits=SearchLimits(trials=50),
            controller=controller("grid", space=SMALL),
        )
        assert ending.reason == "exhausted"
        assert len(heard.started) == 6


def test_several_in_a_row_do_not_fail_the_search_but_a_hundred_end_it(tmp_path, monkeypatch):
    monkeypatch.setattr(coordinator, "REFUSED_IN_A_ROW", 8)
    with open_study(tmp_path) as study, pytest.raises(SearchFailedError) as caught:
        search(study, lambda record: refused(), limits=SearchLimits(trials=9, max_failures=2))
    assert "the last 8 networks were beyond search.constraints, and no network was within the constraints" in str(
        caught.value
    )
    assert "latency_ms is 7.5, required <= 5" in str(caught.value)
    assert "raise the limits in search.constraints" in str(caught.value)


@pytest.mark.parametrize("name", ["q_learning", "gaussian_process", "optuna"])
def test_controllers_learn_from_them(tmp_path, name):
    with open_study(tmp_path) as study:
        ends = search(
            study,
            lambda record: refused() if record.params["net"] == "wide" else script(0.5),
            limits=SearchLimits(trials=6),
            controller=controller(name, space=study.space),
        )[0]
        assert ends.reason == "trials"
        assert study.best().params["net"] == "plain"
