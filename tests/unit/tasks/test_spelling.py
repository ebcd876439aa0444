import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddle_automl.core.describe import options
from paddle_automl.core.errors import ConfigError
from paddle_automl.tasks.base import TASKS
from paddle_automl.tasks.metrics import spelling
from paddle_automl.tasks.metrics.base import METRICS, BundleFacts, NetworkFacts, Predictions
from paddle_automl.tasks.metrics.grammar import read, split_list
from paddle_automl.tasks.metrics.spelling import (
    check_metrics,
    drop_of,
    epoch_metrics,
    epoch_part,
    goal_of,
    is_sum,
    measure,
    measure_bundle,
    measure_network,
    metric_of,
    metrics_of,
    parse_metric,
    terms_of,
    text_of,
    value_in,
    when_of,
)

AWKWARD = [
    "red cat",
    "a,b",
    "x[y]",
    'say "hi"',
    "it's",
    "a=b",
    " padded ",
    "",
    "{k}",
    "猫",
    "\\",
    "null",
    "1e3",
    "-",
]


def task(names=("cat", "dog")):
    cls = TASKS["single_label"]
    return cls(cls.Fitted(name="single_label", names=names))


def predictions():
    made = task()
    return Predictions(made.final(np.array([[2.0, 0], [0, 1], [3, 0]])), np.array([0, 1, 1]), made)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("accuracy", "accuracy"),
        (" accuracy ", "accuracy"),
        ({"metric": "accuracy"}, "accuracy"),
        ({"metric": "top_k_accuracy", "k": 5}, "top_k_accuracy"),
        ("top_k_accuracy[k=5]", "top_k_accuracy"),
        ("top_k_accuracy[ k = 3 ]", "top_k_accuracy[k=3]"),
        ({"metric": "f_beta", "class": "cat", "beta": 2}, "f_beta[class=cat, beta=2]"),
        ("f_beta[beta=2.0,class=cat]", "f_beta[class=cat, beta=2]"),
        ("recall[class='it is']", 'recall[class="it is"]'),
        ("recall[class=it is]", 'recall[class="it is"]'),
        (".7*macro_f1+0.3 * recall[class=cat]", "0.7 * macro_f1 + 0.3 * recall[class=cat]"),
        ("accuracy - 1e-3*latency_ms", "accuracy - 0.001 * latency_ms"),
        ("-loss", "-loss"),
        ("+accuracy", "accuracy"),
        ("1 * accuracy", "accuracy"),
        ("accuracy + accuracy", "2 * accuracy"),
        ("-0.5*loss+2*accuracy", "-0.5 * loss + 2 * accuracy"),
        ({"metric": "cost", "matrix": [[0, 1], [5, 0]]}, "cost[matrix=[[0.0,1.0],[5.0,0.0]]]"),
        (
            {"metric": "cost", "matrix": {"b": {"a": 2}, "a": {"b": 1}}},
            'cost[matrix={"a":{"b":1.0},"b":{"a":2.0}}]',
        ),
    ],
)
def test_spellings_have_one_key(value, key):
    assert parse_metric(value) == key
    assert parse_metric(key) == key


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_class_names_survive(name):
    key = parse_metric({"metric": "recall", "class": name})
    assert parse_metric(key) == key
    assert metric_of(key).config.class_ == name
    mixed = parse_metric(f"0.5 * {key} + accuracy")
    assert terms_of(mixed) == ((0.5, key), (1.0, "accuracy"))
    assert split_list(f"maximize {mixed}, minimize loss") == [f"maximize {mixed}", "minimize loss"]


