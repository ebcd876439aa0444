"""Metrics against scikit-learn, and at their edges."""

import itertools
import math

import numpy as np
import pytest
from sklearn import metrics as reference

from paddle_automl.core.errors import ConfigError
from paddle_automl.tasks.base import TASKS, RawTargets
from paddle_automl.tasks.calibration import calibration_error
from paddle_automl.tasks.metrics.base import METRICS, NetworkFacts, Predictions
from paddle_automl.tasks.metrics.spelling import metric_of, parse_metric

NAMES = ("cat", "dog", "fox", "owl")
N = 200


def single(seed, names=NAMES, missing=()):
    """Return predictions of one class each, of which those `missing` never occur."""
    rng = np.random.default_rng(seed)
    task = TASKS["single_label"](TASKS["single_label"].Fitted(name="single_label", names=names))
    usable = [k for k in range(len(names)) if names[k] not in missing]
    codes = rng.choice(usable, N)
    raw = rng.normal(size=(N, len(names))) + 1.5 * task.dense(codes)
    # Rounded, so that ties occur.
    return Predictions(task.final(raw).round(2), codes, task)


def multi(seed):
    rng = np.random.default_rng(seed)
    cls = TASKS["multi_label"]
    codes = (rng.random((N, 4)) < [0.2, 0.5, 0.7, 0.1]).astype(np.uint8)
    task = cls.fit(cls.Config(name="multi_label"), RawTargets("labels", codes, NAMES))
    return Predictions(task.final(rng.normal(size=(N, 4)) + 2 * codes - 1).round(2), codes, task)


def regression(seed, **options):
    rng = np.random.default_rng(seed)
    cls = TASKS["regression"]
    codes = rng.normal(size=(N, 2)) * [1, 50] + [3, 100]
    task = cls.fit(cls.Config(name="regression", **options), RawTargets("numbers", codes, ("value", "ink")))
    dense = task.dense(codes)
    return Predictions(task.final(dense + rng.normal(size=dense.shape)), codes, task)


def value(key, facts):
    return metric_of(parse_metric(key)).value(facts)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("missing", [(), ("dog",)])
def test_one_class_per_item(seed, missing):
    facts = single(seed, missing=missing)
    true, predicted, outputs = facts.codes, facts.outputs.argmax(axis=1), facts.outputs
    assert value("accuracy", facts) == pytest.approx(reference.accuracy_score(true, predicted))
    occurring = [reference.recall_score(true, predicted, labels=[k], average="macro") for k in np.unique(true)]
    assert value("balanced_accuracy", facts) == pytest.approx(np.mean(occurring))
    assert value("cohen_kappa", facts) == pytest.approx(reference.cohen_kappa_score(true, predicted))
    average = {"average": "macro", "zero_division": 0}
    assert value("macro_f1", facts) == pytest.approx(reference.f1_score(true, predicted, **average))
    assert value("micro_f1", facts) == pytest.approx(reference.f1_score(true, predicted, average="micro"))
    assert value("recall", facts) == pytest.approx(reference.recall_score(true, predicted, **average))
    assert value("precision", facts) == pytest.approx(reference.precision_score(true, predicted, **average))
    expected = reference.fbeta_score(true, predicted, beta=0.5, **average)
    assert value("f_beta[beta=0.5]", facts) == pytest.approx(expected)
    expected = reference.precision_score(true, predicted, labels=[2], **average)
    assert value("precision[class=fox]", facts) == pytest.approx(expected)
    expected = reference.recall_score(true, predicted, labels=[3], **average)
    assert value("recall[class=owl]", facts) == pytest.approx(expected)
    assert value("loss", facts) == facts.task.loss(outputs, true)