@settings(deadline=None)
@given(st.text(max_size=12), st.floats(1e-6, 1e6))
def test_any_class_name_and_weight_survive(name, weight):
    key = parse_metric({"metric": "f_beta", "class": name, "beta": weight})
    assert metric_of(key).config.class_ == name
    assert metric_of(key).config.beta == weight
    mixed = parse_metric(f"{weight!r} * {key} - accuracy")
    assert parse_metric(mixed) == mixed
    assert terms_of(mixed) == ((weight, key), (-1.0, "accuracy"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("acuracy", "unknown metric 'acuracy'; did you mean 'accuracy'? valid: accuracy, "),
        ("top5", "did you mean 'top_k_accuracy'?"),
        ("AUC", "did you mean 'roc_auc'?"),
        ("Macro_F1", "did you mean 'macro_f1'?"),
        ("xyz", "unknown metric 'xyz'; valid: accuracy"),
        ("recall[clas=cat]", "recall: clas: unknown key; did you mean 'class'? valid: class"),
        ("accuracy[k=1]", "accuracy: k: unknown key; valid: no options"),
        ("top_k_accuracy[k=0]", "top_k_accuracy: k: input should be greater than or equal to 1"),
        ("top_k_accuracy[k=x]", "top_k_accuracy: k: input should be a valid integer"),
        ({"metric": "top_k_accuracy", "k": "5"}, "k: input should be a valid integer, got '5'"),
        ({"metric": "recall", "class": True}, "class: is a boolean in YAML; put the name into quotes"),
        ("accuracy[", "expected option=value at character 10"),
        ("recall[class]", "expected option=value at character 13"),
        ("recall[class=]", "expected a value; put a text with brackets"),
        ("recall[class=cat", "expected ',' or ']' at character 17"),
        ("recall[class='cat]", "expected a closing quote at character 14"),
        ('recall[class="cat]', "cannot read the value at character 14"),
        ("recall[class=a, class=b]", "the option 'class' is given twice"),
        ("loss +", "expected the name of a metric at character 7"),
        ("", "expected the name of a metric at character 1"),
        ("2 accuracy", "expected '*' after the weight at character 3"),
        ("accuracy loss", "expected '+', '-' or the end at character 10"),
        ("0 * loss", "needs a weight other than 0"),
        ("loss - loss", "needs a weight other than 0"),
        ("1e999 * loss", "needs a weight other than 0"),
        (3, "must be the name of a metric, a sum of metrics or a mapping, got 3"),
        ({"class": "cat"}, "needs the key 'metric'"),
        ({"metric": "accuracy + loss", "class": "cat"}, "unknown metric 'accuracy + loss'"),
    ],
)
def test_bad_spellings(value, text):
    with pytest.raises(ConfigError) as caught:
        parse_metric(value)
    assert text in str(caught.value)


def test_drops_are_positive_where_it_got_worse():
    assert drop_of("mae", 1.0, 1.5) == 0.5
    assert drop_of("r2", 0.9, 0.8) == pytest.approx(0.1)
    assert drop_of("accuracy", 0.8, 0.9) == pytest.approx(-0.1)


def test_goals():
    assert goal_of("accuracy") == goal_of("-loss") == goal_of("accuracy - 0.1 * loss") == "maximize"
    assert goal_of("loss") == goal_of("loss - accuracy") == goal_of("-2 * accuracy") == "minimize"
    with pytest.raises(ConfigError, match="be maximized for accuracy and minimized for loss; subtract"):
        goal_of("accuracy + loss")


def test_moments():
    assert [when_of(key) for key in ("accuracy", "flops", "latency_ms")] == ["epoch", "network", "bundle"]
    assert when_of("flops + latency_ms") == "bundle"
    assert when_of("accuracy - latency_ms") == "epoch"
    assert is_sum("-loss")
    assert not is_sum("loss")


def test_the_part_that_changes_with_the_epochs():
    assert epoch_part("accuracy") == "accuracy"
    assert epoch_part("0.5 * accuracy - latency_ms") == "accuracy"
    assert epoch_part("latency_ms - 2 * accuracy") == "-2 * accuracy"
    assert epoch_part("accuracy - loss - flops") == "accuracy - loss"
    with pytest.raises(ConfigError, match="'flops \\+ latency_ms' does not change with the epochs"):
        epoch_part("flops + latency_ms")


def test_what_is_measured_each_epoch():
    made = task()
    assert epoch_metrics(made) == ("loss", "accuracy", "macro_f1")
    extra = ["latency_ms", "0.5 * accuracy + 0.5 * recall[class=cat]", "roc_auc - flops", "loss"]
    assert epoch_metrics(made, extra) == (
        "loss",
        "accuracy",
        "macro_f1",
        "recall[class=cat]",
        "0.5 * accuracy + 0.5 * recall[class=cat]",
        "roc_auc",
    )