@pytest.mark.parametrize("seed", range(3))
def test_ranking_of_one_class(seed):
    facts = single(seed)
    one_hot = np.eye(4)[facts.codes]
    aucs = [reference.roc_auc_score(one_hot[:, k], facts.outputs[:, k]) for k in range(4)]
    assert value("roc_auc", facts) == pytest.approx(np.mean(aucs))
    assert value("roc_auc[class=dog]", facts) == pytest.approx(aucs[1])
    precisions = [reference.average_precision_score(one_hot[:, k], facts.outputs[:, k]) for k in range(4)]
    assert value("mean_average_precision", facts) == pytest.approx(np.mean(precisions))
    assert value("average_precision[class=fox]", facts) == pytest.approx(precisions[2])


def test_two_classes_have_one_area():
    facts = single(0, names=("no", "yes"))
    expected = reference.roc_auc_score(facts.codes, facts.outputs[:, 1])
    assert value("roc_auc", facts) == pytest.approx(expected)
    assert value("roc_auc[class=no]", facts) == pytest.approx(expected)
    expected = reference.average_precision_score(facts.codes, facts.outputs[:, 1])
    assert value("average_precision", facts) == pytest.approx(expected)
    metric_of("average_precision").check(facts.task)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k(k):
    facts = single(4)
    noise = np.random.default_rng(0).normal(size=facts.outputs.shape) * 1e-6
    facts = Predictions(facts.outputs + noise, facts.codes, facts.task)  # no ties, where both libraries differ
    expected = reference.top_k_accuracy_score(facts.codes, facts.outputs, k=k, labels=range(4))
    assert value(f"top_k_accuracy[k={k}]", facts) == pytest.approx(expected)


def test_top_1_is_the_accuracy_also_with_ties():
    facts = single(5)
    tied = Predictions(facts.outputs.round(1), facts.codes, facts.task)
    assert value("top_k_accuracy[k=1]", tied) == value("accuracy", tied)
    with pytest.raises(ConfigError, match="k: must be below the number of classes, 4, got 5"):
        metric_of("top_k_accuracy").check(facts.task)


@pytest.mark.parametrize("seed", range(3))
def test_several_labels(seed):
    facts = multi(seed)
    true, decided = facts.codes, facts.outputs >= 0.5
    for name, average in (("macro_f1", "macro"), ("micro_f1", "micro")):
        expected = reference.f1_score(true, decided, average=average, zero_division=0)
        assert value(name, facts) == pytest.approx(expected)
    assert value("subset_accuracy", facts) == pytest.approx(reference.accuracy_score(true, decided))
    assert value("hamming_loss", facts) == pytest.approx(reference.hamming_loss(true, decided))
    expected = reference.average_precision_score(true, facts.outputs, average="macro")
    assert value("mean_average_precision", facts) == pytest.approx(expected)
    assert value("roc_auc", facts) == pytest.approx(reference.roc_auc_score(true, facts.outputs, average="macro"))
    expected = reference.log_loss(true.ravel(), facts.outputs.astype(float).clip(1e-30, 1 - 6e-8).ravel())
    assert value("loss", facts) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_numbers(seed):
    facts = regression(seed)
    predicted = facts.outputs.astype(float)
    assert value("mae", facts) == pytest.approx(reference.mean_absolute_error(facts.codes, predicted))
    assert value("rmse", facts) == pytest.approx(reference.root_mean_squared_error(facts.codes, predicted))
    assert value("r2", facts) == pytest.approx(reference.r2_score(facts.codes, predicted))
    expected = reference.mean_absolute_error(facts.codes[:, 1], predicted[:, 1])
    assert value("mae[column=ink]", facts) == pytest.approx(expected)
    wide = regression(seed, interval=0.9)
    # Ends that crossed are in order, and the number itself is in its interval.
    first, second = (np.sort(wide.outputs[:, [k, k + 2, k + 4]], axis=1) for k in (0, 1))
    inside = [
        ((first[:, 0] <= wide.codes[:, 0]) & (wide.codes[:, 0] <= first[:, 2])).mean(),
        ((second[:, 0] <= wide.codes[:, 1]) & (wide.codes[:, 1] <= second[:, 2])).mean(),
    ]
    assert value("coverage", wide) == pytest.approx(np.mean(inside))
    assert math.isnan(value("mae", Predictions(facts.outputs[:0], facts.codes[:0], facts.task)))