def test_sums_are_measured_from_their_terms():
    facts = predictions()
    found = measure(["accuracy - 0.1 * loss", "loss", "accuracy"], facts)
    assert list(found) == ["accuracy - 0.1 * loss", "loss", "accuracy"]
    assert found["accuracy - 0.1 * loss"] == pytest.approx(found["accuracy"] - 0.1 * found["loss"])
    mixed = measure(["accuracy - 2 * size_mb"], facts, {"size_mb": 0.25, "accuracy": 1.0})
    assert mixed == {"accuracy - 2 * size_mb": 0.5}
    with pytest.raises(ValueError, match="'size_mb' cannot be computed from predictions"):
        measure(["accuracy - 2 * size_mb"], facts)


def test_a_shared_term_is_measured_once(monkeypatch):
    calls = []
    monkeypatch.setattr(METRICS["loss"], "value", lambda self, facts: calls.append(1) or 1.0)
    measure(["loss", "2 * loss", "accuracy - loss"], predictions())
    assert len(calls) == 1


def test_costs_of_networks_and_bundles():
    network = NetworkFacts(parameters=10, flops=20, size_mb=0.5)
    assert measure_network(network) == {"flops": 20, "parameters": 10, "size_mb": 0.5}
    timed = []
    bundle = BundleFacts(latency_ms=lambda: timed.append(1) or 3.0)
    assert measure_bundle(bundle, ["accuracy", "flops"]) == {}
    assert timed == []
    assert measure_bundle(bundle, ["accuracy - latency_ms", "latency_ms"]) == {"latency_ms": 3.0}
    assert timed == [1]


def test_values_are_found_in_what_was_measured():
    values = {"accuracy": 0.5, "loss": 2.0}
    assert value_in(values, "accuracy") == 0.5
    assert value_in(values, "accuracy - 0.1 * loss") == pytest.approx(0.3)
    assert value_in(values, "accuracy - flops") is None
    assert value_in(values, "not a [metric") is None
    assert value_in({"old name": 1.0}, "old name") == 1.0


def test_values_in_words():
    assert text_of("accuracy", 0.98765) == "0.9877"
    assert text_of("mae", 0.000234567) == "0.0002346"
    assert text_of("mae", 0.0) == "0.0000"
    assert text_of("parameters", 12345.0) == "12,345"
    assert text_of("accuracy - flops", -12345.678) == "-12345.6780"


def test_metrics_that_the_task_does_not_have():
    regression = TASKS["regression"]
    made = regression(regression.Fitted(name="regression", names=("ink",), mean=(0.0,), scale=(1.0,)))
    with pytest.raises(ConfigError) as caught:
        check_metrics(["accuracy", "r2 - 0.1 * mae[column=x]", "loss", "latency_ms"], made, "search.metric")
    assert caught.value.issues == (
        "search.metric: the metric 'accuracy' cannot score the task regression; it has: loss, mae, r2, rmse, "
        "coverage, interval_score, flops, latency_ms, parameters, size_mb",
        "search.metric: mae[column=x]: column: the data have no 'x'; valid: ink",
    )
    check_metrics(["0.5 * accuracy - recall[class=cat]"], task())
    assert metrics_of(regression)[:4] == ["loss", "mae", "r2", "rmse"]


def test_a_task_derived_from_one_has_its_metrics():
    class Mine(TASKS["single_label"]):
        name = "mine"

    assert METRICS["accuracy"].can_score(Mine)
    assert not METRICS["mae"].can_score(Mine)
    assert METRICS["loss"].can_score(Mine)


def test_a_sum_is_no_metric():
    with pytest.raises(ConfigError, match="is a sum of metrics; take its terms one by one"):
        metric_of("accuracy - loss")


def test_every_metric_can_be_spelled_by_its_other_names():
    """Hints of two metrics do not collide, and are no metrics themselves."""
    names = [other for name in METRICS.names() for other in METRICS[name].also]
    assert len(names) == len(set(names))
    assert not set(names) & set(METRICS.names())


def test_the_form_is_read_without_knowing_any_metric():
    (part,) = read('anything[a=1, b="x, y", c=[1, {"d": 2}]]')
    assert part.name == "anything"
    assert part.options == {"a": "1", "b": "x, y", "c": [1, {"d": 2}]}


def test_help_names_the_metrics_and_their_options_as_they_are_written():
    assert spelling.MetricKey().type_text().startswith("metric: accuracy | ")
    assert [option.key for option in options(METRICS["f_beta"].Config)] == ["class", "beta"]