def test_the_interval_score_by_hand():
    # The interval is 1 to 3; 2 / (1 - 0.75) = 8. Crossed ends are swapped.
    given = RawTargets("numbers", np.array([[1.0], [2.0], [3.5], [0.0]]), ("value",))
    task = TASKS["regression"].fit(TASKS["regression"].Config(name="regression", interval=0.75), given)
    outputs = np.array([[2, 1, 3], [2, 3, 1], [2, 1, 3], [2, 1, 3]], np.float32)
    facts = Predictions(outputs, task.encode(given), task)
    assert value("interval_score", facts) == pytest.approx((2 + 2 + (2 + 8 * 0.5) + (2 + 8 * 1)) / 4)


def test_the_interval_score_is_best_for_the_interval_that_was_asked_for():
    """Coverage alone prefers the widest."""
    true = np.random.default_rng(0).normal(0, 1, (20_000, 1))
    given = RawTargets("numbers", true, ("value",))
    task = TASKS["regression"].fit(TASKS["regression"].Config(name="regression", interval=0.9), given)
    scores, coverages = [], []
    for end in (1.0, 1.645, 3.0):
        facts = Predictions(np.tile(np.float32([0, -end, end]), (len(true), 1)), true, task)
        scores.append(value("interval_score", facts))
        coverages.append(value("coverage", facts))
    assert coverages == sorted(coverages)
    assert scores[1] == min(scores)


def test_calibration_by_hand():
    # Two bins of 1/2: confidences 0.4 (right: 1 of 2) and 0.9 (right: 1 of 2).
    confidence = np.array([0.4, 0.4, 0.9, 0.9], np.float32)
    right = np.array([True, False, True, False])
    assert calibration_error(confidence, right, 2) == pytest.approx((0.1 * 2 + 0.4 * 2) / 4)
    assert calibration_error(confidence, right, 1) == pytest.approx(abs(0.65 - 0.5))
    # The upper end of a bin belongs to it; 0 belongs to the first.
    assert calibration_error(np.array([0.5, 0.0]), np.array([True, False]), 2) == pytest.approx(0.5 / 2)
    assert calibration_error(confidence[:0], right[:0], 15) == 0
    assert math.isnan(calibration_error(np.array([np.nan]), np.array([True]), 15))


def test_calibration_of_classes_and_of_labels():
    facts = single(0)
    confidence = facts.outputs.max(axis=1)
    right = facts.outputs.argmax(axis=1) == facts.codes
    bins = np.linspace(0, 1, 16)
    expected = sum(
        abs(right[chosen].mean() - confidence[chosen].mean()) * chosen.mean()
        for low, high in itertools.pairwise(bins)
        if (chosen := (confidence > low) & (confidence <= high)).any()
    )
    assert value("calibration_error", facts) == pytest.approx(expected, abs=1e-4)
    labels = multi(0)
    expected = calibration_error(labels.outputs.ravel(), labels.codes.ravel() > 0, 15)
    assert value("calibration_error", labels) == pytest.approx(expected)


def test_costs_by_name_and_by_row():
    facts = single(1)
    matrix = np.ones((4, 4)) - np.eye(4)
    matrix[0, 1], matrix[2, 0] = 5, 0.5
    predicted = facts.outputs.argmax(axis=1)
    expected = matrix[facts.codes, predicted].mean()
    named = {"metric": "cost", "matrix": {"cat": {"dog": 5}, "fox": {"cat": 0.5}}}
    assert value(named, facts) == pytest.approx(expected)
    assert value({"metric": "cost", "matrix": matrix.tolist()}, facts) == pytest.approx(expected)
    half = {"metric": "cost", "matrix": {"cat": {"dog": 0.0}}, "default": 0.0}
    assert value(half, facts) == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"matrix": {"cat": {"fix": 2}}}, "matrix: the data have no 'fix'; did you mean 'fox'"),
        ({"matrix": [[0, 1], [1, 0]]}, "matrix: has 2 rows, the data have 4 classes"),
        ({"matrix": [[0, 1], [1]]}, "as many columns as rows, got rows of 2, 1"),
        ({"matrix": {}}, "matrix: is empty"),
        ({"matrix": {True: {"cat": 1}}}, "boolean in YAML; put the name into quotes"),
        ({}, "matrix: is required"),
    ],
)
def test_bad_cost_matrices(options, text):
    with pytest.raises(ConfigError, match=text):
        metric_of(parse_metric({"metric": "cost", **options})).check(single(0).task)


def test_names_that_are_numbers_in_yaml():
    facts = single(0, names=("3", "8", "9"))
    by_number = parse_metric({"metric": "cost", "matrix": {3: {8: 5}}})
    assert by_number == parse_metric({"metric": "cost", "matrix": {"3": {"8": 5}}})
    metric_of(by_number).check(facts.task)
    key = parse_metric({"metric": "recall", "class": 3})
    assert key == "recall[class=3]" == parse_metric({"metric": "recall", "class": "3"})
    metric_of(key).check(facts.task)


@pytest.mark.parametrize(
    ("key", "facts", "text"),
    [
        ("recall[class=horse]", single(0), "class: the data have no 'horse'; valid: cat, dog, fox, owl"),
        ("roc_auc[class=foxx]", multi(0), "did you mean 'fox'"),
        ("average_precision", multi(0), "is required unless there are two classes"),
        ("mae[column=inc]", regression(0), "column: the data have no 'inc'; did you mean 'ink'"),
        ("coverage", regression(0), "needs an interval; set one, such as task.interval: 0.9"),
        ("interval_score", regression(0), "needs an interval; set one, such as task.interval: 0.9"),
    ],
)
def test_options_that_do_not_fit_the_task(key, facts, text):
    with pytest.raises(ConfigError, match=text):
        metric_of(key).check(facts.task)


def test_nothing_to_measure():
    facts = single(0)
    empty = Predictions(facts.outputs[:0], facts.codes[:0], facts.task)
    for key in ("accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "recall", "cohen_kappa"):
        assert value(key, empty) == 0
    assert value("top_k_accuracy[k=2]", empty) == value("calibration_error", empty) == 0
    assert value("roc_auc", empty) == 0.5
    assert value("mean_average_precision", empty) == 0
    none = Predictions(multi(0).outputs[:0], multi(0).codes[:0], multi(0).task)
    assert (value("subset_accuracy", none), value("hamming_loss", none)) == (0, 1)


def test_a_diverged_network_is_no_good_one():
    facts = single(0)
    broken = Predictions(np.full_like(facts.outputs, np.nan), facts.codes, facts.task)
    for key in ("loss", "roc_auc", "mean_average_precision", "calibration_error"):
        assert math.isnan(value(key, broken))
    assert value("top_k_accuracy[k=2]", broken) == 0


def test_one_class_on_both_sides_is_no_agreement_beyond_chance():
    task = single(0).task
    outputs = np.tile(np.eye(4, dtype=np.float32)[1], (5, 1))
    assert value("cohen_kappa", Predictions(outputs, np.ones(5, np.int64), task)) == 0
    assert value("roc_auc", Predictions(outputs, np.ones(5, np.int64), task)) == 0.5


def test_costs_of_a_network():
    facts = NetworkFacts(parameters=10, flops=20, size_mb=0.5)
    assert [METRICS[name].when for name in ("parameters", "flops", "size_mb")] == ["network"] * 3
    assert (value("parameters", facts), value("flops", facts), value("size_mb", facts)) == (10, 20, 0.5)
